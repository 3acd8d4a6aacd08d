"""The equations of runs that go wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from adam_tutorial import reference
from adam_tutorial.optim import Adam
from adam_tutorial.study.per_example import generalised_cross_entropy


@pytest.mark.equation("robust-nan")
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5),
    st.floats(0.1, 10),
    st.sampled_from([math.nan, None]),
)
def test_one_factor_for_all_makes_all_nan_if_one_is(
    gradients: list[float], limit: float, bad: float | None
) -> None:
    given_ = [*gradients, 1.0 if bad is None else bad]
    parameters = [
        torch.nn.Parameter(torch.zeros((), dtype=torch.float64)) for _ in given_
    ]
    for parameter, gradient in zip(parameters, given_, strict=True):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    clip_grad_norm_(parameters, limit)
    found = np.array([p.grad.item() for p in parameters if p.grad is not None])
    if bad is None:
        factor = min(1.0, limit / np.linalg.norm(given_))
        np.testing.assert_allclose(found, factor * np.array(given_), rtol=1e-4)
    else:
        assert np.isnan(found).all()


@pytest.mark.equation("robust-freeze")
@pytest.mark.parametrize("sign", [-1, 1])
def test_gradient_above_the_root_of_the_largest_number_freezes_its_weight(
    sign: int,
) -> None:
    limit = math.sqrt(torch.finfo(torch.float32).max)
    assert limit == pytest.approx(1.8e19, rel=0.03)
    weights = torch.nn.Parameter(torch.zeros(2, dtype=torch.float32))
    optimizer = Adam([weights], lr=0.1)
    weights.grad = sign * torch.tensor([1.001 * limit, 0.999 * limit])
    optimizer.step()
    v = optimizer.state[weights]["exp_avg_sq"]
    assert v.isinf().tolist() == [True, False]
    # No later gradient moves the first one, and nothing is NaN.
    frozen = weights[0].item()
    for _ in range(50):
        weights.grad = torch.ones(2)
        optimizer.step()
    assert weights[0].item() == frozen
    assert v[0].isinf()


@pytest.mark.equation("robust-interval")
@given(st.floats(0.01, 100), st.floats(1e4, 1e7))
def test_cost_of_saving_and_of_repeating_is_least_at_the_root(
    save: float, between: float
) -> None:
    def lost(interval: float) -> float:
        return save / interval + interval / (2 * between)

    best = math.sqrt(2 * save * between)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert lost(best) < lost(factor * best)


def test_half_an_interval_is_repeated_after_a_failure_on_average() -> None:
    rng = np.random.default_rng(0)
    failures = np.cumsum(rng.exponential(1000.0, size=20_000))
    repeated = failures % 30.0
    assert repeated.mean() == pytest.approx(15.0, rel=0.03)


def walk_after(gradient: float, beta1: float, beta2: float, steps: int) -> list[float]:
    """The steps of Adam, in learning rates, after one gradient late in a run."""
    state = reference.adam(None, np.zeros(1), lr=1.0)[0]
    state = state._replace(t=10**6)
    moves = []
    for k in range(steps):
        g = np.array([gradient if k == 0 else 0.0])
        state, update = reference.adam(
            state, g, lr=1.0, beta1=beta1, beta2=beta2, eps=0.0
        )
        moves.append(-float(update[0]))
    return moves


@pytest.mark.equation("lone-gradient")
@given(st.floats(1e-3, 1e6), st.floats(0.5, 0.95), st.floats(0.97, 0.9999))
def test_distance_after_a_lone_gradient_does_not_depend_on_it(
    gradient: float, beta1: float, beta2: float
) -> None:
    moves = walk_after(gradient, beta1, beta2, 400)
    expected = (1 - beta1) / math.sqrt(1 - beta2) / (1 - beta1 / math.sqrt(beta2))
    assert sum(moves) == pytest.approx(expected, rel=1e-3)
    first = (1 - beta1) / math.sqrt(1 - beta2)
    assert moves[0] == pytest.approx(first, rel=1e-6)


def test_at_the_defaults_a_lone_gradient_moves_by_32_learning_rates() -> None:
    moves = walk_after(1.0, 0.9, 0.999, 400)
    assert moves[0] == pytest.approx(3.16, abs=0.01)
    assert sum(moves) == pytest.approx(31.8, abs=0.1)


@pytest.mark.equation("robust-slow")
@given(st.floats(100, 1e5), st.floats(0.9, 0.9995))
def test_v_is_back_when_what_is_left_of_the_gradient_is_as_large_as_usual(
    size: float, beta2: float
) -> None:
    # The part of v that stems from one gradient of `size` times the usual.
    part, steps = (1 - beta2) * size**2, 0
    if part <= 1:
        return
    while part > 1:
        part *= beta2
        steps += 1
    expected = math.log((1 - beta2) * size**2) / -math.log(beta2)
    assert steps - 1 <= expected <= steps + 1e-6


def test_a_batch_in_wrong_units_inflates_v_for_four_thousand_steps() -> None:
    assert math.log(0.001 * 255**2) / -math.log(0.999) == pytest.approx(4173, abs=1)


@pytest.mark.equation("robust-gce")
@given(st.integers(0, 2**31), st.floats(0.05, 1.0))
def test_gradient_of_the_robust_loss_is_that_of_the_cross_entropy_times_a_power_of_p(
    seed: int, q: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 5, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    label = torch.tensor([seed % 5])
    (robust,) = torch.autograd.grad(generalised_cross_entropy(logits, label, q), logits)
    (plain,) = torch.autograd.grad(functional.cross_entropy(logits, label), logits)
    p = logits.detach().softmax(dim=1)[0, seed % 5]
    torch.testing.assert_close(robust, p**q * plain)
    torch.testing.assert_close(
        generalised_cross_entropy(logits, label, q), (1 - p**q) / q
    )
