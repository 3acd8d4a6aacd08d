"""The two places of eps, and how far apart they lead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from adam_tutorial import reference
from adam_tutorial.libraries import eps_at, eps_hat_at, eps_hat_lag, largest_eps_hat_lag


def test_eps_and_eps_hat_convert_into_each_other() -> None:
    assert eps_at(1e-4, 1, beta2=0.99) == pytest.approx(1e-3)
    assert eps_hat_at(1e-3, 1, beta2=0.99) == pytest.approx(1e-4)
    assert eps_at(eps_hat_at(0.3, 7), 7) == pytest.approx(0.3, rel=1e-15)
    assert eps_at(1e-4, 10**6) == pytest.approx(1e-4)
    for function in (eps_at, eps_hat_at):
        with pytest.raises(ValueError, match="t must"):
            function(1e-8, 0)


def test_lag_of_eps_hat_is_what_two_runs_are_apart() -> None:
    g, eps, steps = 1e-5, 1e-6, 300
    total = np.zeros(2)
    states: list[Any] = [None, None]
    for _ in range(steps):
        states[0], a = reference.adam(states[0], g, lr=1.0, eps=eps)
        states[1], b = reference.adam_efficient(states[1], g, lr=1.0, eps_hat=eps)
        total += a, b
    assert eps_hat_lag(eps, g, steps) == pytest.approx(total[1] - total[0], rel=1e-9)
    assert eps_hat_lag(eps, g, 0) == 0
    assert eps_hat_lag(0.0, g, 10) == 0


def test_lag_of_another_number_grows_with_the_steps() -> None:
    g, eps, hat, steps = 3.3e-4, 1e-8, 1e-7, 160
    total = np.zeros(2)
    states: list[Any] = [None, None]
    for _ in range(steps):
        states[0], a = reference.adam(states[0], g, lr=1.0, eps=eps)
        states[1], b = reference.adam_efficient(states[1], g, lr=1.0, eps_hat=hat)
        total += a, b
    lag = eps_hat_lag(eps, g, steps, eps_hat=hat)
    assert lag == pytest.approx(total[1] - total[0], rel=1e-9)
    # The lag of one number, and a constant share of every step, without end.
    share = g / (g + eps) - g / (g + hat)
    assert lag == pytest.approx(eps_hat_lag(hat, g, steps) + steps * share, rel=1e-9)
    assert share < (hat - eps) / g
    assert eps_hat_lag(eps, g, 100_000, eps_hat=hat) > 10 * largest_eps_hat_lag(hat, g)
    with pytest.raises(
        ValueError, match=r"eps_hat must be finite and not negative, got -1\.0"
    ):
        eps_hat_lag(eps, g, 1, eps_hat=-1.0)


def test_lag_of_eps_hat_comes_close_to_its_bound_and_stays_below() -> None:
    for beta2 in (0.9, 0.99):
        lag, bound = (
            eps_hat_lag(1e-9, 1.0, 5000, beta2),
            largest_eps_hat_lag(1e-9, 1.0, beta2),
        )
        assert 0.69 < lag / bound < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1.0, 1.0), "eps must be finite and not negative, got -1.0"),
        ((math.inf, 1.0), "eps must be finite"),
        ((1e-8, 0.0), "size must be positive and finite, got 0.0"),
        ((1e-8, math.nan), "size must be positive"),
    ],
)
def test_lag_refuses_sizes_out_of_range(
    arguments: tuple[float, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        eps_hat_lag(*arguments, 10)
    with pytest.raises(ValueError, match=said):
        largest_eps_hat_lag(*arguments)


def test_lag_refuses_steps_and_rates_out_of_range() -> None:
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        eps_hat_lag(1e-8, 1.0, -1)
    for beta2 in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"beta2 must be in \(0, 1\), got"):
            largest_eps_hat_lag(1e-8, 1.0, beta2)


@pytest.mark.parametrize("beta2", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("steps", [0, 1, 7, 1000, 40_000])
def test_lag_is_the_sum_of_its_steps(steps: int, beta2: float) -> None:
    eps, eps_hat, size = 1e-3, 2e-3, 0.5
    exact = math.fsum(
        size / (size + eps) - size / (size + eps_at(eps_hat, t, beta2))
        for t in range(1, steps + 1)
    )
    lag = eps_hat_lag(eps, size, steps, beta2, eps_hat=eps_hat)
    assert lag == pytest.approx(exact, rel=1e-11, abs=1e-15)


def test_lag_of_a_billion_steps_is_known_where_the_bias_is_gone() -> None:
    early, late = (eps_hat_lag(1e-7, 1e-5, steps) for steps in (10**5, 10**9))
    assert late == pytest.approx(early, rel=1e-12)
    with pytest.raises(ValueError, match="steps must be at most 10000000 for a beta2"):
        eps_hat_lag(1e-7, 1e-5, 10**9, beta2=1 - 1e-9)
    # Nearly ten million terms, until 1 - beta2**t is 1.
    assert eps_hat_lag(1e-7, 1e-5, 10**9, beta2=1 - 3.78e-6) == pytest.approx(
        eps_hat_lag(1e-7, 1e-5, 10**7, beta2=1 - 3.78e-6), rel=1e-9
    )


@pytest.mark.parametrize("beta2", [-0.1, 1.0, 1.5])
def test_decay_rate_out_of_range_is_refused_by_its_name(beta2: float) -> None:
    for of_one_step in (eps_at, eps_hat_at):
        with pytest.raises(ValueError, match=r"^beta2 must "):
            of_one_step(1e-8, 1, beta2)
