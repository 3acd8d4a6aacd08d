from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from adam_tutorial import theory

BOUND: dict[str, Any] = {
    "steps": 10,
    "v_hat": [1.0],
    "gradient_norms": [1.0],
    "diameter": 2.0,
    "diameter_inf": 2.0,
    "gradient_inf": 1.0,
}


def test_suggested_decay_of_beta1_makes_the_bound_vacuous() -> None:
    bound = theory.paper_regret_bound(**BOUND)
    gentle = theory.paper_regret_bound(**BOUND, beta1_factor=0.9)
    assert bound.momentum / gentle.momentum == pytest.approx(1e14, rel=1e-6)
    assert bound[:2] == gentle[:2]


@pytest.mark.parametrize("name", ["v_hat", "gradient_norms"])
@pytest.mark.parametrize("value", [-1e-9, math.inf, math.nan])
def test_bound_refuses_a_square_or_norm_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be finite and not negative"):
        theory.paper_regret_bound(**BOUND | {name: [value]})


def test_two_printed_denominators_differ_by_nine_at_the_default() -> None:
    printed = theory.paper_regret_bound(**BOUND, beta1_factor=0.9)
    last = theory.paper_regret_bound(**BOUND, beta1_factor=0.9, last_line=True)
    assert printed.momentum == pytest.approx(9 * last.momentum)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"beta1": 1.0}, r"beta1 must be in \[0, 1\)"),
        ({"beta2": -1.0}, r"beta2 must be in \[0, 1\)"),
        ({"beta1_factor": 1.0}, r"beta1_factor must be in \(0, 1\), got 1.0"),
        ({"lr": 0.0}, "lr must be positive and finite, got 0.0"),
        ({"beta1": 0.9, "beta2": 0.5}, r"less than sqrt\(beta2\), got 0.9 and 0.5"),
        ({"beta1": 0.0, "beta2": 0.0}, r"less than sqrt\(beta2\), got 0.0 and 0.0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"beta1": 0.0, "last_line": True}, "beta1 must be positive for the last line"),
    ],
)
def test_bound_refuses_what_the_theorem_excludes(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        theory.paper_regret_bound(**(BOUND | given))


def test_repeated_average_without_memory_is_its_input() -> None:
    np.testing.assert_array_equal(
        theory.periodic_average([3.0, -1.0], 0.0), [3.0, -1.0]
    )


def test_repeated_average_keeps_its_digits_for_beta_close_to_one() -> None:
    assert theory.periodic_average([3.0, -1.0, 1.0], 1 - 1e-12) == pytest.approx(
        [1, 1, 1], abs=1e-9
    )


@pytest.mark.parametrize("values", [[], [[1.0]], 1.0], ids=str)
def test_a_period_has_one_dimension_and_is_not_empty(values: Any) -> None:
    with pytest.raises(ValueError, match=r"values must have shape \(n,\) with n > 0"):
        theory.periodic_average(values, 0.9)


@pytest.mark.parametrize("beta", [-0.1, 1.0, math.nan])
def test_decay_rates_outside_zero_to_one_are_refused(beta: float) -> None:
    for call in (
        lambda: theory.periodic_average([1.0], beta),
        lambda: theory.periodic_drift([1.0], beta, 0.9),
        lambda: theory.periodic_drift([1.0], 0.9, beta),
        lambda: theory.critical_beta2([1.0], beta),
    ):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
            call()


def test_drift_changes_its_sign_at_the_critical_rate_and_not_above() -> None:
    for gradients in ([3.0, -1.0, -1.0], [-3.0, 1.0, 1.0]):
        critical = theory.critical_beta2(gradients, 0.0)
        mean = sum(gradients)
        assert theory.periodic_drift(gradients, 0.0, critical - 1e-6) * mean > 0
        for beta2 in (critical + 1e-6, 0.9, 0.999999):
            assert theory.periodic_drift(gradients, 0.0, beta2) * mean < 0


def test_critical_rate_is_zero_where_momentum_keeps_the_direction() -> None:
    assert theory.critical_beta2([3.0, -1.0, -1.0], 0.9) == 0.0


def test_gradients_without_a_mean_have_no_right_direction() -> None:
    with pytest.raises(ValueError, match="no right direction"):
        theory.critical_beta2([1.0, -1.0])


def test_excess_begins_at_one_and_grows() -> None:
    values = [theory.critical_excess(k) for k in (0.0, 1e-9, 0.1, 1.0, 10.0)]
    assert values[0] == 1.0
    assert values[1] == pytest.approx(1 + 2.5e-10, abs=1e-14)
    assert values == sorted(values)
    with pytest.raises(
        ValueError, match=r"windows must be finite and not negative, got -1.0"
    ):
        theory.critical_excess(-1.0)


def test_a_gradient_of_zero_needs_a_memory() -> None:
    with pytest.raises(ValueError, match="beta2 must be positive where a gradient"):
        theory.periodic_drift([1.0, 0.0], 0.0, 0.0)
    with pytest.raises(ValueError, match="gradients must not all be 0"):
        theory.periodic_drift([0.0, 0.0])
    # All others have one sign: every step is down.
    assert theory.critical_beta2([0.0, 1.0], beta1=0.0) == 0
