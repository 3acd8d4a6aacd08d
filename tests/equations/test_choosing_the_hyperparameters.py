"""The equations of hyper-parameters: eps, schedules, batch sizes, searches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adam_tutorial import reference, theory

sizes = st.floats(-6, 3).map(lambda exponent: 10.0**exponent)


@pytest.mark.equation("hyper-eps-factor")
@given(st.lists(sizes, min_size=1, max_size=20), sizes)
def test_eps_shortens_a_step_by_one_over_one_plus_eps_over_root_v(
    history: list[float], eps: float
) -> None:
    _, updates, states = reference.walk(reference.adam, history, lr=0.1, eps=eps)
    state = states[-1]
    m_hat = state.m / (1 - 0.9**state.t)
    v_hat = state.v / (1 - 0.999**state.t)
    expected = -0.1 * m_hat / np.sqrt(v_hat) * 1 / (1 + eps / np.sqrt(v_hat))
    np.testing.assert_allclose(updates[-1], expected, rtol=1e-9)


@pytest.mark.equation("hyper-eps-limit")
@given(st.lists(sizes, min_size=1, max_size=20))
def test_adam_with_a_huge_eps_is_corrected_momentum_with_lr_over_eps(
    history: list[float],
) -> None:
    eps = 1e10
    _, updates, states = reference.walk(reference.adam, history, lr=0.1 * eps, eps=eps)
    m_hat = states[-1].m / (1 - 0.9 ** len(history))
    np.testing.assert_allclose(updates[-1], -(0.1 * eps / eps) * m_hat, rtol=1e-6)


@pytest.mark.equation("hyper-warmup")
@given(st.integers(1, 300), st.integers(1, 200), st.floats(1e-6, 1.0))
def test_warmup_is_that_of_torchs_linear_schedule(
    t: int, steps: int, lr: float
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    # It counts from 0 and reaches end_factor after total_iters.
    schedule = torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1 / steps, end_factor=1.0, total_iters=steps - 1
    )
    for _ in range(min(t, steps) - 1):
        optimizer.step()
        schedule.step()
    expected = schedule.get_last_lr()[0] if steps > 1 else lr
    assert lr * min(1, t / steps) == pytest.approx(expected, rel=1e-9)
    assert theory.warmup_factor(t, steps) == pytest.approx(expected / lr, rel=1e-9)


@pytest.mark.equation("hyper-untuned")
@given(st.floats(0.0, 0.99999))
def test_untuned_warmup_grows_by_half_of_one_minus_beta2_a_step(beta2: float) -> None:
    steps = theory.untuned_warmup_steps(beta2)
    assert steps == pytest.approx(2 / (1 - beta2))
    assert theory.warmup_factor(1, steps) == pytest.approx((1 - beta2) / 2)
    # It is RAdam's longest memory and one step more.
    assert steps == pytest.approx(theory.radam_rho(None, beta2) + 1)


@pytest.mark.equation("hyper-cosine")
@given(st.integers(1, 300), st.floats(1e-6, 10.0))
def test_cosine_is_that_of_torchs_schedule(total: int, lr: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
    for t in range(1, min(total, 40) + 1):
        expected = schedule.get_last_lr()[0] / lr
        assert (1 + math.cos(math.pi * (t - 1) / total)) / 2 == pytest.approx(
            expected, abs=1e-9
        )
        assert theory.cosine_factor(t, total) == pytest.approx(expected, abs=1e-9)
        optimizer.step()
        schedule.step()


@pytest.mark.equation("hyper-wsd")
@given(st.integers(1, 200), st.data())
def test_wsd_is_constant_and_then_falls_by_equal_amounts_to_one_of_them(
    total: int, data: st.DataObject
) -> None:
    decay = data.draw(st.integers(1, total))
    factors = [theory.wsd_factor(t, total, decay) for t in range(1, total + 1)]
    assert factors == [min(1.0, (total - t + 1) / decay) for t in range(1, total + 1)]
    assert factors[: total - decay + 1] == [1.0] * (total - decay + 1)
    np.testing.assert_allclose(
        np.diff([*factors[total - decay :], 0.0]), -1 / decay, atol=1e-12
    )


@pytest.mark.equation("hyper-area")
@given(st.integers(2, 3000))
def test_mean_of_the_cosine_is_half_a_learning_rate_and_half_a_step_more(
    total: int,
) -> None:
    mean = np.mean([theory.cosine_factor(t, total) for t in range(1, total + 1)])
    assert mean == pytest.approx(0.5 + 1 / (2 * total), abs=1e-12)


def mean_step(mean: float, noise: float, batch: int) -> float:
    """Adam's mean step in learning rates, measured on many coordinates."""
    rng = np.random.default_rng(batch)
    gradients = mean + noise / math.sqrt(batch) * rng.standard_normal((60, 40_000))
    updates = reference.walk(
        reference.adam, gradients, lr=1.0, beta1=0.9, beta2=0.9999, eps=0.0
    ).updates
    return -float(updates[-20:].mean())


@pytest.mark.equation("hyper-drift")
@pytest.mark.parametrize(("mean", "noise"), [(0.01, 1.0), (0.3, 1.0), (2.0, 1.0)])
@pytest.mark.parametrize("batch", [1, 16, 256])
def test_mean_step_is_signal_over_root_of_signal_and_noise_squared(
    mean: float, noise: float, batch: int
) -> None:
    expected = mean / math.sqrt(mean**2 + noise**2 / batch)
    assert mean_step(mean, noise, batch) == pytest.approx(expected, rel=0.05, abs=0.004)


