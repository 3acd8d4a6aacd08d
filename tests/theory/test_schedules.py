from __future__ import annotations

import math

import pytest

from adam_tutorial import theory


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
