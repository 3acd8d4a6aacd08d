"""Laws P30 to P35: averages, micro-batches, groups, resuming, complex numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from adam_tutorial import reference, theory
from tests.laws.implementations import CASE_OF, Array, Implementation
from tests.laws.law import (
    beta1s,
    beta2s,
    both,
    breaks,
    close,
    each_rule,
    everywhere,
    few,
    follows,
    in_optim,
    in_reference,
    numbers,
    scaled,
    tables,
)


@follows(
    temporal_average=lambda state, theta, beta2=0.999: (state, (1 - beta2) * theta)
)
@given(numbers, beta2s)
def test_p30_average_of_a_constant_is_the_constant(theta: float, beta2: float) -> None:
    state = None
    for _ in range(15):
        state, average = reference.temporal_average(state, np.array(theta), beta2=beta2)
        close(average, theta, atol=0)


@both
@breaks(distort_gradient=lambda _t, g: g**3)
def test_p31_mean_of_micro_batches_is_one_step_of_the_whole_batch(
    implementation: Implementation,
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
    gradient: Any = lambda theta, rows: (
        2 * x[rows].T @ (x[rows] @ theta - y[rows]) / len(x[rows])
    )
    whole = implementation.run(
        "adam", lambda _t, theta: gradient(theta, slice(0, 12)), np.ones(3), 5, lr=0.1
    ).theta[-1]
    parts = [slice(0, 4), slice(4, 8), slice(8, 12)]
    accumulated = implementation.run(
        "adam",
        lambda _t, theta: sum(gradient(theta, rows) for rows in parts) / 3,
        np.ones(3),
        5,
        lr=0.1,
    ).theta[-1]
    separate = implementation.run(
        "adam",
        lambda t, theta: gradient(theta, parts[(t - 1) % 3]),
        np.ones(3),
        15,
        lr=0.1,
    ).theta[-1]
    close(accumulated, whole)
    assert np.abs(separate - whole).max() > 0.1
    # One step of a linear rule is the mean of the steps; one of Adam is not.
    first = implementation.run(
        "adam",
        lambda _t, theta: gradient(theta, parts[0]),
        np.ones(3),
        1,
        lr=0.1,
        eps=0.0,
    ).updates[0]
    close(np.abs(first), [0.1] * 3)
    close(np.abs(whole - 1).max() <= 0.5 + 1e-9, 1)
    linear = implementation.run(
        "adam",
        lambda _t, theta: gradient(theta, parts[0]),
        np.ones(3),
        1,
        lr=1e8,
        eps=1e9,
    ).updates[0]
    close(linear, -0.1 * gradient(np.ones(3), parts[0]), rtol=1e-6)


@in_optim
@each_rule()
@breaks(distort_gradient=lambda _t, g: np.abs(g))
@few
@given(tables)
def test_p32_maximize_is_the_step_of_the_negative_gradient(
    implementation: Implementation, rule: str, g: Array
) -> None:
    np.testing.assert_array_equal(
        implementation.follow(g, rule, lr=0.1, maximize=True).theta,
        implementation.follow(-g, rule, lr=0.1).theta,
    )


@in_optim
@each_rule(lambda case: case.elementwise)
@breaks(distort_gradient=lambda _t, g: g + g[0])
@few
@given(tables)
def test_p33_two_groups_with_equal_settings_are_one_group(
    implementation: Implementation, rule: str, g: Array
) -> None:
    columns = [
        torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        for _ in range(g.shape[1])
    ]
    groups = [{"params": columns[:1]}, {"params": columns[1:]}]
    optimizer = CASE_OF[rule].on(implementation.name).new(groups, lr=0.1)
    for row in g:
        for parameter, value in zip(columns, row, strict=True):
            parameter.grad = torch.tensor([value], dtype=torch.float64)
        optimizer.step()
    one = implementation.follow(g, rule, lr=0.1).theta[-1]
    np.testing.assert_array_equal([parameter.item() for parameter in columns], one)


@everywhere
@each_rule(lambda case: case.takes("betas"))
@breaks(distort_update=lambda t, u, _theta: u * (1 + 0.1 / t))
@few
@given(tables, st.integers(1, 20), beta1s, beta2s)
def test_p34_run_that_is_saved_and_resumed_is_the_uninterrupted_run(
    implementation: Implementation,
    rule: str,
    g: Array,
    k: int,
    beta1: float,
    beta2: float,
) -> None:
    assume(len(g) > 1)
    k = 1 + k % (len(g) - 1)
    betas = CASE_OF[rule].only_spelt(lr=0.1, beta1=beta1, beta2=beta2)
    whole = implementation.follow(g, rule, **betas)
    first = implementation.follow(g[:k], rule, **betas)
    rest = implementation.run(
        rule,
        lambda t, _x: g[k + t - 1],
        first.theta[-1],
        len(g) - k,
        resume=first.resume,
        **betas,
    )
    np.testing.assert_array_equal(rest.theta[-1], whole.theta[-1])


@in_reference
@breaks(distort_update=scaled)
def test_p34_forgetting_t_makes_the_next_step_0_316_times_as_long(
    implementation: Implementation,
) -> None:
    # P9 proves that these are the moments of a run with a constant gradient.
    warm = theory.constant_gradient_moments(1.0, 20_000, 0.9, 0.999)
    forgotten = reference.AdamState(0, *map(np.asarray, warm))
    step = implementation.run(
        "adam", lambda _t, _x: 1.0, 0.0, 1, resume=forgotten, lr=1.0, eps=0.0
    ).updates[0]
    expected = theory.bias_correction(0.9, 1) ** -1 * math.sqrt(
        theory.bias_correction(0.999, 1)
    )
    assert -step == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.316, abs=1e-3)


@in_optim
@each_rule(lambda case: case.complex)
@breaks(distort_gradient=lambda _t, g: g + g[0])
@few
@given(tables)
def test_p35_complex_parameter_is_two_real_ones(
    implementation: Implementation, rule: str, g: Array
) -> None:
    g = g[:, :2]
    parameter = torch.nn.Parameter(torch.zeros((), dtype=torch.complex128))
    optimizer = CASE_OF[rule].on(implementation.name).new([parameter], lr=0.1)
    for real, imaginary in g:
        parameter.grad = torch.complex(
            torch.tensor(real).double(), torch.tensor(imaginary).double()
        )
        optimizer.step()
    parts = torch.view_as_real(parameter.detach()).numpy()
    expected = implementation.follow(g, rule, lr=0.1).theta[-1]
    np.testing.assert_array_equal(parts, expected)


def test_p35_the_reference_refuses_complex_gradients() -> None:
    with pytest.raises(TypeError, match="gradient must be real, got complex128"):
        reference.adam(None, np.array([1 + 1j]))
