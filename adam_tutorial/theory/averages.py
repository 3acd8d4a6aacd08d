"""The moving averages m and v: their weights, values, bias, memory and noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "bias_correction",
    "check_decay_rate",
    "check_decay_rates",
    "check_positive",
    "check_step",
    "constant_gradient_moments",
    "decaying_bias_correction",
    "geometric_gradient_moments",
    "half_life",
    "mean_variance",
    "memory",
    "moving_average_weights",
    "rescaled_decay_rate",
    "zeta",
]


def check_decay_rate(name: str, value: float) -> None:
    """Raise ValueError unless ``0 <= value < 1``; ``name`` is named in the error."""
    # `not (...)` rather than the reversed comparison, so that NaN is refused too.
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value!r}")


def check_decay_rates(beta1: float, beta2: float) -> None:
    """Raise ValueError unless both are decay rates; the error names the one that is not."""
    check_decay_rate("beta1", beta1)
    check_decay_rate("beta2", beta2)


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless ``0 < value < inf``; ``name`` is named in the error."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value!r}")


def check_step(t: int) -> None:
    """Raise ValueError unless ``t >= 1``."""
    if not t >= 1:
        raise ValueError(f"t must be at least 1 (the first step is t = 1), got {t!r}")


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
        ``beta`` is outside [0, 1), or ``t`` is less than 1 (the result would be 0, and Adam would
        divide by it).

    Notes
    -----
    Written as it stands, ``1 - beta**t`` cancels: with 1 - beta = 1e-8 it is wrong in
    the ninth digit at t = 2. ``expm1(x)`` is ``exp(x) - 1`` without the cancellation
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
        return 1.0  # its logarithm is not defined
    return -math.expm1(t * math.log(beta))


def moving_average_weights(beta: float, t: int) -> NDArray[np.float64]:
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
        ``(1 - beta) * beta**(t - i)`` for i = 1 ... t, the oldest first. They add up to
        ``bias_correction(beta, t)``, which is less than 1: that is the bias.

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
        E[g_i^2] for
        ``v``.
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
    values = np.asarray(expected, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"expected must have one dimension, got shape {values.shape}")
    weights = moving_average_weights(beta, len(values))
    return float(weights @ (values - values[-1]))


def decaying_bias_correction(beta: float, factor: float, t: int) -> float:
    """Return one minus the product of ``beta * factor**(s - 1)`` over s = 1 ... t.

    It is the sum of the weights in a moving average whose decay rate itself decays, as
    beta1 does in the regret theorem.

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
    if not 0 < factor <= 1:
        raise ValueError(f"factor must be in (0, 1], got {factor!r}")
    if beta == 0:
        return 1.0
    return -math.expm1(t * math.log(beta) + t * (t - 1) / 2 * math.log(factor))


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
        A decay rate or ``t`` is out of range.

    Examples
    --------
    >>> constant_gradient_moments(2.0, 1, beta1=0.5, beta2=0)
    (1.0, 4.0)
    """
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
        Each gradient over the one before; not 0.
    t : int
        Number of steps, from 1.
    beta1, beta2 : float
        Decay rates in [0, 1).

    Raises
    ------
    ValueError
        A decay rate or ``t`` is out of range, or ``ratio`` is 0.
    """
    if ratio == 0:
        raise ValueError(f"ratio must not be 0, got {ratio!r}")
    m = c * _geometric_average(beta1, ratio, t)
    return m, c**2 * _geometric_average(beta2, ratio**2, t)


def _geometric_average(beta: float, ratio: float, t: int) -> float:
    """Return the moving average of ``ratio**i``; the quotient is 0/0 where ratio equals beta."""
    check_decay_rate("beta", beta)
    check_step(t)
    if math.isclose(ratio, beta, rel_tol=1e-9):
        return (1 - beta) * t * beta**t
    return (1 - beta) * ratio * (ratio**t - beta**t) / (ratio - beta)


def half_life(beta: float) -> float:
    """Return after how many steps a gradient's weight has halved: ``ln 2 / -ln beta``.

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


def memory(beta: float) -> float:
    """Return how many independent gradients a long average is worth: ``(1 + beta)/(1 - beta)``.

    The plain mean of that many has the same variance. With beta2 for beta it is RAdam's
    rho_inf.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1).

    Examples
    --------
    >>> round(memory(0.9), 9), round(memory(0.999), 9)
    (19.0, 1999.0)
    """
    check_decay_rate("beta", beta)
    return (1 + beta) / (1 - beta)


def mean_variance(t: int, beta: float = 0.9) -> float:
    """Return the variance of a corrected average of ``t`` independent numbers of variance 1.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1) or ``t`` is less than 1.

    Notes
    -----
    ``(1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t))``: the sum of the squared weights.
    """
    correction = bias_correction(beta, t)
    return (1 + beta**t) / (memory(beta) * correction)


def rescaled_decay_rate(beta: float, batch_ratio: float) -> float:
    """Return the decay rate with the same half-life in examples at another batch size.

    Parameters
    ----------
    beta : float
        Decay rate in [0, 1).
    batch_ratio : float
        New batch size over the old one; positive.

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
