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


def test_step_size_factor_has_its_minimum_at_step_12() -> None:
    factors = {t: theory.step_size_factor(t) for t in range(1, 6000)}
    assert factors[1] == pytest.approx(0.3162, abs=1e-4)
    assert min(factors, key=lambda t: factors[t]) == 12
    assert factors[12] == pytest.approx(0.1522, abs=1e-4)
    assert factors[100] == pytest.approx(0.3086, abs=1e-4)
    assert factors[5000] == pytest.approx(0.9966, abs=1e-4)


def test_zeta_of_a_steady_gradient_is_zero() -> None:
    assert theory.zeta([3.0] * 7, 0.9) == 0.0


def test_zeta_needs_one_dimension() -> None:
    with pytest.raises(ValueError, match=r"one dimension, got shape \(2, 2\)"):
        theory.zeta(np.ones((2, 2)), 0.9)


def test_a_lone_gradient_travels_31_8_learning_rates_at_the_defaults() -> None:
    assert theory.lone_gradient_travel() == pytest.approx(31.76, abs=0.01)


def test_a_lone_gradient_travels_without_end_when_beta1_is_too_large() -> None:
    with pytest.raises(
        ValueError, match=r"beta1 must be less than sqrt\(beta2\), got 0.9 and 0.8"
    ):
        theory.lone_gradient_travel(0.9, 0.8)


# Schedules and searches


@pytest.mark.parametrize("t", [0, -1])
def test_factors_of_a_schedule_count_from_one(t: int) -> None:
    refused = pytest.raises(ValueError, match=rf"t must be .*got {t}")
    with refused:
        theory.warmup_factor(t, 10)
    with refused:
        theory.cosine_factor(t, 10)
    with refused:
        theory.wsd_factor(t, 10, 2)


def test_a_schedule_ends_with_the_run() -> None:
    refused = pytest.raises(ValueError, match="t must be between 1 and 10, got 11")
    with refused:
        theory.cosine_factor(11, 10)
    with refused:
        theory.wsd_factor(11, 10, 2)


@pytest.mark.parametrize("steps", [-1, math.nan, math.inf])
def test_length_of_a_warmup_is_zero_or_more(steps: float) -> None:
    with pytest.raises(ValueError, match="steps must be finite and not negative, got"):
        theory.warmup_factor(1, steps)


def test_without_warmup_the_first_step_has_the_full_learning_rate() -> None:
    assert theory.warmup_factor(1, 0) == 1.0


def test_warmup_never_falls_and_is_over_after_its_steps() -> None:
    factors = [theory.warmup_factor(t, 7.5) for t in range(1, 20)]
    assert factors == sorted(factors)
    assert factors[6] < 1 == factors[7] == factors[-1]


def test_untuned_warmup_needs_a_decay_rate() -> None:
    with pytest.raises(ValueError, match=r"beta2 must be in \[0, 1\), got 1"):
        theory.untuned_warmup_steps(1.0)


@pytest.mark.parametrize("decay", [0, 11])
def test_decay_of_wsd_is_within_the_run(decay: int) -> None:
    with pytest.raises(
        ValueError, match=f"decay must be between 1 and 10, got {decay}"
    ):
        theory.wsd_factor(3, 10, decay)


def test_one_trial_reaches_the_mean_and_all_trials_the_minimum() -> None:
    losses = [3.0, 1.0, 8.0]
    assert theory.expected_best(losses, 1) == pytest.approx(4.0)
    assert theory.expected_best(losses, 3) == 1.0


def test_search_that_may_meet_only_diverged_runs_expects_an_infinite_loss() -> None:
    losses = [1.0, math.inf, math.inf]
    assert theory.expected_best(losses, 2) == math.inf
    assert theory.expected_best(losses, 3) == 1.0


@pytest.mark.parametrize("losses", [[], [math.nan], [[1.0, 2.0]]])
def test_expected_best_needs_a_list_of_numbers(losses: list[float]) -> None:
    with pytest.raises(
        ValueError, match="losses must be a list of numbers without NaN"
    ):
        theory.expected_best(losses, 1)


@pytest.mark.parametrize("trials", [0, 3])
def test_trials_are_at_most_the_recorded_runs(trials: int) -> None:
    with pytest.raises(
        ValueError, match=f"trials must be between 1 and 2, got {trials}"
    ):
        theory.expected_best([1.0, 2.0], trials)
