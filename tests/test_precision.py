"""Both implementations against 60 digits, over many orders of magnitude.

The two papers' algorithms are evaluated with mpmath, on exactly the numbers that
float64 holds. An error is relative to the size that a quantity would have if nothing in
it cancelled: a mean of gradients of both signs can be arbitrarily close to zero, and no
arithmetic knows its digits then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf
from numpy.typing import NDArray

from adam_tutorial import optim, reference

Array = NDArray[np.float64]
Exact = list[Any]
TOLERANCE = 2e-12


def exact_run(
    rule: str,
    gradients: Array,
    start: float,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
) -> tuple[list[Exact], list[Exact]]:
    """Return theta, m and v after each step, and the sizes for relative errors."""
    values, sizes = [], []
    with mpmath.workdps(60):
        a, b1, b2, e, decay = (
            mpf(number) for number in (lr, beta1, beta2, eps, weight_decay)
        )
        theta, m, v, v_max, m_size = mpf(start), mpf(0), mpf(0), mpf(0), mpf(0)
        theta_size = abs(theta)
        for t, gradient in enumerate(gradients, start=1):
            g = mpf(float(gradient))
            m = b1 * m + (1 - b1) * g
            m_size = b1 * m_size + (1 - b1) * abs(g)
            v = b2 * v + (1 - b2) * g**2
            v_max = max(v_max, v)
            v_hat = (v_max if rule == "amsgrad" else v) / (1 - b2**t)
            per_m = a / (1 - b1**t) / (mpmath.sqrt(v_hat) + e)
            if rule == "adamw":
                theta *= 1 - a * decay
            theta -= per_m * m
            theta_size += per_m * m_size
            values.append([theta, m, v])
            sizes.append([theta_size, m_size, v])
    return values, sizes


def reference_run(
    rule: str, gradients: Array, start: float, **given: float
) -> list[list[float]]:
    state, theta, rows = None, np.array(start), []
    for g in gradients:
        extra = {"theta": theta} if rule == "adamw" else {}
        state, update = getattr(reference, rule)(state, g, **extra, **given)
        theta = theta + update
        rows.append([float(theta), float(state.m), float(state.v)])
    return rows


def optim_run(
    rule: str,
    gradients: Array,
    start: float,
    *,
    beta1: float,
    beta2: float,
    **given: float,
) -> list[list[float]]:
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    make: Any = optim.AdamW if rule == "adamw" else optim.Adam
    flags = {"amsgrad": True} if rule == "amsgrad" else {}
    optimizer = make([parameter], betas=(beta1, beta2), **given, **flags)
    rows = []
    for g in gradients:
        parameter.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        state = optimizer.state[parameter]
        rows.append(
            [parameter.item(), state["exp_avg"].item(), state["exp_avg_sq"].item()]
        )
    return rows


Runner = Callable[..., list[list[float]]]
RUNNERS: dict[str, Runner] = {"reference": reference_run, "optim": optim_run}


def worst_error(
    values: list[Exact], sizes: list[Exact], rows: list[list[float]]
) -> float:
    """Return the largest error of theta, m and v over all steps."""
    worst = mpf(0)
    with mpmath.workdps(60):
        for exact, size, row in zip(values, sizes, rows, strict=True):
            for true, scale, found in zip(exact, size, row, strict=True):
                # The smallest normal number: below it, float64 itself has fewer digits.
                worst = max(worst, abs(mpf(found) - true) / max(scale, mpf(2.3e-308)))
    return float(worst)


exponents = st.floats(-20, 15)
close_to_one = st.sampled_from([1e-12, 1e-8, 1e-5, 1e-3, 0.01, 0.1, 0.5, 1.0])


@pytest.mark.parametrize("implementation", RUNNERS)
@pytest.mark.parametrize("rule", ["adam", "amsgrad", "adamw"])
@settings(max_examples=40)
@given(
    size=exponents,
    spread=st.sampled_from([0.0, 1.0, 5.0]),
    steps=st.sampled_from([1, 2, 10, 100]),
    gap1=close_to_one,
    gap2=close_to_one,
    lr=st.sampled_from([1e-8, 1e-3, 0.1, 10.0]),
    eps=st.sampled_from([0.0, 1e-30, 1e-16, 1e-8, 1e-3, 1.0]),
    start=st.sampled_from([0.0, 1.0, -1e-6, 1e3]),
    seed=st.integers(0, 10**6),
)
def test_agrees_with_sixty_digits_over_35_orders_of_magnitude(
    rule: str,
    implementation: str,
    size: float,
    spread: float,
    steps: int,
    gap1: float,
    gap2: float,
    lr: float,
    eps: float,
    start: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    powers = np.clip(size + spread * rng.standard_normal(steps), -20, 15)
    gradients = rng.choice([-1.0, 1.0], steps) * 10**powers
    given = {"lr": lr, "beta1": 1 - gap1, "beta2": 1 - gap2, "eps": eps}
    if rule == "adamw":
        given["weight_decay"] = 0.01
    values, sizes = exact_run(rule, gradients, start, **given)
    rows = RUNNERS[implementation](rule, gradients, start, **given)
    assert worst_error(values, sizes, rows) < TOLERANCE


@pytest.mark.parametrize("implementation", RUNNERS)
@pytest.mark.parametrize("rule", ["adam", "amsgrad", "adamw"])
@pytest.mark.parametrize("power", [-20, -8, 0, 15])
def test_agrees_with_sixty_digits_after_three_thousand_steps(
    rule: str, implementation: str, power: int
) -> None:
    rng = np.random.default_rng(power + 20)
    gradients = rng.standard_normal(3000) * 10.0**power
    given = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    values, sizes = exact_run(
        rule, gradients, 1.0, **given, weight_decay=0.01 if rule == "adamw" else 0.0
    )
    if rule == "adamw":
        given["weight_decay"] = 0.01
    assert worst_error(
        values, sizes, RUNNERS[implementation](rule, gradients, 1.0, **given)
    ) < (TOLERANCE)


def test_correction_as_torch_writes_it_would_miss_the_yardstick() -> None:
    parameter = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    theirs = torch.optim.Adam([parameter], lr=0.1, betas=(0.9, 1 - 1e-8), eps=1e-8)
    for _ in range(4):
        parameter.grad = torch.tensor(1e-6, dtype=torch.float64)
        theirs.step()
    values, sizes = exact_run(
        "adam", np.full(4, 1e-6), 1.0, lr=0.1, beta1=0.9, beta2=1 - 1e-8, eps=1e-8
    )
    state = theirs.state[parameter]
    row = [parameter.item(), state["exp_avg"].item(), state["exp_avg_sq"].item()]
    ours = optim_run(
        "adam", np.full(4, 1e-6), 1.0, lr=0.1, beta1=0.9, beta2=1 - 1e-8, eps=1e-8
    )
    assert worst_error(values[3:], sizes[3:], [row]) > 5 * TOLERANCE
    assert worst_error(values, sizes, ours) < 1e-15
