from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from adam_tutorial import _arguments as arguments

# What each check lets pass, what it refuses, and the end of its message.
CASES: dict[
    str, tuple[Callable[[float], object], tuple[float, ...], tuple[float, ...], str]
] = {
    "decay rate": (
        lambda x: arguments.check_decay_rate("x", x),
        (0, 0.5, 1 - 2**-53),
        (-1e-300, 1, 2),
        "in [0, 1)",
    ),
    "beta1": (
        lambda x: arguments.check_decay_rates(x, 0.5),
        (0, 0.9),
        (-0.1, 1),
        "in [0, 1)",
    ),
    "beta2": (
        lambda x: arguments.check_decay_rates(0.5, x),
        (0, 0.9),
        (-0.1, 1),
        "in [0, 1)",
    ),
    "[0, 1]": (
        lambda x: arguments.check_in("[0, 1]", "x", x),
        (0, 1),
        (-1e-300, 1 + 2**-52),
        "in [0, 1]",
    ),
    "(0, 1]": (
        lambda x: arguments.check_in("(0, 1]", "x", x),
        (1e-300, 1),
        (0, 1 + 2**-52),
        "in (0, 1]",
    ),
    "(0, 1)": (
        lambda x: arguments.check_in("(0, 1)", "x", x),
        (1e-300, 1 - 2**-53),
        (0, 1),
        "in (0, 1)",
    ),
    "finite": (
        lambda x: arguments.check_finite("x", x),
        (-1e308, 0, 1e308),
        (math.inf, -math.inf),
        "finite",
    ),
    "positive": (
        lambda x: arguments.check_positive("x", x),
        (1e-300, 1e308),
        (0, -1, math.inf),
        "positive and finite",
    ),
    "not negative": (
        lambda x: arguments.check_not_negative("x", x),
        (0, 1e308),
        (-1e-300, math.inf),
        "finite and not negative",
    ),
    "at least 4": (
        lambda x: arguments.check_at_least("x", x, 4),
        (4, 5, math.inf),
        (3, -5),
        "at least 4",
    ),
    "between": (
        lambda x: arguments.check_between("x", x, 1, 10),
        (1, 10),
        (0, 11),
        "between 1 and 10",
    ),
    "step": (
        lambda x: arguments.check_step(x),  # type: ignore[arg-type]
        (1, 10**9),
        (0, -1),
        "at least 1 (the first step is t = 1)",
    ),
    "beta1 < beta2": (
        lambda x: arguments.check_beta1_below_beta2(x, 0.81),
        (0, 0.8),
        (0.81, 0.95, 1, -0.1),
        "",
    ),
    "beta1 < sqrt(beta2)": (
        lambda x: arguments.check_beta1_below_root_of_beta2(x, 0.81),
        (0, 0.8999),
        (0.9001, 0.95, 1, -0.1),
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_check_passes_what_is_allowed_and_names_what_is_not(case: str) -> None:
    check, allowed, refused, message = CASES[case]
    for value in allowed:
        check(value)
    for value in (*refused, math.nan):
        with pytest.raises(ValueError, match="must be ") as error:
            check(value)
        assert str(error.value).split(" ")[0] in {"x", "t", "beta1", "beta2"}
        assert message in str(error.value)
        assert repr(value) in str(error.value)


def test_the_wrong_decay_rate_is_the_one_that_is_named() -> None:
    with pytest.raises(ValueError, match=r"^beta1 must be"):
        arguments.check_decay_rates(1.0, 0.5)
    with pytest.raises(ValueError, match=r"^beta2 must be"):
        arguments.check_decay_rates(0.5, 1.0)
    with pytest.raises(
        ValueError, match=r"^beta1 must be less than beta2, got 0.9 and 0.5$"
    ):
        arguments.check_beta1_below_beta2(0.9, 0.5)
    with pytest.raises(
        ValueError, match=r"^beta1 must be less than sqrt\(beta2\), got 0.9 and 0.5$"
    ):
        arguments.check_beta1_below_root_of_beta2(0.9, 0.5)


def test_a_vector_is_read_as_float64_and_has_one_dimension() -> None:
    vector = arguments.as_vector("g", [1, 2])
    assert vector.dtype == np.float64
    np.testing.assert_array_equal(vector, [1.0, 2.0])
    for values in (1.0, [[1.0]]):
        with pytest.raises(ValueError, match="g must have one dimension, got shape"):
            arguments.as_vector("g", values)
