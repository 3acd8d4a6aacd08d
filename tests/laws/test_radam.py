"""Law P25: the rectification of RAdam."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import theory
from tests.laws.implementations import Implementation
from tests.laws.law import (
    both,
    breaks,
    close,
    follows,
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
