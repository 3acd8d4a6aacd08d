"""Closed forms at the edges of what they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adam_tutorial import theory


def test_without_averages_no_step_is_longer_than_the_learning_rate() -> None:
    assert theory.step_supremum(None, 0.0, 0.0) == 1.0
    assert theory.step_supremum(3, 0.0, 0.0) == 1.0
    assert theory.step_supremum(1, 0.9, 0.999) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("t", [None, 1, 5])
def test_step_has_no_supremum_if_only_v_forgets_at_once(t: int | None) -> None:
    with pytest.raises(
        ValueError, match=r"beta2 must be positive where beta1 is, got beta1=0\.5"
    ):
        theory.step_supremum(t, 0.5, 0.0)


def test_step_supremum_is_finite_at_every_step_where_the_limit_is_infinite() -> None:
    # beta1**2 == beta2: the terms of the sum are all 1.
    assert theory.step_supremum(None, 0.5, 0.25) == math.inf
    three = 0.5 / math.sqrt(0.75) * theory.step_size_factor(3, 0.5, 0.25) * math.sqrt(3)
    assert theory.step_supremum(3, 0.5, 0.25) == pytest.approx(three, rel=1e-14)


def test_correction_of_a_momentum_that_is_zero_is_one() -> None:
    assert theory.decaying_bias_correction(0.0, 0.9, 4) == 1.0


def test_corrections_keep_their_digits_where_one_minus_beta_is_small() -> None:
    tiny = 1e-9
    exact = 2 * tiny - tiny**2
    assert theory.bias_correction(1 - tiny, 2) == pytest.approx(exact, rel=1e-7)
    beta = float(np.float64(1) - np.float64(tiny))
    expected = -math.expm1(2 * math.log(beta))
    assert theory.bias_correction(beta, 2) == expected
    assert theory.decaying_bias_correction(beta, 1.0, 2) == expected


def test_zeta_of_numbers_in_single_precision_is_computed_in_double() -> None:
    single = np.array([1e-3, 2.0, 0.1, 3.0], np.float32)
    assert theory.zeta(single, 0.9) == theory.zeta(single.astype(np.float64), 0.9)


def test_lazy_update_is_a_number_after_any_number_of_zero_gradients() -> None:
    late = theory.lazy_update(100_000, 0.99999, 0.99)
    assert 0 < late < math.inf


def test_square_root_rule_gives_each_setting_its_own_factor() -> None:
    lr, beta1, beta2, eps = theory.sde_scaling(4, 0.01, 0.9, 0.99, 1e-6)
    assert lr == pytest.approx(0.02)
    assert beta1 == pytest.approx(0.6)
    assert beta2 == pytest.approx(0.96)
    assert eps == pytest.approx(5e-7)


@pytest.mark.parametrize(
    ("kappa", "message"),
    [
        (11, r"kappa=11 is too large for beta1=0\.9"),
        (11.0, r"kappa=11\.0 is too large for beta1=0\.9"),
    ],
)
def test_square_root_rule_ends_where_a_rate_would_be_negative(
    kappa: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        theory.sde_scaling(kappa, beta1=0.9, beta2=0.999)
    with pytest.raises(ValueError, match=r"is too large for beta2=0\.5"):
        theory.sde_scaling(3, beta1=0.9, beta2=0.5)
    # At the end itself, the average is the last gradient.
    assert theory.sde_scaling(2, beta1=0.5, beta2=0.5)[1:3] == (0, 0)


def test_rectification_is_refused_up_to_and_at_four() -> None:
    # rho_1 is 1 for every beta2; rho_inf is 4 for beta2 = 0.6.
    with pytest.raises(ValueError, match="rho_t must be larger than 4, got 1 at t=1"):
        theory.radam_rectification(1, 0.999)
    with pytest.raises(ValueError, match="rho_t must be larger than 4, got 4 at"):
        theory.radam_rectification(10_000, 0.6)


def test_noise_has_no_floor_at_the_limit_of_the_step() -> None:
    limit = theory.step_limit(2.0, 0.5)
    assert theory.noise_floor(limit, 2.0, 1.0, 0.5) == math.inf
    assert theory.noise_floor(limit * (1 - 1e-9), 2.0, 1.0, 0.5) < math.inf


def test_equal_curvatures_are_solved_in_one_step() -> None:
    assert theory.best_descent(2.0, 2.0) == (0.5, 0.0)
    assert theory.best_heavy_ball(4.0, 4.0) == (0.25, 0.0, 0.0)


def test_long_runs_have_closed_forms_that_equal_their_sums() -> None:
    # Euler and Maclaurin's formula takes over after 1,000 terms.
    for t in (999, 1000, 1001, 30_000):
        exact = math.fsum(1 / math.sqrt(i) for i in range(1, t + 1))
        assert theory.adagrad_length(t) == pytest.approx(exact, rel=1e-15)
    # 2 sqrt(t) + zeta(1/2) + 1 / (2 sqrt(t)), with zeta(1/2) = -1.4603545088...
    far = 2 * 1e6 - 1.4603545088095868 + 5e-7
    assert theory.adagrad_length(10**12) == pytest.approx(far, rel=1e-15)


@pytest.mark.parametrize(
    ("beta1", "beta2"),
    [(0.9, 0.999), (0.9, 0.81), (0.95, 0.9), (0.9, 0.8100000001), (0.0, 0.9)],
)
@pytest.mark.parametrize("t", [1, 2, 30, 1000])
def test_step_supremum_is_the_root_of_its_sum(
    t: int, beta1: float, beta2: float
) -> None:
    terms = math.fsum((beta1**2 / beta2) ** k for k in range(t))
    summed = (
        (1 - beta1)
        / math.sqrt(1 - beta2)
        * theory.step_size_factor(t, beta1, beta2)
        * math.sqrt(terms)
    )
    assert theory.step_supremum(t, beta1, beta2) == pytest.approx(summed, rel=1e-12)


def test_step_supremum_far_out_is_the_limit_or_too_large_for_a_float() -> None:
    assert theory.step_supremum(10**9) == pytest.approx(theory.step_supremum())
    # ratio**t = 1e400 is too large for a float, its root is not.
    ratio, t = 10**0.4, 1000
    beta2 = 0.25 / ratio
    expected = 0.5 / math.sqrt(1 - beta2) * 1e200 / math.sqrt(ratio - 1)
    expected *= theory.step_size_factor(t, 0.5, beta2)
    assert theory.step_supremum(t, 0.5, beta2) == pytest.approx(expected, rel=1e-10)
    assert theory.step_supremum(10**9, 0.99, 0.9) == math.inf


def test_zero_gradients_without_end_leave_no_step_or_an_infinite_one() -> None:
    assert theory.lazy_update(10**9) == 0
    assert theory.lazy_update(10**9, 0.99, 0.5) == math.inf
    assert theory.lazy_update(5, 0.0) == 0
    assert theory.lazy_update(0, 0.0) == 1


def test_excess_is_infinite_where_it_is_too_large_for_a_float() -> None:
    assert theory.critical_excess(1e6) == math.inf
    assert 1e300 < theory.critical_excess(1410) < math.inf
