"""The equations of Adam in floating-point numbers."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import reference, theory

# 1 - beta from 1e-12 to 0.9, evenly in powers of ten.
deltas = st.floats(-12, -0.05).map(lambda exponent: 10.0**exponent)
steps = st.integers(1, 3000)
sizes = st.floats(-3, 3).map(lambda exponent: 10.0**exponent)
numbers = st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(
    lambda pair: pair[0] * pair[1]
)


def correction(beta: Decimal, t: int) -> float:
    with localcontext() as context:
        context.prec = 80
        return float(1 - beta**t)


def lost(beta: float, t: int) -> float:
    """How far ``1 - beta**t`` is off, by subtraction of floats."""
    with localcontext() as context:
        context.prec = 80
        return float(abs(Decimal(1 - beta**t) - (1 - Decimal(beta) ** t)))


@pytest.mark.equation("numpy-cancellation")
@given(deltas, steps)
def test_subtraction_loses_no_more_than_half_an_ulp_of_one_over_the_result(
    delta: float, t: int
) -> None:
    beta = 1 - delta
    exact = correction(Decimal(beta), t)
    bound = 2.0**-53 / exact
    # The power of the C library may be off by more than half an ulp: a tenth is allowed
    # for it.
    assert lost(beta, t) / exact <= 1.1 * bound


@pytest.mark.equation("numpy-cancellation")
def test_subtraction_does_lose_so_much_somewhere() -> None:
    betas = 1 - 10.0 ** np.linspace(-12, -2, 400)
    worst = max(lost(float(beta), t) / 2.0**-53 for beta in betas for t in (3, 100))
    assert 0.6 < worst <= 1


@given(deltas, steps)
def test_rounding_of_beta_costs_no_more_than_2_to_the_minus_54_over_delta(
    delta: float, t: int
) -> None:
    meant, stored = (
        correction(beta, t) for beta in (1 - Decimal(delta), Decimal(1 - delta))
    )
    assert abs(stored / meant - 1) <= 2.0**-54 / delta + 3e-16


def test_rounding_of_beta_does_cost_so_much_somewhere() -> None:
    worst = 0.0
    for exponent in np.linspace(-12, -2, 400):
        delta = 10.0**exponent
        meant, stored = (
            correction(beta, 3) for beta in (1 - Decimal(delta), Decimal(1 - delta))
        )
        worst = max(worst, abs(stored / meant - 1) * delta / 2.0**-54)
    assert worst > 0.9


@pytest.mark.equation("numpy-expm1")
@given(deltas, steps)
def test_expm1_of_t_times_the_logarithm_keeps_the_digits(delta: float, t: int) -> None:
    beta = 1 - delta
    exact = correction(Decimal(beta), t)
    assert -math.expm1(t * math.log(beta)) == pytest.approx(exact, rel=2e-15, abs=0)
    assert theory.bias_correction(beta, t) == pytest.approx(exact, rel=2e-15, abs=0)


@pytest.mark.equation("numpy-log1p")
@given(deltas, steps)
def test_log1p_of_minus_delta_keeps_the_digits_that_beta_has_lost(
    delta: float, t: int
) -> None:
    exact = correction(1 - Decimal(delta), t)
    assert -math.expm1(t * math.log1p(-delta)) == pytest.approx(exact, rel=2e-15, abs=0)


def test_beta_near_one_has_lost_digits_of_delta() -> None:
    exact = correction(1 - Decimal("1e-12"), 3)
    assert abs(-math.expm1(3 * math.log(1 - 1e-12)) / exact - 1) > 1e-6


@pytest.mark.equation("numpy-lost-t")
@given(
    st.lists(numbers, min_size=2, max_size=40),
    st.data(),
    st.floats(0.05, 0.98),
    st.floats(0.05, 0.9995),
)
def test_steps_after_a_restart_without_t_are_off_by_a_factor_of_t_and_s(
    history: list[float], data: st.DataObject, beta1: float, beta2: float
) -> None:
    t = data.draw(st.integers(1, len(history) - 1))
    states = []
    for lost in (False, True):
        state = None
        for number, g in enumerate(history):
            if lost and number == t:
                assert state is not None
                state = state._replace(t=0)
            state, update = reference.adam(
                state, np.array(g), lr=1.0, beta1=beta1, beta2=beta2, eps=0.0
            )
        states.append(float(update))
    right, wrong = states
    s = len(history) - t
    factor = (1 - beta1 ** (t + s)) / (1 - beta1**s)
    factor *= math.sqrt((1 - beta2**s) / (1 - beta2 ** (t + s)))
    assert wrong == pytest.approx(factor * right, rel=1e-8, abs=1e-12)


@given(st.integers(1, 100))
def test_late_in_a_run_the_factor_is_that_of_the_efficient_order(s: int) -> None:
    t = 10**6
    factor = (1 - 0.9 ** (t + s)) / (1 - 0.9**s)
    factor *= math.sqrt((1 - 0.999**s) / (1 - 0.999 ** (t + s)))
    assert factor == pytest.approx(theory.step_size_factor(s), rel=1e-9)
