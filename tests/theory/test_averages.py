from __future__ import annotations

import math

import numpy as np
import pytest

from adam_tutorial import theory


@pytest.mark.parametrize("beta", [-0.1, 1.0, 1.5, math.nan])
def test_decay_rates_outside_zero_to_one_are_refused_by_name(beta: float) -> None:
    for call in (
        lambda: theory.bias_correction(beta, 1),
        lambda: theory.moving_average_weights(beta, 3),
        lambda: theory.step_size_factor(1, beta1=beta),
        lambda: theory.zeta([1.0, 2.0], beta),
        lambda: theory.lone_gradient_travel(beta, 0.9),
        lambda: theory.lone_gradient_travel(0.9, beta),
    ):
        with pytest.raises(ValueError, match=r"beta.* must be in \[0, 1\), got"):
            call()


@pytest.mark.parametrize("t", [0, -3])
def test_steps_are_counted_from_one(t: int) -> None:
    with pytest.raises(ValueError, match=f"t must be at least 1.*got {t}"):
        theory.bias_correction(0.9, t)
    with pytest.raises(ValueError, match=f"t must be at least 1.*got {t}"):
        theory.moving_average_weights(0.9, t)


def test_correction_is_one_without_memory() -> None:
    assert [theory.bias_correction(0.0, t) for t in (1, 2, 1000)] == [1.0, 1.0, 1.0]


def test_correction_tends_to_one_for_many_steps() -> None:
    assert theory.bias_correction(0.999, 10**9) == 1.0


def test_correction_keeps_its_digits_for_beta_very_close_to_one() -> None:
    assert theory.bias_correction(1 - 2.0**-40, 1) == 2.0**-40


def test_weights_are_oldest_first_and_grow_by_one_over_beta() -> None:
    weights = theory.moving_average_weights(0.5, 4)
    np.testing.assert_array_equal(weights, [0.0625, 0.125, 0.25, 0.5])
    np.testing.assert_array_equal(
        theory.moving_average_weights(0.0, 3), [0.0, 0.0, 1.0]
    )


def test_zeta_of_a_steady_gradient_is_zero() -> None:
    assert theory.zeta([3.0] * 7, 0.9) == 0.0


def test_zeta_needs_one_dimension() -> None:
    with pytest.raises(ValueError, match=r"one dimension, got shape \(2, 2\)"):
        theory.zeta(np.ones((2, 2)), 0.9)


@pytest.mark.parametrize("ratio", [1.0, -2.0])
def test_moments_of_some_gradients_are_their_weighted_means(ratio: float) -> None:
    """Of gradients for which no factor is one: to divide by it is another result."""
    gradients = 3.0 * ratio ** np.arange(1, 5)
    m = theory.moving_average_weights(0.5, 4) @ gradients
    v = theory.moving_average_weights(0.75, 4) @ gradients**2
    found = theory.geometric_gradient_moments(3.0, ratio, 4, 0.5, 0.75)
    assert found == pytest.approx((m, v), rel=1e-12)


def test_moments_of_equal_gradients_are_those_of_the_ratio_one() -> None:
    found = theory.constant_gradient_moments(3.0, 4, 0.5, 0.75)
    equal = theory.geometric_gradient_moments(3.0, 1.0, 4, 0.5, 0.75)
    assert found == pytest.approx(equal, rel=1e-12)
