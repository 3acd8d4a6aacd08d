"""Closed forms that the book states, each under the name by which the text calls it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "bias_correction",
    "check_decay_rate",
    "lone_gradient_travel",
    "moving_average_weights",
    "step_size_factor",
    "zeta",
]


def check_decay_rate(name: str, value: float) -> None:
    """Raise ValueError unless ``0 <= value < 1``; ``name`` is named in the error."""
    # `not (...)` rather than the reversed comparison, so that NaN is refused too.
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value!r}")


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
    Written as it stands, ``1 - beta**t`` cancels: with 1 - beta = 1e-12 it is wrong in the fourth
    digit at t = 1. ``expm1(x)`` is ``exp(x) - 1`` without the cancellation and keeps every digit.

    References
    ----------
    Kingma, Ba (2015), section 3.

    Examples
    --------
    >>> bias_correction(0.5, 2)
    0.75
    """
    check_decay_rate("beta", beta)
    if not t >= 1:
        raise ValueError(f"t must be at least 1 (the first step is t = 1), got {t!r}")
    if beta == 0:
        return 1.0  # its logarithm is not defined
    return -math.expm1(t * math.log(beta))


def lone_gradient_travel(beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return how far Adam moves a coordinate, long at rest, after one gradient and then zeros.

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates in [0, 1), with ``beta1 < sqrt(beta2)``: otherwise the steps do not get shorter.

    Returns
    -------
    float
        The distance in learning rates, for t large (no bias left to correct) and eps = 0. It does
        not depend on the size of the gradient.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), or ``beta1 >= sqrt(beta2)``.
    """
    check_decay_rate("beta1", beta1)
    check_decay_rate("beta2", beta2)
    if beta1**2 >= beta2:
        raise ValueError(f"beta1 must be less than sqrt(beta2), got {beta1!r} and {beta2!r}")
    first = (1 - beta1) / math.sqrt(1 - beta2)
    return first / (1 - beta1 / math.sqrt(beta2))


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
    if not t >= 1:
        raise ValueError(f"t must be at least 1, got {t!r}")
    age = np.arange(t - 1, -1, -1)
    return np.asarray((1 - beta) * np.float64(beta) ** age)


def step_size_factor(t: int, beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return ``alpha_t / alpha = sqrt(1 - beta2**t) / (1 - beta1**t)``.

    It is the factor by which the efficient order of Adam multiplies the learning rate, and the
    reciprocal of the factor by which steps are too long when the bias is not corrected.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1) or ``t`` is less than 1.

    References
    ----------
    Kingma, Ba (2015), end of section 2.
    """
    return math.sqrt(bias_correction(beta2, t)) / bias_correction(beta1, t)


def zeta(expected: ArrayLike, beta: float) -> float:
    """Return what a drifting gradient adds to the expectation of a moving average.

    Parameters
    ----------
    expected : array_like, shape (t,)
        The expectation of the averaged quantity at steps 1 ... t: E[g_i] for ``m``, E[g_i^2] for
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
