"""Checks of arguments: each raises ValueError and names the argument and its value."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Float64Array

__all__ = [
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
    "check_step",
]

# All conditions are written as `not (allowed)`, so that NaN is refused too.
INTERVALS = {
    "[0, 1)": lambda x: 0 <= x < 1,
    "(0, 1]": lambda x: 0 < x <= 1,
    "[0, 1]": lambda x: 0 <= x <= 1,
    "(0, 1)": lambda x: 0 < x < 1,
}


def check_in(interval: str, name: str, value: float) -> None:
    """Raise ValueError unless the value is in the interval, one of ``INTERVALS``."""
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
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless ``0 < value < inf``."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value!r}")


def check_not_negative(name: str, value: float) -> None:
    """Raise ValueError unless ``0 <= value < inf``."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")


def check_not_positive(name: str, value: float) -> None:
    """Raise ValueError unless ``-inf < value <= 0``."""
    if not -math.inf < value <= 0:
        raise ValueError(f"{name} must be finite and not positive, got {value!r}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless ``value >= least``."""
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low} and {high}, got {value!r}")


def check_step(t: int) -> None:
    """Raise ValueError unless ``t >= 1``: steps are counted from 1."""
    if not t >= 1:
        raise ValueError(f"t must be at least 1 (the first step is t = 1), got {t!r}")


def as_vector(name: str, values: ArrayLike) -> Float64Array:
    """Return the values as an array; raise ValueError unless it has one dimension."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {vector.shape}")
    return vector
