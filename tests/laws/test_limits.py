"""Laws P14 to P17: the rules that Adam turns into, and what epsilon does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adam_tutorial import reference, theory
from tests.laws.implementations import Array, Implementation
from tests.laws.law import (
    NO_EPS,
    beta1s,
    beta2s,
    both,
    breaks,
    close,
    numbers,
    scaled,
    tables,
)


@both
@breaks(distort_update=scaled)
@given(tables)
def test_p14_without_memory_adam_is_sign_descent(
    implementation: Implementation, g: Array
) -> None:
    updates = implementation.follow(g, beta1=0.0, beta2=0.0, **NO_EPS).updates
    close(updates, -0.1 * np.sign(g))


@both
@breaks(distort_update=scaled)
@given(tables, beta2s)
def test_p14_with_beta1_zero_adam_is_rmsprop_with_a_corrected_learning_rate(
    implementation: Implementation, g: Array, beta2: float
) -> None:
    updates = implementation.follow(g, beta1=0.0, beta2=beta2, **NO_EPS).updates
    state = None
    for t, row in enumerate(g, start=1):
        lr = 0.1 * math.sqrt(theory.bias_correction(beta2, t))
        state, update = reference.rmsprop(state, row, lr=lr, beta=beta2, eps=0.0)
        close(updates[t - 1], update)


@both
@breaks(distort_update=scaled)
@given(tables)
def test_p14_with_beta2_to_one_and_a_falling_lr_adam_is_adagrad(
    implementation: Implementation, g: Array
) -> None:
    updates = implementation.follow(
        g, beta1=0.0, beta2=1 - 1e-10, eps=0.0, lr=lambda t: 0.1 / math.sqrt(t)
    ).updates
    state = None
    for row, update in zip(g, updates, strict=True):
        state, expected = reference.adagrad(state, row, lr=0.1, eps=0.0)
        close(update, expected, rtol=1e-7)


@both
@breaks(distort_update=scaled)
@given(tables, beta1s, beta2s)
def test_p14_with_a_large_eps_adam_is_momentum(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    eps, t = 1e7, len(g)
    run = implementation.follow(g, lr=0.1 * eps, eps=eps, beta1=beta1, beta2=beta2)
    m_hat = run.m[-1] / theory.bias_correction(beta1, t)
    root = np.sqrt(run.v[-1] / theory.bias_correction(beta2, t))
    size = np.abs(g).max()
    close(
        run.updates[-1] / size,
        -0.1 * m_hat * (1 - root / (root + eps)) / size,
        atol=1e-11,
    )


@both
@breaks(distort_update=scaled)
@given(tables, st.floats(0.1, 0.99))
def test_p15_with_equal_betas_the_step_is_a_sign_damped_by_the_spread(
    implementation: Implementation, g: Array, beta: float
) -> None:
    run, t = implementation.follow(g, beta1=beta, beta2=beta, **NO_EPS), len(g)
    correction = theory.bias_correction(beta, t)
    m_hat, v_hat = run.m[-1] / correction, run.v[-1] / correction
    assume(np.all(np.abs(m_hat) > 1e-4 * np.sqrt(v_hat)))
    spread = v_hat - m_hat**2
    assert np.all(spread >= -1e-9 * v_hat)
    expected = -0.1 * np.sign(m_hat) / np.sqrt(1 + np.maximum(spread, 0) / m_hat**2)
    close(run.updates[-1], expected, rtol=1e-6)


@both
@breaks(override={"eps": 2e-3})
@given(tables, beta1s, beta2s)
def test_p16_efficient_order_is_the_same_with_eps_hat_times_the_root(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    g, eps = 1e-4 * g, 1e-3
    updates = implementation.follow(
        g, beta1=beta1, beta2=beta2, lr=0.1, eps=eps
    ).updates
    state = None
    for t, row in enumerate(g, start=1):
        eps_hat = eps * math.sqrt(theory.bias_correction(beta2, t))
        state, expected = reference.adam_efficient(
            state, row, lr=0.1, beta1=beta1, beta2=beta2, eps_hat=eps_hat
        )
        close(updates[t - 1], expected)


@both
@breaks(override={"eps": 1.5e-8})
def test_p16_constant_eps_hat_acts_like_an_eps_31_6_times_larger_at_first(
    implementation: Implementation,
) -> None:
    state, g = None, 1e-8
    for t in range(1, 1501):
        state, constant = reference.adam_efficient(state, np.array(g), eps_hat=1e-8)
        if t in (1, 100, 1500):
            factor = 1 / math.sqrt(theory.bias_correction(0.999, t))
            run = implementation.follow([g] * t, eps=1e-8 * factor)
            close(run.updates[-1], constant, atol=0)
    assert 1 / math.sqrt(theory.bias_correction(0.999, 1)) == pytest.approx(
        31.6, abs=0.05
    )


@pytest.mark.equation("theory-lazy")
@both
@breaks(distort_update=lambda t, u, _theta: u if t == 1 else 0 * u)
@given(numbers, st.floats(0.05, 0.95), st.floats(0.95, 0.9999))
def test_p17_one_gradient_and_then_zeros_keeps_moving(
    implementation: Implementation, g: float, beta1: float, beta2: float
) -> None:
    steps = implementation.follow(
        [g] + [0.0] * 30, beta1=beta1, beta2=beta2, **NO_EPS
    ).updates
    expected = [
        -0.1 * np.sign(g) * theory.lazy_update(k, beta1, beta2) for k in range(31)
    ]
    close(steps, expected)


@both
@breaks(distort_update=lambda t, u, _theta: u if t == 1 else 0 * u)
def test_p17_total_travel_is_6_0055_and_a_coordinate_without_gradients_rests(
    implementation: Implementation,
) -> None:
    run = implementation.follow([[5.0, 0.0]] + [[0.0, 0.0]] * 400, lr=1.0)
    assert -run.theta[-1, 0] == pytest.approx(6.0055, abs=1e-4)
    assert theory.lazy_travel() == pytest.approx(6.0055, abs=1e-4)
    close(-run.updates[:4, 0], [1, 0.670, 0.518, 0.424], atol=5e-4)
    assert not run.theta[:, 1].any()
    with np.errstate(invalid="ignore"):
        assert np.isnan(implementation.follow([0.0], lr=1.0, eps=0.0).theta[-1])
