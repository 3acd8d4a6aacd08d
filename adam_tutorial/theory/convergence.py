"""Where Adam goes in the long run: what is claimed and what is true."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import (
    as_float64,
    as_vector,
    check_at_least,
    check_decay_rate,
    check_decay_rates,
    check_in,
    check_not_negative,
    check_positive,
)
from adam_tutorial._types import Float64Array
from adam_tutorial.theory.averages import bias_correction

__all__ = [
    "RegretBound",
    "critical_beta2",
    "critical_excess",
    "paper_regret_bound",
    "periodic_average",
    "periodic_drift",
]


class RegretBound(NamedTuple):
    """The three terms of the regret theorem; the bound is their sum."""

    distance: float
    gradients: float
    momentum: float


def paper_regret_bound(
    steps: int,
    v_hat: ArrayLike,
    gradient_norms: ArrayLike,
    *,
    diameter: float,
    diameter_inf: float,
    gradient_inf: float,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    beta1_factor: float = 1 - 1e-8,
    last_line: bool = False,
) -> RegretBound:
    """Return the bound on the regret that the paper claims, which does not hold.

    Parameters
    ----------
    steps : int
        The paper's T.
    v_hat : array_like, shape (d,)
        The corrected second moments after the last step.
    gradient_norms : array_like, shape (d,)
        For each coordinate, the Euclidean norm of all its gradients.
    diameter, diameter_inf : float
        D and D_inf: the largest distance between two iterates. (The proof needs the
        largest distance to the optimum.)
    gradient_inf : float
        G_inf: the largest gradient of a coordinate.
    lr, beta1, beta2 : float
        Their values at t = 1.
    beta1_factor : float
        The paper's lambda, in (0, 1).
    last_line : bool
        Take the third term from the last line of the appendix, whose denominator has
        ``beta1`` instead of ``1 - beta1``.

    Returns
    -------
    RegretBound

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), ``beta1**2 >= sqrt(beta2)``, ``beta1_factor`` is
        outside (0, 1), ``lr`` is not positive and finite, ``steps`` is less than 1,
        another number is negative or not finite, the two arrays differ in shape, or
        ``last_line`` is True and ``beta1`` is 0.

    References
    ----------
    Kingma, Ba (2015), Theorem 4.1 (section 4), Theorem 10.5 and the last line of
    section 10.1.
    """
    check_at_least("steps", steps, 1)
    check_decay_rates(beta1, beta2)
    check_in("(0, 1)", "beta1_factor", beta1_factor)
    check_positive("lr", lr)
    for name, value in (
        ("diameter", diameter),
        ("diameter_inf", diameter_inf),
        ("gradient_inf", gradient_inf),
    ):
        check_not_negative(name, value)
    v = _not_negative("v_hat", v_hat)
    norms = _not_negative("gradient_norms", gradient_norms)
    if v.shape != norms.shape:
        raise ValueError(
            f"gradient_norms must have the shape of v_hat, {v.shape}, got {norms.shape}"
        )
    if beta2 == 0 or beta1**2 >= math.sqrt(beta2):
        raise ValueError(
            f"beta1**2 must be less than sqrt(beta2), got {beta1!r} and {beta2!r}"
        )
    if last_line and beta1 == 0:
        raise ValueError(
            "beta1 must be positive for the last line, which divides by it"
        )
    gamma = beta1**2 / math.sqrt(beta2)
    divisor = beta1 if last_line else 1 - beta1
    return RegretBound(
        distance=diameter**2 / (2 * lr * (1 - beta1)) * float(np.sqrt(steps * v).sum()),
        gradients=lr
        * (1 + beta1)
        * gradient_inf
        / ((1 - beta1) * math.sqrt(1 - beta2) * (1 - gamma) ** 2)
        * float(norms.sum()),
        momentum=v.size
        * diameter_inf**2
        * gradient_inf
        * math.sqrt(1 - beta2)
        / (2 * lr * divisor * (1 - beta1_factor) ** 2),
    )


def _not_negative(name: str, values: ArrayLike) -> Float64Array:
    array = as_vector(name, values)
    if not np.all((array >= 0) & (array < math.inf)):
        raise ValueError(f"{name} must be finite and not negative, got {values!r}")
    return array


def periodic_average(values: ArrayLike, beta: float) -> Float64Array:
    """Return the cycle that a moving average settles into when its input repeats.

    Parameters
    ----------
    values : array_like, shape (n,)
        One period of the input.
    beta : float
        Decay rate in [0, 1).

    Returns
    -------
    ndarray, shape (n,)
        The average after each value of the period.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1), or ``values`` is empty or has not one dimension.

    Examples
    --------
    >>> periodic_average([1.0, 0.0], 0.5).round(4).tolist()
    [0.6667, 0.3333]
    """
    check_decay_rate("beta", beta)
    return _periodic_average(_period("values", values), beta)


def _period(name: str, values: ArrayLike) -> Float64Array:
    period = as_float64(name, values)
    if period.ndim != 1 or period.size == 0:
        raise ValueError(f"{name} must have shape (n,) with n > 0, got {period.shape}")
    return period


def _periodic_average(period: Float64Array, beta: float) -> Float64Array:
    n = period.size
    average = 0.0
    for value in period.tolist():
        average = beta * average + (1 - beta) * value
    # A period takes x to this average + beta**n * x; this is the x that it keeps.
    average /= bias_correction(beta, n)
    averages = np.empty(n)
    for index, value in enumerate(period.tolist()):
        average = beta * average + (1 - beta) * value
        averages[index] = average
    return averages


def periodic_drift(
    gradients: ArrayLike, beta1: float = 0.9, beta2: float = 0.999
) -> float:
    """Return Adam's mean step when its gradients repeat, in learning rates.

    Parameters
    ----------
    gradients : array_like, shape (n,)
        One period; not all zero.
    beta1, beta2 : float
        Decay rates in [0, 1).

    Returns
    -------
    float
        For large t, a constant learning rate and eps = 0. The sign is wrong if it is
        that of the mean gradient.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), or ``gradients`` is empty, has not one
        dimension, or is 0 throughout, or ``beta2`` is 0 and so is a gradient.

    Examples
    --------
    The mean of these gradients is positive. Adam should move down, and moves up:

    >>> round(periodic_drift([3.0, -1.0, -1.0], beta1=0.0, beta2=0.1), 3)
    0.227
    """
    check_decay_rates(beta1, beta2)
    g = _period("gradients", gradients)
    if not g.any():
        raise ValueError(f"gradients must not all be 0, got {gradients!r}")
    if beta2 == 0 and not g.all():
        raise ValueError(
            f"beta2 must be positive where a gradient is 0, got {gradients!r}"
        )
    m, v = _periodic_average(g, beta1), _periodic_average(g**2, beta2)
    return -float(np.mean(m / np.sqrt(v)))


def critical_beta2(gradients: ArrayLike, beta1: float = 0.9) -> float:
    """Return the ``beta2`` above which Adam follows the mean of repeating gradients.

    Parameters
    ----------
    gradients : array_like, shape (n,)
        One period; its mean is not zero.
    beta1 : float
        Decay rate in [0, 1).

    Returns
    -------
    float
        The largest ``beta2`` at which :func:`periodic_drift` is zero, as found by a
        scan over 20 values of ``1 - beta2`` a decade; 0 if the drift has the right sign
        at all of them.

    Raises
    ------
    ValueError
        ``beta1`` is outside [0, 1), or the mean of the gradients is 0.

    Examples
    --------
    >>> round(critical_beta2([3.0, -1.0, -1.0], beta1=0.0), 4)
    0.4723
    """
    check_decay_rate("beta1", beta1)
    g = _period("gradients", gradients)
    mean = float(g.mean())
    if mean == 0:
        raise ValueError("the mean of the gradients is 0: there is no right direction")

    def right(exponent: float) -> bool:
        # At beta2 = 0 a gradient of 0 would be divided by 0.
        beta2 = max(1 - 10**exponent, np.finfo(np.float64).tiny)
        return periodic_drift(g, beta1, beta2) * mean < 0

    # Down from beta2 close to 1 until the direction is wrong for the first time.
    exponents = np.linspace(-9, 0, 181).tolist()
    for low, high in pairwise(exponents):
        if not right(high):
            for _ in range(40):
                middle = (low + high) / 2
                low, high = (middle, high) if right(middle) else (low, middle)
            return float(1 - 10**low)
    return 0.0


def critical_excess(windows: float) -> float:
    """Return the ratio that a rare gradient must exceed for Adam to follow it.

    Parameters
    ----------
    windows : float
        Time between two rare gradients in units of v's memory:
        ``period * log(1 / beta2)``, or about ``(1 - beta2) * period`` for ``beta2``
        close to 1.

    Returns
    -------
    float
        ``(exp(windows / 2) - 1) / (windows / 2)``: the least size of the rare gradient,
        divided by the sum of the small ones of opposite sign between two of them, for
        ``beta1 = 0`` and long periods.

    Raises
    ------
    ValueError
        ``windows`` is negative or not finite.

    Examples
    --------
    >>> round(critical_excess(1.0), 3), round(critical_excess(10.0), 1)
    (1.297, 29.5)
    """
    check_not_negative("windows", windows)
    if windows / 2 > 709:  # too large for a float
        return math.inf
    return math.expm1(windows / 2) / (windows / 2) if windows > 0 else 1.0
