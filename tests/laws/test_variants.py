"""Laws P24 to P26: AMSGrad, RAdam and NAdam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import theory
from adam_tutorial._types import Array
from tests.laws.implementations import REFERENCE, Implementation
from tests.laws.law import (
    beta1s,
    beta2s,
    both,
    breaks,
    close,
    follows,
    tables,
)


@both
@breaks(override={"rule": "adam"})
@given(tables, beta1s, beta2s)
def test_p24_denominator_of_amsgrad_never_falls(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    table = np.concatenate([g, 1e-6 * g])
    run = implementation.follow(table, "amsgrad", beta1=beta1, beta2=beta2)
    assert np.all(np.diff(run.v_max, axis=0) >= 0)
    assert np.all(run.v_max >= run.v)


@both
@breaks(distort_gradient=lambda t, g: g / t**3)
@given(st.floats(1, 2), beta1s, beta2s, st.integers(2, 30))
def test_p24_amsgrad_is_adam_while_v_does_not_fall(
    implementation: Implementation, ratio: float, beta1: float, beta2: float, t: int
) -> None:
    g = ratio ** np.arange(t)
    betas: dict[str, Any] = {"beta1": beta1, "beta2": beta2}
    np.testing.assert_array_equal(
        implementation.follow(g, "amsgrad", **betas).theta,
        implementation.follow(g, "adam", **betas).theta,
    )


@follows(
    radam_rho=lambda t=None, beta2=0.999: (
        2 / (1 - beta2) - (1 if t is None else 1 + 1 / t)
    )
)
@given(st.floats(0.7, 0.9999), st.integers(1, 3000))
def test_p25_rho_rises_from_one_and_the_rectification_is_a_share(
    beta2: float, t: int
) -> None:
    rho_inf, rho = theory.radam_rho(None, beta2), theory.radam_rho(t, beta2)
    assert theory.radam_rho(1, beta2) == pytest.approx(1, abs=1e-6)
    assert rho <= rho_inf * (1 + 1e-9)
    if rho < rho_inf * (1 - 1e-6):
        assert theory.radam_rho(t + 1, beta2) > rho
    if rho > 4 and rho_inf > 4.5:
        assert 0 < theory.radam_rectification(t, beta2) <= 1 + 1e-9


@both
@breaks(distort_update=lambda t, u, _theta: u * (0.5 if t == 6 else 1))
def test_p25_first_adaptive_step_of_radam_is_the_sixth(
    implementation: Implementation,
) -> None:
    steps = -implementation.follow([7.0] * 2000, "radam", lr=1.0, eps=0.0).updates
    close(steps[:5], [7.0] * 5)
    for t in (6, 100, 1000, 2000):
        close(steps[t - 1], theory.radam_rectification(t))
    close(
        [steps[i - 1] for i in (6, 100, 1000, 2000)],
        [0.0258, 0.215, 0.645, 0.828],
        atol=6e-4,
    )


@both
@breaks(distort_update=lambda t, u, _theta: u * (1 + t * 1e-6))
@given(tables, beta2s)
def test_p26_nadam_without_momentum_is_adam_without_momentum(
    implementation: Implementation, g: Array, beta2: float
) -> None:
    first = implementation.follow(g, "nadam", beta1=0.0, beta2=beta2, lr=0.1)
    second = REFERENCE.follow(g, "adam", beta1=0.0, beta2=beta2, lr=0.1)
    close(first.theta, second.theta, rtol=1e-12)
