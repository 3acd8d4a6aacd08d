"""The moving averages m and v: their weights, values, bias, memory and noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import (
    as_vector,
    check_decay_rate,
    check_finite,
    check_in,
    check_positive,
    check_step,
)
from adam_tutorial._types import Float64Array

__all__ = [
    "bias_correction",
    "constant_gradient_moments",
    "decaying_bias_correction",
    "effective_memory",
    "geometric_gradient_moments",
    "half_life",
    "mean_variance",
    "moving_average_weights",
    "rescaled_decay_rate",
    "zeta",
]


def bias_correction(beta: float, t: int) -> float:
    """Return ``1 - beta**t``, the divisor of Adam's bias correction.

    Parameters
    ----------
    beta : float
        Decay rate in [0, 1).
    t : int
        Number of the step; the first is 1.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1), or ``t`` is less than 1 (the result would be 0, and
        Adam would divide by it).

    Notes
    -----
    Computed as it is written, ``1 - beta**t`` cancels: with 1 - beta = 1e-8 and t = 2
    the ninth digit is wrong. ``expm1(x)`` is ``exp(x) - 1`` without the cancellation
    and keeps every digit.

    References
    ----------
    Kingma, Ba (2015), section 3.

    Examples
    --------
    >>> bias_correction(0.5, 2)
    0.75
    """
    check_decay_rate("beta", beta)
    check_step(t)
    if beta == 0:
        return 1.0  # the logarithm of 0 is not defined
    return -math.expm1(t * math.log(beta))


def moving_average_weights(beta: float, t: int) -> Float64Array:
    """Return the weight of each of ``t`` gradients in an uncorrected moving average.

    Parameters
    ----------
    beta : float
        Decay rate in [0, 1).
    t : int
        Number of steps taken.

    Returns
    -------
    ndarray of float64, shape (t,)
        ``(1 - beta) * beta**(t - i)`` for i = 1 ... t, the oldest first. Their sum,
        ``bias_correction(beta, t)``, is less than 1: that is the bias.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1) or ``t`` is less than 1.

    References
    ----------
    Kingma, Ba (2015), equation 1.
    """
    check_decay_rate("beta", beta)
    check_step(t)
    age = np.arange(t - 1, -1, -1)
    return np.asarray((1 - beta) * np.float64(beta) ** age)


def zeta(expected: ArrayLike, beta: float) -> float:
    """Return what a drifting gradient adds to the expectation of a moving average.

    Parameters
    ----------
    expected : array_like, shape (t,)
        The expectation of the averaged quantity at steps 1 ... t: E[g_i] for ``m``,
        E[g_i^2] for ``v``.
    beta : float
        Decay rate in [0, 1).

    Returns
    -------
    float
        ``E[average] - E[last] * (1 - beta**t)``; 0 when ``expected`` is constant.

    References
    ----------
    Kingma, Ba (2015), section 3, the term called zeta.
    """
    values = as_vector("expected", expected)
    weights = moving_average_weights(beta, len(values))
    return float(weights @ (values - values[-1]))


def decaying_bias_correction(beta: float, factor: float, t: int) -> float:
    """Return one minus the product of ``beta * factor**(s - 1)`` over s = 1 ... t.

    This is the sum of the weights in a moving average whose decay rate decays, as beta1
    does in the regret theorem.

    Parameters
    ----------
    beta : float
        Decay rate at the first step, in [0, 1).
    factor : float
        The theorem's lambda, in (0, 1].
    t : int
        Number of the step, from 1.

    Raises
    ------
    ValueError
        An argument is out of range.

    References
    ----------
    Kingma, Ba (2015), Theorem 4.1, for the schedule.
    """
    check_decay_rate("beta", beta)
    check_step(t)
    check_in("(0, 1]", "factor", factor)
    if beta == 0:
        return 1.0
    # The exponent in this order: t * t may be infinite, and its product with 0 NaN.
    return -math.expm1(t * (math.log(beta) + (t - 1) / 2 * math.log(factor)))


def constant_gradient_moments(
    g: float, t: int, beta1: float = 0.9, beta2: float = 0.999
) -> tuple[float, float]:
    """Return m and v after ``t`` equal gradients ``g``.

    Parameters
    ----------
    g : float
        The gradient.
    t : int
        Number of steps, from 1.
    beta1, beta2 : float
        Decay rates in [0, 1).

    Raises
    ------
    ValueError
        A decay rate or ``t`` is out of range, or ``g`` is not finite.

    Examples
    --------
    >>> constant_gradient_moments(2.0, 1, beta1=0.5, beta2=0)
    (1.0, 4.0)
    """
    check_finite("g", g)
    return g * bias_correction(beta1, t), g**2 * bias_correction(beta2, t)


def geometric_gradient_moments(
    c: float, ratio: float, t: int, beta1: float = 0.9, beta2: float = 0.999
) -> tuple[float, float]:
    """Return m and v after the gradients ``c * ratio**i`` for i = 1 ... t.

    Parameters
    ----------
    c : float
        Scale of the gradients.
    ratio : float
        Each gradient divided by the one before; not 0.
    t : int
        Number of steps, from 1.
    beta1, beta2 : float
        Decay rates in [0, 1).

    Raises
    ------
    ValueError
        A decay rate or ``t`` is out of range, ``ratio`` is 0, or a number is not
        finite.
    """
    check_finite("c", c)
    check_finite("ratio", ratio)
    if ratio == 0:
        raise ValueError(f"ratio must not be 0, got {ratio!r}")
    m = c * _geometric_average(beta1, ratio, t)
    return m, c**2 * _geometric_average(beta2, ratio**2, t)


def _geometric_average(beta: float, ratio: float, t: int) -> float:
    """Return the moving average of ``ratio**i``."""
    check_decay_rate("beta", beta)
    check_step(t)
    if math.isclose(ratio, beta, rel_tol=1e-9):  # the quotient below is 0/0
        return (1 - beta) * t * beta**t
    return (1 - beta) * ratio * (ratio**t - beta**t) / (ratio - beta)


def half_life(beta: float) -> float:
    """Return the number of steps that halve a weight: ``ln 2 / -ln beta``.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1).

    Examples
    --------
    >>> round(half_life(0.9), 2), round(half_life(0.999), 1)
    (6.58, 692.8)
    """
    check_decay_rate("beta", beta)
    return math.log(2) / -math.log(beta) if beta else 0.0


def effective_memory(beta: float) -> float:
    """Return how many gradients a long average is worth: ``(1 + beta)/(1 - beta)``.

    The plain mean of that many independent gradients has the same variance. For beta2
    it is RAdam's rho_inf.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1).

    Examples
    --------
    >>> round(effective_memory(0.9), 9), round(effective_memory(0.999), 9)
    (19.0, 1999.0)
    """
    check_decay_rate("beta", beta)
    return (1 + beta) / (1 - beta)


def mean_variance(t: int, beta: float = 0.9) -> float:
    """Return the variance of a corrected average of independent numbers of variance 1.

    Parameters
    ----------
    t : int
        How many numbers are averaged, from 1.
    beta : float
        Decay rate in [0, 1).

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1) or ``t`` is less than 1.

    Notes
    -----
    The sum of the squared weights,
    ``(1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t))``.
    """
    correction = bias_correction(beta, t)
    return (1 + beta**t) / (effective_memory(beta) * correction)


def rescaled_decay_rate(beta: float, batch_ratio: float) -> float:
    """Return the decay rate that keeps the half-life in examples at a new batch size.

    Parameters
    ----------
    beta : float
        Decay rate in [0, 1).
    batch_ratio : float
        New batch size divided by the old one; positive.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> rescaled_decay_rate(0.81, 0.5)
    0.9
    """
    check_decay_rate("beta", beta)
    check_positive("batch_ratio", batch_ratio)
    return float(beta**batch_ratio)
