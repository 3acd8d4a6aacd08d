"""The equations of the length of Adam's steps, beside runs of the rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike

from adam_tutorial import reference, theory
from adam_tutorial._types import Array

beta1s = st.floats(0.01, 0.98)
beta2s = st.floats(0.02, 0.9995)
# Both signs, six decades, no zeros: with eps = 0 a zero at the first step would be 0/0.
gradients = st.floats(-3, 3).flatmap(
    lambda power: st.sampled_from([10.0**power, -(10.0**power)])
)
histories = st.lists(gradients, min_size=1, max_size=25)
tables = arrays(float, st.tuples(st.integers(1, 8), st.just(3)), elements=gradients)


def lengths(
    history: Sequence[float] | Array,
    rule: Callable[..., Any] = reference.adam,
    *,
    state: Any = None,
    eps: float = 0.0,
    **betas: float,
) -> Array:
    """Return minus each update, in learning rates."""
    settings: dict[str, Any] = {"lr": 1.0, "eps": eps, **betas}
    return -reference.walk(rule, history, state=state, **settings).updates


def settled(m: ArrayLike, v: ArrayLike) -> reference.AdamState:
    """Return a state so late that there is no bias left to correct."""
    return reference.AdamState(
        10**8, np.asarray(m, dtype=float), np.asarray(v, dtype=float)
    )


def weights(beta: float, t: int) -> Array:
    """Return the corrected weights, from their formula."""
    return np.array(
        [(1 - beta) * beta ** (t - i) / (1 - beta**t) for i in range(1, t + 1)]
    )


@pytest.mark.equation("step-update")
@given(histories, beta1s, beta2s, st.floats(1e-4, 1))
def test_update_without_eps_is_minus_lr_times_mean_over_root_of_mean_square(
    history: list[float], b1: float, b2: float, lr: float
) -> None:
    _, updates, states = reference.walk(
        reference.adam, history, lr=lr, beta1=b1, beta2=b2, eps=0.0
    )
    for t, (update, state) in enumerate(zip(updates, states, strict=True), start=1):
        m_hat = float(state.m) / (1 - b1**t)
        v_hat = float(state.v) / (1 - b2**t)
        assert float(update) == pytest.approx(-lr * m_hat / math.sqrt(v_hat), rel=1e-7)


@pytest.mark.equation("step-spike")
@given(st.integers(1, 300), beta1s, beta2s)
def test_zeros_and_one_gradient_give_the_papers_factor_times_the_corrections(
    t: int, b1: float, b2: float
) -> None:
    history = np.r_[np.zeros(t - 1), 3.0]
    step = lengths(history, eps=1e-300, beta1=b1, beta2=b2)[-1]
    formula = (1 - b1) / math.sqrt(1 - b2) * math.sqrt(1 - b2**t) / (1 - b1**t)
    assert step == pytest.approx(formula, rel=1e-8)


@pytest.mark.equation("step-weights")
@given(histories, beta1s, beta2s)
def test_step_is_a_weighted_mean_over_the_root_of_another_weighted_mean_of_squares(
    history: list[float], b1: float, b2: float
) -> None:
    g, t = np.array(history), len(history)
    a, b = weights(b1, t), weights(b2, t)
    assert a.sum() == pytest.approx(1)
    assert b.sum() == pytest.approx(1)
    step = abs(lengths(g, beta1=b1, beta2=b2)[-1])
    # Where gradients cancel, what is left is compared with what was added up.
    slack = 1e-9 * (a @ np.abs(g)) / math.sqrt(b @ g**2)
    assert step == pytest.approx(abs(a @ g) / math.sqrt(b @ g**2), rel=1e-8, abs=slack)


@pytest.mark.equation("step-cauchy")
@given(histories, beta1s, beta2s)
def test_weighted_sum_is_at_most_the_product_of_the_two_roots(
    history: list[float], b1: float, b2: float
) -> None:
    g, t = np.array(history), len(history)
    a, b = weights(b1, t), weights(b2, t)
    left, right = abs(a @ g), math.sqrt((a**2 / b).sum()) * math.sqrt(b @ g**2)
    assert left <= right * (1 + 1e-12)
    # It is an equality for gradients in proportion to a / b.
    best = a / b
    right = math.sqrt((a**2 / b).sum()) * math.sqrt(b @ best**2)
    assert a @ best == pytest.approx(right, rel=1e-9)


@pytest.mark.equation("step-supremum")
@given(histories, st.floats(0.0, 0.98), beta2s)
def test_no_step_is_longer_than_the_supremum(
    history: list[float], b1: float, b2: float
) -> None:
    steps = np.abs(lengths(history, beta1=b1, beta2=b2))
    c = b1**2 / b2
    for t, step in enumerate(steps, start=1):
        formula = (1 - b1) / math.sqrt(1 - b2) * math.sqrt(1 - b2**t) / (1 - b1**t)
        formula *= math.sqrt(sum(c**k for k in range(t)))
        assert step <= formula * (1 + 1e-9)
        assert theory.step_supremum(t, b1, b2) == pytest.approx(formula, rel=1e-9)


@pytest.mark.equation("step-attained")
@given(st.integers(1, 40), beta1s, beta2s, gradients)
def test_gradients_growing_by_the_quotient_of_the_rates_attain_the_supremum_each_time(
    count: int, b1: float, b2: float, k: float
) -> None:
    assume(0.5 < b2 / b1 < 2)
    steps = lengths(
        [k * (b2 / b1) ** i for i in range(1, count + 1)], beta1=b1, beta2=b2
    )
    expected = [theory.step_supremum(t, b1, b2) for t in range(1, count + 1)]
    np.testing.assert_allclose(np.sign(k) * steps, expected, rtol=1e-7)


@pytest.mark.equation("step-attained")
@given(
    st.integers(2, 12), beta1s, beta2s, st.integers(0, 11), st.sampled_from([0.9, 1.1])
)
def test_a_change_of_one_gradient_makes_the_longest_step_shorter(
    count: int, b1: float, b2: float, where: int, factor: float
) -> None:
    assume(0.5 < b2 / b1 < 2)
    g = (b2 / b1) ** np.arange(1.0, count + 1)
    changed = g.copy()
    changed[where % count] *= factor
    step = lengths(changed, beta1=b1, beta2=b2)[-1]
    assert step <= theory.step_supremum(count, b1, b2) * (1 + 1e-12)
    share = weights(b2, count) * g**2
    if (
        share[where % count] > 0.01 * share.sum()
        and share[where % count] < 0.99 * share.sum()
    ):
        assert step < theory.step_supremum(count, b1, b2) * (1 - 1e-6)


@pytest.mark.equation("step-travel")
@given(histories, beta1s, beta2s)
def test_distance_is_at_most_the_sum_of_the_suprema_and_growing_gradients_reach_it(
    history: list[float], b1: float, b2: float
) -> None:
    assume(0.5 < b2 / b1 < 2)
    bound = sum(theory.step_supremum(t, b1, b2) for t in range(1, len(history) + 1))
    travelled = lengths(history, beta1=b1, beta2=b2).sum()
    assert abs(travelled) <= bound * (1 + 1e-9)
    growing = [(b2 / b1) ** i for i in range(1, len(history) + 1)]
    assert lengths(growing, beta1=b1, beta2=b2).sum() == pytest.approx(bound, rel=1e-7)


@pytest.mark.equation("step-chi")
@given(st.integers(1, 60), beta1s, beta2s)
def test_square_of_the_supremum_is_one_plus_the_distance_of_the_two_sets_of_weights(
    t: int, b1: float, b2: float
) -> None:
    a, b = weights(b1, t), weights(b2, t)
    formula = 1 + ((a - b) ** 2 / b).sum()
    assert theory.step_supremum(t, b1, b2) ** 2 == pytest.approx(formula, rel=1e-7)


@pytest.mark.equation("step-limit", "step-versus-claim")
@given(st.floats(0.0, 0.98), beta2s)
def test_supremum_converges_to_its_limit_in_all_three_forms(
    b1: float, b2: float
) -> None:
    assume(b1 * b1 < 0.95 * b2)
    first = (1 - b1) * math.sqrt(b2 / ((1 - b2) * (b2 - b1**2)))
    second = math.sqrt(1 + (b2 - b1) ** 2 / ((1 - b2) * (b2 - b1**2)))
    third = (1 - b1) / math.sqrt(1 - b2) / math.sqrt(1 - b1**2 / b2)
    late = theory.step_supremum(20_000, b1, b2)
    for form in (first, second, third):
        assert form == pytest.approx(late, rel=1e-4)
        assert form >= 1 - 1e-12
        assert form == pytest.approx(theory.step_supremum(None, b1, b2), rel=1e-9)


@pytest.mark.equation("step-limit")
def test_supremum_is_one_for_equal_rates_and_unbounded_below_beta1_squared() -> None:
    for beta in (0.5, 0.9, 0.99):
        for t in (1, 2, 10, 1000):
            assert theory.step_supremum(t, beta, beta) == pytest.approx(1, rel=1e-9)
    assert theory.step_supremum(None, 0.9, 0.81) == math.inf
    assert theory.step_supremum(10_000, 0.9, 0.81) > 20
    assert theory.step_supremum(1000, 0.95, 0.9) > 10


def quotient_of_sums(x: float, t: int) -> float:
    """Return the F of the proof that the supremum never falls."""
    return (1 - x ** (t + 1)) / (1 - x**t)


@pytest.mark.equation("step-increasing")
@given(st.integers(1, 60), st.floats(0.0, 0.98), beta2s)
def test_supremum_never_falls_and_its_growth_is_the_quotient_of_three_sums(
    t: int, b1: float, b2: float
) -> None:
    c = b1**2 / b2
    assume(abs(c - 1) > 1e-3)
    now, later = (
        sum(weights(b1, n) ** 2 / weights(b2, n)) if b1 else (1 - b2**n) / (1 - b2)
        for n in (t, t + 1)
    )
    formula = (
        quotient_of_sums(b2, t) * quotient_of_sums(c, t) / quotient_of_sums(b1, t) ** 2
    )
    assert later / now == pytest.approx(formula, rel=1e-8)
    assert formula >= 1 - 1e-9
    assert theory.step_supremum(t + 1, b1, b2) >= theory.step_supremum(t, b1, b2) * (
        1 - 1e-12
    )


@pytest.mark.equation("step-increasing")
@given(st.integers(1, 20), st.floats(0.1, 2.0), st.sampled_from([-1.0, 1.0]))
def test_logarithm_of_the_quotient_is_convex_with_the_second_derivative_of_the_proof(
    t: int, size: float, sign: float
) -> None:
    def h(u: float) -> float:
        return ((u / 2) / math.sinh(u / 2)) ** 2

    s, step = sign * size, 1e-3
    log_f = [math.log(quotient_of_sums(math.exp(s + k * step), t)) for k in (-1, 0, 1)]
    measured = (log_f[0] - 2 * log_f[1] + log_f[2]) / step**2
    formula = (h(t * s) - h((t + 1) * s)) / s**2
    assert measured == pytest.approx(formula, rel=1e-3, abs=1e-6)
    assert formula > -1e-12


@pytest.mark.equation("step-jump")
@given(
    st.integers(1, 80), st.floats(0.1, 100), st.floats(0, 0.98), st.floats(0, 0.9995)
)
def test_steps_after_a_jump_of_a_steady_gradient_are_their_formula(
    k: int, ratio: float, b1: float, b2: float
) -> None:
    step = lengths([ratio] * k, state=settled(1, 1), beta1=b1, beta2=b2)[-1]
    formula = (1 + (ratio - 1) * (1 - b1**k)) / math.sqrt(
        1 + (ratio**2 - 1) * (1 - b2**k)
    )
    assert step == pytest.approx(formula, rel=1e-8)
    assert theory.jump_step(k, ratio, b1, b2) == pytest.approx(formula, rel=1e-12)


@pytest.mark.equation("step-jump")
def test_large_jumps_give_the_uncorrected_steps_of_a_start() -> None:
    steps = [theory.jump_step(k, 1e9) for k in range(1, 100)]
    uncorrected = [1 / theory.step_size_factor(k) for k in range(1, 100)]
    np.testing.assert_allclose(steps, uncorrected, rtol=1e-6)
    assert int(np.argmax(steps)) + 1 == 12
    assert max(steps) == pytest.approx(6.57, abs=0.005)


@pytest.mark.equation("step-adamax")
@given(histories, st.floats(0.0, 0.9), st.floats(0.91, 0.9999))
def test_adamax_step_is_at_most_its_bound_and_shrinking_gradients_attain_it(
    history: list[float], b1: float, b2: float
) -> None:
    rho = b1 / b2
    bounds = [
        (1 - b1) * (1 - rho**t) / ((1 - b1**t) * (1 - rho))
        for t in range(1, len(history) + 1)
    ]
    steps = np.abs(lengths(history, reference.adamax, beta1=b1, beta2=b2))
    assert np.all(steps <= np.array(bounds) * (1 + 1e-9))
    shrinking = [b2**i for i in range(1, len(history) + 1)]
    attained = lengths(shrinking, reference.adamax, beta1=b1, beta2=b2)
    np.testing.assert_allclose(attained, bounds, rtol=1e-9)
    computed = [
        theory.adamax_step_supremum(b1, b2, t) for t in range(1, len(history) + 1)
    ]
    np.testing.assert_allclose(computed, bounds, rtol=1e-9)


@pytest.mark.equation("step-symmetries")
@given(tables, beta1s, beta2s, st.permutations([0, 1, 2]))
def test_permuting_and_scaling_gradients_leaves_only_permutation_and_signs(
    table: Array, b1: float, b2: float, order: list[int]
) -> None:
    d = np.array([3.7, -0.02, 51.0])
    plain = lengths(table, beta1=b1, beta2=b2)
    changed = lengths((table * d)[:, order], beta1=b1, beta2=b2)
    np.testing.assert_allclose(
        changed, (np.sign(d) * plain)[:, order], rtol=1e-6, atol=1e-9
    )
    # Powers of two change no digit.
    exact = np.array([0.5, -8.0, 2.0**20])
    np.testing.assert_array_equal(
        lengths((table * exact)[:, order], beta1=b1, beta2=b2),
        (np.sign(exact) * plain)[:, order],
    )


@pytest.mark.equation("step-scale-eps")
@given(histories, beta1s, beta2s, st.floats(1e-3, 1e3), st.sampled_from([1e-8, 0.1]))
def test_scaling_gradient_and_eps_together_changes_nothing(
    history: list[float], b1: float, b2: float, c: float, eps: float
) -> None:
    plain = lengths(history, eps=eps, beta1=b1, beta2=b2)
    scaled = lengths(c * np.array(history), eps=c * eps, beta1=b1, beta2=b2)
    np.testing.assert_allclose(scaled, plain, rtol=1e-6, atol=1e-9)


@pytest.mark.equation("step-first-norm")
@given(arrays(float, st.integers(1, 30), elements=gradients), beta1s, beta2s)
def test_first_step_has_the_length_lr_times_root_of_the_number_of_coordinates(
    g: Array, b1: float, b2: float
) -> None:
    _, update = reference.adam(None, g, lr=0.3, beta1=b1, beta2=b2, eps=0.0)
    assert np.linalg.norm(update) == pytest.approx(0.3 * math.sqrt(len(g)), rel=1e-9)


@pytest.mark.equation("step-sign")
@given(
    st.lists(st.floats(0.1, 5), min_size=1, max_size=20),
    st.floats(0.01, 0.99),
    st.booleans(),
)
def test_equal_rates_give_the_sign_damped_by_the_spread(
    history: list[float], beta: float, negative: bool
) -> None:
    # A last gradient of the other sign, so that the mean is small against the spread.
    g = np.array([*history, -0.05]) * (-1 if negative else 1)
    w = weights(beta, len(g))
    mean, variance = w @ g, w @ (g - w @ g) ** 2
    assume(abs(mean) > 1e-6)
    step = lengths(g, beta1=beta, beta2=beta)[-1]
    assert step == pytest.approx(
        np.sign(mean) / math.sqrt(1 + variance / mean**2), rel=1e-6
    )


@pytest.mark.equation("step-snr")
@pytest.mark.parametrize("r", [0.0, 0.2, 1.0, -2.0])
@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_mean_and_size_of_steps_on_a_noisy_gradient(r: float, beta1: float) -> None:
    rng = np.random.default_rng(0)
    sigma, count = 3.0, 40_000
    start = settled(np.full(count, r * sigma), np.full(count, sigma**2 * (1 + r**2)))
    g = sigma * (r + rng.standard_normal((100, count)))
    steps = lengths(g, state=start, beta1=beta1, beta2=0.9999)[-1]
    mean = r / math.sqrt(1 + r**2)
    rms = math.sqrt((r**2 + (1 - beta1) / (1 + beta1)) / (1 + r**2))
    assert steps.mean() == pytest.approx(mean, abs=0.015)
    assert math.sqrt((steps**2).mean()) == pytest.approx(rms, rel=0.02)
    assert theory.noisy_step(r, beta1) == pytest.approx((mean, rms), abs=1e-12)


def near_a_minimum(lr: float, sigma: float, h: float, count: int = 4000) -> Array:
    """Return parameters on a noisy parabola, started on the floor, after some steps."""
    rng = np.random.default_rng(1)
    floor = math.sqrt(lr * sigma / (2 * h))
    walked = reference.walk(
        reference.adam,
        lambda theta: h * theta + sigma * rng.standard_normal(count),
        floor * rng.standard_normal(count),
        int(4 * sigma / (lr * h)),
        state=settled(np.zeros(count), np.full(count, sigma**2)),
        lr=lr,
        beta2=0.9999,
        eps=0.0,
    )
    return np.asarray(walked.points[-1])


@pytest.mark.equation("step-floor")
@pytest.mark.parametrize(("lr", "sigma", "h"), [(0.02, 1.0, 1.0), (0.05, 2.0, 0.5)])
def test_noise_keeps_a_parameter_at_the_floor(
    lr: float, sigma: float, h: float
) -> None:
    theta = near_a_minimum(lr, sigma, h)
    rms = math.sqrt((theta**2).mean())
    assert rms == pytest.approx(math.sqrt(lr * sigma / (2 * h)), rel=0.05)
    assert h / 2 * (theta**2).mean() == pytest.approx(lr * sigma / 4, rel=0.1)
    assert theory.adam_floor(lr, sigma, h) == pytest.approx(
        math.sqrt(lr * sigma / (2 * h))
    )


@pytest.mark.equation("step-linear")
def test_near_a_minimum_adam_drifts_as_its_linear_model() -> None:
    # Without momentum the model holds step by step: drift and noise are lr/sigma times
    # gradient.
    rng, sigma, h, lr, count = np.random.default_rng(2), 2.0, 0.7, 0.01, 400_000
    theta = np.full(count, 0.3)
    start = settled(np.zeros(count), np.full(count, sigma**2))
    xi = rng.standard_normal(count)
    _, update = reference.adam(
        start, h * theta + sigma * xi, lr=lr, beta1=0.0, beta2=0.999999, eps=0.0
    )
    np.testing.assert_allclose(
        update, -lr / sigma * (h * theta + sigma * xi), rtol=1e-4
    )


@pytest.mark.equation("step-linear")
def test_momentum_leaves_the_drift_of_the_linear_model() -> None:
    rng, sigma, h, lr, count = np.random.default_rng(3), 1.0, 0.5, 0.01, 20_000
    theta = np.full(count, 0.4)
    state = settled(np.full(count, h * 0.4), np.full(count, sigma**2 + (h * 0.4) ** 2))
    for _ in range(100):
        g = h * theta + sigma * rng.standard_normal(count)
        state, update = reference.adam(state, g, lr=lr, beta2=0.99999, eps=0.0)
        theta = theta + update
    assert theta.mean() == pytest.approx(0.4 * (1 - lr * h / sigma) ** 100, rel=0.03)


@pytest.mark.equation("step-zeros")
@given(gradients, st.integers(0, 60), beta1s, beta2s)
def test_step_after_one_first_gradient_and_zeros_is_its_formula(
    g: float, k: int, b1: float, b2: float
) -> None:
    assume(b2**k > 1e-200)
    step = abs(lengths([g] + [0.0] * k, beta1=b1, beta2=b2)[-1])
    corrections = math.sqrt(1 - b2 ** (k + 1)) / (1 - b1 ** (k + 1))
    formula = (1 - b1) / math.sqrt(1 - b2) * corrections * (b1 / math.sqrt(b2)) ** k
    assert step == pytest.approx(formula, rel=1e-8)


@pytest.mark.equation("step-spike-size")
@given(st.floats(0.01, 1e6), st.floats(0.01, 100), st.floats(0, 0.98), beta2s)
def test_step_on_a_spike_is_its_formula_and_at_most_the_papers_bound(
    ratio: float, sigma: float, b1: float, b2: float
) -> None:
    step = lengths([ratio * sigma], state=settled(0, sigma**2), beta1=b1, beta2=b2)[-1]
    formula = (1 - b1) * ratio / math.sqrt(b2 + (1 - b2) * ratio**2)
    assert step == pytest.approx(formula, rel=1e-8)
    assert formula <= (1 - b1) / math.sqrt(1 - b2) * (1 + 1e-12)
    assert theory.spike_step(ratio, b1, b2) == pytest.approx(formula, rel=1e-12)


@pytest.mark.equation("step-aftermath")
@pytest.mark.parametrize(
    ("k", "ratio", "b2"), [(0, 20.0, 0.99), (30, 20.0, 0.95), (100, 50, 0.999)]
)
def test_spike_stays_in_v_and_fades_with_beta2(k: int, ratio: float, b2: float) -> None:
    rng, sigma, count = np.random.default_rng(4), 1.5, 200_000
    state = settled(np.zeros(count), np.full(count, sigma**2))
    for i in range(k + 1):
        g = sigma * (rng.standard_normal(count) + ratio * (i == 0))
        state, _ = reference.adam(state, g, beta2=b2)
    expected = sigma**2 * (1 + (1 - b2) * b2**k * ratio**2)
    assert state.v.mean() == pytest.approx(expected, rel=0.005)


def average_bound(
    steps: int, growth: float, before: float, b1: float, b2: float
) -> float:
    rho = b1 / b2
    bracket = 1 + b2 / (1 - b2) * math.log(growth) / steps
    return (1 - b1) / (1 - rho) * bracket + rho / (1 - rho) * before**2 / steps


@pytest.mark.equation("step-average")
@given(
    histories,
    gradients,
    st.floats(0.01, 10),
    st.floats(0.0, 0.9),
    st.floats(0.91, 0.9995),
)
def test_mean_square_step_is_at_most_its_bound(
    history: list[float], m0: float, v0: float, b1: float, b2: float
) -> None:
    _, updates, states = reference.walk(
        reference.adam,
        history,
        state=settled(m0, v0),
        lr=1.0,
        beta1=b1,
        beta2=b2,
        eps=0.0,
    )
    arguments = (len(history), float(states[-1].v) / v0)
    bound = average_bound(*arguments, m0 / math.sqrt(v0), b1, b2)
    assert np.mean(updates**2) <= bound * (1 + 1e-9) + 1e-12
    computed = theory.mean_square_step_bound(*arguments, b1, b2, m0 / math.sqrt(v0))
    assert computed == pytest.approx(bound, rel=1e-9)


@pytest.mark.equation("step-average")
def test_bound_on_the_mean_square_step_is_close_for_steady_gradients() -> None:
    # Not only true but nearly attained: 1 for a constant gradient and no momentum.
    squares = lengths([2.0] * 500, state=settled(2, 4), beta1=0.0) ** 2
    assert squares.mean() == pytest.approx(
        average_bound(500, 1, 1, 0.0, 0.999), rel=1e-6
    )
    assert theory.mean_square_step_bound(10**9) == pytest.approx(1.0090909, abs=1e-6)


@pytest.mark.equation("step-average-log")
@given(st.floats(0.01, 100), gradients, st.floats(0.01, 0.9995))
def test_one_squared_gradient_over_v_is_at_most_one_plus_the_growth_of_log_v(
    v0: float, g: float, b2: float
) -> None:
    state, _ = reference.adam(settled(0, v0), g, beta2=b2)
    v = float(state.v)
    middle = (1 - b2 * v0 / v) / (1 - b2)
    assert g**2 / v == pytest.approx(middle, rel=1e-6, abs=1e-9 / (1 - b2))
    assert middle <= 1 + b2 / (1 - b2) * math.log(v / v0) + 1e-9


def test_arguments_out_of_range_are_refused_by_name() -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: theory.jump_step(0, 2.0), "k must be"),
        (lambda: theory.jump_step(1, 0.0), "ratio"),
        (lambda: theory.jump_step(1, 2.0, beta1=1.0), "beta1"),
        (lambda: theory.spike_step(math.inf), "ratio"),
        (lambda: theory.spike_step(1.0, beta2=1.0), "beta2"),
        (lambda: theory.noisy_step(math.nan), "snr"),
        (lambda: theory.noisy_step(1.0, beta1=-0.1), "beta1"),
        (lambda: theory.adam_floor(0.0, 1.0, 1.0), "lr"),
        (lambda: theory.adam_floor(0.1, -1.0, 1.0), "noise"),
        (lambda: theory.adam_floor(0.1, 1.0, math.nan), "curvature"),
        (lambda: theory.mean_square_step_bound(0), "steps"),
        (lambda: theory.mean_square_step_bound(1, growth=0.0), "growth"),
        (
            lambda: theory.mean_square_step_bound(1, beta1=0.9, beta2=0.9),
            "beta1 must be less",
        ),
        (lambda: theory.mean_square_step_bound(1, before=math.inf), "before"),
        (lambda: theory.adamax_step_supremum(0.9, 0.9), "beta1 must be less"),
        (lambda: theory.adamax_step_supremum(t=0), "t must be"),
    ]
    for call, name in cases:
        with pytest.raises(ValueError, match=name):
            call()
