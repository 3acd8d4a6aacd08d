from __future__ import annotations

import math

import numpy as np
import pytest

from adam_tutorial.study.spike_score import spike_score, spike_steps


def test_a_loss_at_least_so_many_deviations_above_the_mean_before_is_a_spike() -> None:
    before = [1.0, 3.0] * 5  # mean 2, standard deviation 1
    assert spike_steps([*before, 5.0], window=10, deviations=3.0) == [11]
    assert spike_steps([*before, 4.99], window=10, deviations=3.0) == []
    assert spike_steps([*before, -9.0], window=10, deviations=3.0) == []


def test_only_the_window_before_counts_and_the_first_window_is_not_judged() -> None:
    losses = [9.0, 1.0, 3.0, 1.0, 3.0, 6.0]
    assert spike_steps(losses, window=4, deviations=3.0) == [6]
    assert spike_steps([1.0, 50.0, 1.0], window=3) == []
    assert spike_score(losses, window=4, deviations=3.0) == 0.5


def test_a_loss_that_is_not_finite_is_a_spike_and_spoils_no_window() -> None:
    losses = [1.0, 2.0, 1.0, 2.0, math.nan, math.inf, 1.5, 90.0]
    assert spike_steps(losses, window=4, deviations=5.0) == [5, 6, 8]
    assert spike_steps([math.nan] * 5, window=4) == [5]


def test_noise_without_spikes_has_score_zero() -> None:
    noise = np.random.default_rng(0).normal(size=5000)
    assert spike_score(noise) == 0


def test_too_few_losses_or_too_short_a_window_is_an_error() -> None:
    with pytest.raises(ValueError, match="4 losses do not exceed the window of 4"):
        spike_score([1.0] * 4, window=4)
    with pytest.raises(ValueError, match="window must be at least 2"):
        spike_steps([1.0] * 4, window=1)