def progress(lr: float, mean: float, noise: float, batch: float) -> float:
    return lr / batch * mean / math.sqrt(mean**2 + noise**2 / batch)


@pytest.mark.equation("hyper-scaling")
@given(sizes, st.floats(1.0, 1e4), st.floats(1.1, 64.0))
def test_root_rule_keeps_the_progress_of_an_epoch_in_noise_the_linear_rule_without(
    lr: float, batch: float, kappa: float
) -> None:
    for mean, noise, power in ((1e-6, 1.0, 0.5), (1.0, 1e-6, 1.0)):
        before = progress(lr, mean, noise, batch)
        after = progress(lr * kappa**power, mean, noise, batch * kappa)
        assert after == pytest.approx(before, rel=1e-6, abs=0)
        other = progress(lr * kappa ** (1.5 - power), mean, noise, batch * kappa)
        assert other != pytest.approx(before, rel=0.02, abs=0)


@pytest.mark.equation("hyper-best-of-n")
@given(st.lists(st.floats(0, 10), min_size=1, max_size=9), st.data())
def test_expected_best_is_the_mean_minimum_over_all_choices_of_runs(
    losses: list[float], data: st.DataObject
) -> None:
    trials = data.draw(st.integers(1, len(losses)))
    everything = [min(choice) for choice in itertools.combinations(losses, trials)]
    ordered, n = sorted(losses), len(losses)
    written = sum(
        math.comb(n - i, trials - 1) / math.comb(n, trials) * ordered[i - 1]
        for i in range(1, n - trials + 2)
    )
    assert written == pytest.approx(np.mean(everything), abs=1e-9)
    assert theory.expected_best(losses, trials) == pytest.approx(
        np.mean(everything), abs=1e-9
    )


@pytest.mark.equation("hyper-hit")
@given(st.floats(0.02, 0.95), st.integers(1, 30))
def test_at_least_one_of_n_trials_hits_with_one_minus_all_misses(
    share: float, n: int
) -> None:
    rng = np.random.default_rng(n)
    hit = (rng.random((20_000, n)) < share).any(axis=1).mean()
    assert hit == pytest.approx(1 - (1 - share) ** n, abs=0.02)


@pytest.mark.equation("hyper-yardstick")
@pytest.mark.parametrize("n", [3, 10])
def test_difference_of_two_means_is_within_two_standard_errors_in_95_of_100_cases(
    n: int,
) -> None:
    rng = np.random.default_rng(n)
    s = 1.7
    means = s * rng.standard_normal((2, 100_000, n)).mean(axis=2)
    difference = means[0] - means[1]
    assert 2 * difference.std() == pytest.approx(2 * s * math.sqrt(2 / n), rel=0.01)
    assert np.mean(np.abs(difference) < 2 * s * math.sqrt(2 / n)) == pytest.approx(
        0.954, abs=0.005
    )


def updates(
    gradients: NDArray[np.float64], beta1: float, beta2: float
) -> NDArray[np.float64]:
    """Adam's last step in learning rates; one row of gradients per step."""
    walked = reference.walk(
        reference.adam, gradients, lr=1.0, beta1=beta1, beta2=beta2, eps=0.0
    )
    return np.asarray(walked.updates[-1])


@pytest.mark.equation("hyper-ratio")
@given(st.lists(sizes, min_size=1, max_size=12), st.floats(0, 0.99))
def test_squared_step_is_a_double_sum_over_the_mean_square(
    history: list[float], beta1: float
) -> None:
    g = np.array(history) * np.resize([1.0, -1.0, 1.0], len(history))
    t = len(g)
    w = (1 - beta1) * beta1 ** np.arange(t - 1.0, -1, -1) / (1 - beta1**t)
    written = sum(
        w[i] * w[k] * g[i] * g[k] for i in range(t) for k in range(t)
    ) / np.mean(g**2)
    measured = updates(g[:, None], beta1, 1 - 1e-9)[0] ** 2
    assert measured == pytest.approx(written, rel=1e-5, abs=1e-9)


@pytest.mark.equation("hyper-first-steps")
@pytest.mark.parametrize("kind", ["normal", "laplace", "one size for all steps"])
@pytest.mark.parametrize(
    ("t", "beta1"), [(1, 0.9), (3, 0.9), (10, 0.9), (40, 0.9), (5, 0.5)]
)
def test_mean_squared_step_on_symmetric_noise_is_the_variance_of_the_corrected_mean(
    kind: str, t: int, beta1: float
) -> None:
    rng = np.random.default_rng(t)
    shape = (t, 40_000)
    noise = rng.laplace(size=shape) if kind == "laplace" else rng.standard_normal(shape)
    if kind == "one size for all steps":
        # Not independent: in each coordinate all steps share one random size.
        noise = np.sign(noise) * np.exp(2 * rng.standard_normal(40_000))
    measured = np.mean(updates(noise, beta1, 1 - 1e-9) ** 2)
    expected = (1 - beta1) / (1 + beta1) * (1 + beta1**t) / (1 - beta1**t)
    assert measured == pytest.approx(expected, rel=0.03)
    assert theory.mean_variance(t, beta1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.equation("hyper-unequal")
@pytest.mark.parametrize(("n", "k"), [(5, 5), (20, 5), (100, 1)])
def test_side_with_more_trials_wins_in_proportion_to_them(n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    wins = rng.random((20_000, n)).min(axis=1) < rng.random((20_000, k)).min(axis=1)
    assert wins.mean() == pytest.approx(n / (n + k), abs=0.012)
