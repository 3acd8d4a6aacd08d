"""Checks of arguments: each error names the argument, its value and what is allowed.

What is not a number is a TypeError, a number out of range a ValueError.
"""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adam_tutorial._types import Float64Array

__all__ = [
    "as_count",
    "as_float64",
    "as_gradient",
    "as_number",
    "as_numbers",
    "as_vector",
    "check_at_least",
    "check_beta1_below_beta2",
    "check_beta1_below_root_of_beta2",
    "check_between",
    "check_decay_rate",
    "check_decay_rates",
    "check_finite",
    "check_in",
    "check_not_negative",
    "check_not_positive",
    "check_positive",
    "check_setting",
    "check_step",
]

# All conditions are written as `not (allowed)`, so that NaN is refused too.
INTERVALS = {
    "[0, 1)": lambda x: 0 <= x < 1,
    "(0, 1]": lambda x: 0 < x <= 1,
    "[0, 1]": lambda x: 0 <= x <= 1,
    "(0, 1)": lambda x: 0 < x < 1,
}


def as_number(name: str, value: Any) -> float:
    """Return a number as a float; raise TypeError for anything else, text included.

    NumPy's numbers, arrays and tensors of one number without a dimension are numbers.

    Examples
    --------
    >>> as_number("lr", "0.1")
    Traceback (most recent call last):
    TypeError: lr must be a number, got '0.1'
    """
    if isinstance(value, Real) or (
        getattr(value, "shape", None) == () and not isinstance(value, np.generic)
    ):
        return float(value)
    raise TypeError(f"{name} must be a number, got {value!r}")


def as_count(name: str, value: Any, least: int = 0) -> int:
    """Return a whole number; raise unless it is one of at least ``least``.

    Examples
    --------
    >>> as_count("steps", 2.5)
    Traceback (most recent call last):
    TypeError: steps must be a whole number, got 2.5
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    check_at_least(name, count, least)
    return count


def as_numbers(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return the values as an array of numbers, of the type that they have.

    Raises
    ------
    TypeError
        They are not numbers: NumPy would read None as NaN, and text as the number that
        it spells. Or they are complex, which the papers do not cover: PyTorch treats
        the two parts as two coordinates, Optax gives them one second moment.

    Examples
    --------
    >>> as_numbers("gradient", None)
    Traceback (most recent call last):
    TypeError: gradient must be numbers, got None
    """
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        array = np.empty(0, dtype=object)
    if not np.issubdtype(array.dtype, np.number) and array.dtype != bool:
        raise TypeError(f"{name} must be numbers, got {_shortened(values)}")
    if np.issubdtype(array.dtype, np.complexfloating):
        raise TypeError(
            f"{name} must be real, got {array.dtype}; give real and imaginary parts as"
            " coordinates"
        )
    return array


def as_gradient(values: ArrayLike, point: NDArray[Any], called: str) -> NDArray[Any]:
    """Return what a function gave for the gradient at a point, which ``called`` names.

    Raises
    ------
    TypeError
        It is not numbers: a forgotten ``return`` gives None.
    ValueError
        It has another shape than the point, which NumPy would broadcast.
    """
    g = as_numbers("what gradient returns", values)
    if g.shape != point.shape:
        raise ValueError(
            f"gradient must return the shape of {called}, {point.shape}, got {g.shape}"
        )
    return g


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_in(interval: str, name: str, value: float) -> None:
    """Raise ValueError unless the value is in the interval, one of ``INTERVALS``."""
    as_number(name, value)
    if not INTERVALS[interval](value):
        raise ValueError(f"{name} must be in {interval}, got {value!r}")


def check_decay_rate(name: str, value: float) -> None:
    """Raise ValueError unless ``0 <= value < 1``.

    Parameters
    ----------
    name : str
        What the error calls the value.
    value : float
        NaN is refused too.

    Raises
    ------
    ValueError
        The value is not a decay rate.

    Examples
    --------
    >>> check_decay_rate("beta1", 1.0)
    Traceback (most recent call last):
    ValueError: beta1 must be in [0, 1), got 1.0
    """
    check_in("[0, 1)", name, value)


def check_decay_rates(beta1: float, beta2: float) -> None:
    """Raise ValueError unless both are decay rates."""
    check_decay_rate("beta1", beta1)
    check_decay_rate("beta2", beta2)


def check_beta1_below_beta2(beta1: float, beta2: float) -> None:
    """Raise ValueError unless both are decay rates and ``beta1 < beta2``."""
    check_decay_rates(beta1, beta2)
    if not beta1 < beta2:
        raise ValueError(f"beta1 must be less than beta2, got {beta1!r} and {beta2!r}")


def check_beta1_below_root_of_beta2(beta1: float, beta2: float) -> None:
    """Raise ValueError unless both are decay rates and ``beta1 < sqrt(beta2)``."""
    check_decay_rates(beta1, beta2)
    if not beta1**2 < beta2:
        raise ValueError(
            f"beta1 must be less than sqrt(beta2), got {beta1!r} and {beta2!r}"
        )


def check_finite(name: str, value: float) -> None:
    """Raise ValueError for infinity and NaN."""
    as_number(name, value)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless ``0 < value < inf``."""
    as_number(name, value)
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value!r}")


def check_not_negative(name: str, value: float) -> None:
    """Raise ValueError unless ``0 <= value < inf``."""
    as_number(name, value)
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")


def check_not_positive(name: str, value: float) -> None:
    """Raise ValueError unless ``-inf < value <= 0``."""
    as_number(name, value)
    if not -math.inf < value <= 0:
        raise ValueError(f"{name} must be finite and not positive, got {value!r}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless ``value >= least``."""
    as_number(name, value)
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless ``low <= value <= high``."""
    as_number(name, value)
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low} and {high}, got {value!r}")


# What the names of hyper-parameters say; all others are not negative.
DECAY_RATES = frozenset({"beta", "beta1", "beta2", "rho"})
EXPONENTS = frozenset({"beta2_decay"})


def check_setting(name: str, value: float, called: str | None = None) -> None:
    """Raise ValueError unless a hyper-parameter has a value that its name allows.

    Parameters
    ----------
    name : str
        As this package names it.
    value : float
        Anything else is a TypeError.
    called : str, optional
        What the error calls it, if not ``name``.
    """
    called = called or name
    if name in DECAY_RATES:
        check_decay_rate(called, value)
    elif name in EXPONENTS:
        check_not_positive(called, value)
    else:
        check_not_negative(called, value)


def check_step(t: int, name: str = "t") -> None:
    """Raise ValueError unless ``1 <= t < inf``: steps are counted from 1."""
    as_number(name, t)
    if not 1 <= t < math.inf:
        raise ValueError(
            f"{name} must be at least 1 (the first step is {name} = 1) and finite, got"
            f" {t!r}"
        )


def as_vector(name: str, values: ArrayLike) -> Float64Array:
    """Return the values as an array; raise ValueError unless it has one dimension."""
    vector = as_float64(name, values)
    if vector.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {vector.shape}")
    return vector


def as_float64(name: str, values: ArrayLike) -> Float64Array:
    """Return numbers as an array of float64; see :func:`as_numbers`."""
    return as_numbers(name, values).astype(np.float64)
