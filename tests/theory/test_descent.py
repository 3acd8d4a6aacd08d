from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import theory
from adam_tutorial.reference import adagrad, momentum, rmsprop, trajectory

curvatures = st.floats(0.05, 20)
decay_rates = st.floats(0, 0.95)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: theory.step_limit(0.0),
            "curvature must be positive and finite, got 0.0",
        ),
        (
            lambda: theory.step_limit(math.nan),
            "curvature must be positive and finite, got nan",
        ),
        (
            lambda: theory.step_limit(1.0, beta=1.0),
            r"beta must be in \[0, 1\), got 1.0",
        ),
        (
            lambda: theory.descent_rate(-1.0, [1.0]),
            "lr must be positive and finite, got -1.0",
        ),
        (
            lambda: theory.descent_rate(0.1, []),
            r"curvatures must be positive and finite, got \[\]",
        ),
        (lambda: theory.descent_rate(0.1, [1.0, -2.0]), "curvatures must be positive"),
        (
            lambda: theory.best_descent(2.0, 1.0),
            "smallest must not exceed largest, got 2.0 and",
        ),
        (
            lambda: theory.best_descent(0.0, 1.0),
            "smallest must be positive and finite, got 0.0",
        ),
        (lambda: theory.best_heavy_ball(2.0, 1.0), "smallest must not exceed largest"),
        (lambda: theory.steps_per_digit(1.0), r"rate must be in \(0, 1\), got 1.0"),
        (lambda: theory.steps_per_digit(0.0), r"rate must be in \(0, 1\), got 0.0"),
        (lambda: theory.heavy_ball_rate(0.0, 0.5, [1.0]), "lr must be positive"),
        (
            lambda: theory.heavy_ball_rate(0.1, 1.5, [1.0]),
            r"beta must be in \[0, 1\), got 1.5",
        ),
        (lambda: theory.heavy_ball_sum(0), "t must be at least 1"),
        (lambda: theory.noise_floor(0.0, 1.0, 1.0), "lr must be positive"),
        (lambda: theory.noise_floor(0.1, -1.0, 1.0), "curvature must be positive"),
        (lambda: theory.noise_floor(0.1, 1.0, 0.0), "variance must be positive"),
        (
            lambda: theory.noise_floor(0.1, 1.0, 1.0, beta=-0.1),
            r"beta must be in \[0, 1\)",
        ),
        (lambda: theory.adagrad_step(0), "t must be at least 1"),
        (lambda: theory.adagrad_length(0), "t must be at least 1"),
        (lambda: theory.rmsprop_step(0), "t must be at least 1"),
        (lambda: theory.rmsprop_step(1, beta=1.0), r"beta must be in \[0, 1\)"),
        (lambda: theory.rmsprop_cycle(0.0), "lr must be positive"),
        (lambda: theory.rmsprop_floor(0.1, 1.0, 0.0), "variance must be positive"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@given(curvatures, decay_rates)
def test_momentum_is_stable_below_its_limit_and_not_above(
    h: float, beta: float
) -> None:
    limit = theory.step_limit(h, beta)
    assert theory.heavy_ball_rate(0.99 * limit, beta, [h]) < 1
    assert theory.heavy_ball_rate(1.01 * limit, beta, [h]) > 1


@given(decay_rates)
def test_limit_of_the_heavy_ball_is_that_of_the_average_times_one_minus_beta(
    beta: float,
) -> None:
    assert theory.step_limit(1.0, beta) == pytest.approx(
        (1 - beta) * theory.stability_limit(beta)
    )


@given(st.floats(0.01, 1.9), st.lists(st.floats(0.01, 1), min_size=1, max_size=4))
def test_momentum_without_memory_has_the_rate_of_gradient_descent(
    lr: float, values: list[float]
) -> None:
    assert theory.heavy_ball_rate(lr, 0.0, values) == pytest.approx(
        theory.descent_rate(lr, values)
    )


@given(curvatures, st.floats(0.01, 0.99), st.floats(0.01, 0.9))
def test_distance_under_momentum_shrinks_at_the_rate_of_the_larger_root(
    h: float, share: float, beta: float
) -> None:
    lr = share * theory.step_limit(h, beta)
    path = trajectory(momentum, lambda x: h * x, 1.0, 300, lr=lr, beta=beta)
    rate = theory.heavy_ball_rate(lr, beta, [h])
    # The pair of successive points: a single one may happen to be near 0.
    size = np.hypot(path[1:], path[:-1])
    assert size[-1] <= 1e3 * 300 * rate**300 + 1e-290
    if rate > 0.5:
        assert size[-1] >= 1e-3 * rate**300


@given(curvatures, st.floats(1, 400))
def test_no_other_setting_of_momentum_beats_the_best(
    smallest: float, kappa: float
) -> None:
    lr, beta, rate = theory.best_heavy_ball(smallest, smallest * kappa)
    ends = [smallest, smallest * kappa]
    # A double root: rounding of the coefficients moves it by the root of the rounding.
    assert theory.heavy_ball_rate(lr, beta, ends) == pytest.approx(rate, abs=1e-6)
    for of_lr in (0.8, 0.95, 1.05, 1.2):
        for shift in (-0.1, -0.02, 0.0, 0.02):
            other = min(max(beta + shift * (1 - beta), 0.0), 0.999)
            assert theory.heavy_ball_rate(of_lr * lr, other, ends) >= rate - 1e-9


def test_noise_is_infinite_from_the_limit_on() -> None:
    assert theory.noise_floor(2.0, 1.0, 1.0) == math.inf
    assert theory.noise_floor(3.9, 1.0, 1.0, beta=0.9) == math.inf
    assert theory.noise_floor(3.7, 1.0, 1.0, beta=0.9) < math.inf


@given(curvatures, st.floats(0.01, 0.95), decay_rates, st.floats(0.1, 4))
def test_noise_floor_solves_the_balance_of_momentum(
    h: float, share: float, beta: float, variance: float
) -> None:
    lr = share * theory.step_limit(h, beta)
    # The state is (theta, b). Its covariance must not change in a step.
    step = np.array([[1 - lr * h, -lr * beta], [h, beta]])
    noise = variance * np.outer([-lr, 1.0], [-lr, 1.0])
    covariance = np.linalg.solve(np.eye(4) - np.kron(step, step), noise.ravel())
    assert theory.noise_floor(lr, h, variance, beta) == pytest.approx(
        covariance[0], rel=1e-6
    )


@given(st.integers(1, 200), st.floats(0, 0.99))
def test_sum_of_the_heavy_ball_is_that_of_the_rule(t: int, beta: float) -> None:
    path = trajectory(momentum, lambda _: 1.0, 0.0, t, lr=1.0, beta=beta)
    assert path[-2] - path[-1] == pytest.approx(
        theory.heavy_ball_sum(t, beta), rel=1e-9
    )


@given(st.integers(1, 200), st.floats(0.1, 10))
def test_steps_and_length_of_adagrad_are_those_of_the_rule(t: int, g: float) -> None:
    path = trajectory(adagrad, lambda _: g, 0.0, t, lr=1.0, eps=0.0)
    assert path[-2] - path[-1] == pytest.approx(theory.adagrad_step(t), rel=1e-9)
    assert -path[-1] == pytest.approx(theory.adagrad_length(t), rel=1e-9)


@given(st.integers(1, 200), st.floats(0.1, 10), st.floats(0.0, 0.999))
def test_steps_of_rmsprop_are_those_of_the_rule(t: int, g: float, beta: float) -> None:
    path = trajectory(rmsprop, lambda _: g, 0.0, t, lr=1.0, beta=beta, eps=0.0)
    assert path[-2] - path[-1] == pytest.approx(theory.rmsprop_step(t, beta), rel=1e-7)


def test_floor_of_rmsprop_is_in_proportion_to_the_root_of_the_variance() -> None:
    small, large = (
        theory.rmsprop_floor(1e-4, 1.0, variance) for variance in (1.0, 4.0)
    )
    assert large / small == pytest.approx(2, rel=1e-4)
    assert theory.rmsprop_cycle(0.1) == 0.05
