"""Gradient descent, momentum, AdaGrad and RMSProp on constant gradients and parabolas.

Curvatures are second derivatives: on a quadratic, the eigenvalues of its Hessian.
Momentum has the heavy-ball form ``b = beta * b + g``, as in ``reference.momentum``.
With ``beta = 0`` it is gradient descent.
"""

from __future__ import annotations

import cmath
import math

from numpy.typing import ArrayLike

from adam_tutorial._arguments import (
    as_numbers,
    check_decay_rate,
    check_in,
    check_positive,
    check_step,
)
from adam_tutorial.theory.averages import bias_correction

__all__ = [
    "adagrad_length",
    "adagrad_step",
    "best_descent",
    "best_heavy_ball",
    "descent_rate",
    "heavy_ball_rate",
    "heavy_ball_sum",
    "noise_floor",
    "rmsprop_cycle",
    "rmsprop_floor",
    "rmsprop_step",
    "step_limit",
    "steps_per_digit",
]


def _curvatures(curvatures: ArrayLike) -> list[float]:
    values = as_numbers("curvatures", curvatures).ravel().tolist()
    if not values or not all(0 < value < math.inf for value in values):
        raise ValueError(f"curvatures must be positive and finite, got {curvatures!r}")
    return [float(value) for value in values]


def step_limit(curvature: float, beta: float = 0.0) -> float:
    """Return the limit of stable learning rates: ``2 * (1 + beta) / curvature``.

    Parameters
    ----------
    curvature : float
        The largest eigenvalue of the Hessian; positive.
    beta : float
        Decay rate of the heavy ball, in [0, 1); 0 for gradient descent.

    Raises
    ------
    ValueError
        An argument is out of range.

    See Also
    --------
    stability_limit : the same for momentum as an average, which is larger by the factor
        ``1 / (1 - beta)``.

    Examples
    --------
    >>> step_limit(4.0), step_limit(4.0, beta=0.5)
    (0.5, 0.75)
    """
    check_positive("curvature", curvature)
    check_decay_rate("beta", beta)
    return 2 * (1 + beta) / curvature


def descent_rate(lr: float, curvatures: ArrayLike) -> float:
    """Return the factor by which a step of gradient descent shrinks the error.

    Parameters
    ----------
    lr : float
        Learning rate; positive.
    curvatures : array_like
        Eigenvalues of the Hessian; positive.

    Returns
    -------
    float
        The largest ``|1 - lr * h|``, that of the slowest direction. With 1 or more
        there is no convergence.

    Raises
    ------
    ValueError
        An argument is not positive.

    Examples
    --------
    >>> descent_rate(0.125, [1, 4])
    0.875
    """
    check_positive("lr", lr)
    return max(abs(1 - lr * h) for h in _curvatures(curvatures))


def best_descent(smallest: float, largest: float) -> tuple[float, float]:
    """Return gradient descent's best constant learning rate, and its rate.

    Parameters
    ----------
    smallest, largest : float
        The extreme eigenvalues of the Hessian; positive.

    Returns
    -------
    lr, rate : float
        ``2 / (smallest + largest)`` and ``(kappa - 1) / (kappa + 1)``, with kappa =
        largest / smallest.

    Raises
    ------
    ValueError
        A curvature is not positive, or ``smallest`` exceeds ``largest``.

    Examples
    --------
    >>> best_descent(1.0, 3.0)
    (0.5, 0.5)
    """
    _check_order(smallest, largest)
    return 2 / (smallest + largest), (largest - smallest) / (largest + smallest)


def _check_order(smallest: float, largest: float) -> None:
    check_positive("smallest", smallest)
    check_positive("largest", largest)
    if smallest > largest:
        raise ValueError(
            f"smallest must not exceed largest, got {smallest!r} and {largest!r}"
        )


def steps_per_digit(rate: float) -> float:
    """Return the number of steps that divide an error by ten: ``ln 10 / -ln rate``.

    Parameters
    ----------
    rate : float
        Factor by which a step multiplies the error, in (0, 1).

    Raises
    ------
    ValueError
        ``rate`` is outside (0, 1).

    Examples
    --------
    >>> round(steps_per_digit(0.5), 2)
    3.32
    """
    check_in("(0, 1)", "rate", rate)
    return math.log(10) / -math.log(rate)


def heavy_ball_rate(lr: float, beta: float, curvatures: ArrayLike) -> float:
    """Return the factor by which a step of momentum shrinks the error, in the end.

    Parameters
    ----------
    lr, beta : float
        Learning rate, positive; decay rate in [0, 1).
    curvatures : array_like
        Eigenvalues of the Hessian; positive.

    Returns
    -------
    float
        The largest modulus of a root of ``z**2 - (1 + beta - lr * h) * z + beta``.

    Raises
    ------
    ValueError
        An argument is out of range.

    References
    ----------
    Polyak (1964); Goh (2017), "Why Momentum Really Works".

    Examples
    --------
    >>> round(heavy_ball_rate(1.0, 0.25, [1.0]), 9)
    0.5
    """
    check_positive("lr", lr)
    check_decay_rate("beta", beta)
    rates = []
    for h in _curvatures(curvatures):
        half = (1 + beta - lr * h) / 2
        root = cmath.sqrt(half**2 - beta)
        rates.append(max(abs(half + root), abs(half - root)))
    return max(rates)


def best_heavy_ball(smallest: float, largest: float) -> tuple[float, float, float]:
    """Return momentum's best constant learning rate and decay rate, and its rate.

    Parameters
    ----------
    smallest, largest : float
        The extreme eigenvalues of the Hessian; positive.

    Returns
    -------
    lr, beta, rate : float
        ``4 / (sqrt(largest) + sqrt(smallest))**2``, the square of the rate, and
        ``(sqrt(kappa) - 1) / (sqrt(kappa) + 1)``.

    Raises
    ------
    ValueError
        A curvature is not positive, or ``smallest`` exceeds ``largest``.

    References
    ----------
    Polyak (1964).

    Examples
    --------
    >>> lr, beta, rate = best_heavy_ball(1.0, 9.0)
    >>> lr, beta, rate
    (0.25, 0.25, 0.5)
    """
    _check_order(smallest, largest)
    low, high = math.sqrt(smallest), math.sqrt(largest)
    rate = (high - low) / (high + low)
    return 4 / (high + low) ** 2, rate**2, rate


def heavy_ball_sum(t: int, beta: float = 0.9) -> float:
    """Return momentum's step after ``t`` equal gradients, in steps of gradient descent.

    It is ``(1 - beta**t) / (1 - beta)`` and tends to ``1 / (1 - beta)``.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1) or ``t`` is less than 1.

    Examples
    --------
    >>> heavy_ball_sum(2, 0.5)
    1.5
    """
    return bias_correction(beta, t) / (1 - beta)


def noise_floor(
    lr: float, curvature: float, variance: float, beta: float = 0.0
) -> float:
    """Return the mean square distance at which noise keeps SGD from a minimum.

    Parameters
    ----------
    lr, curvature, variance : float
        Learning rate; second derivative; variance of the gradient. All positive.
    beta : float
        Decay rate of the heavy ball, in [0, 1).

    Returns
    -------
    float
        ``lr * variance * (1 + beta) / (h * (1 - beta) * (2 * (1 + beta) - lr * h))``
        with h for the curvature; infinite at :func:`step_limit` and above. The mean
        excess of the loss is ``curvature / 2`` times that.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> noise_floor(0.5, 2.0, 1.0)
    0.25
    """
    check_positive("lr", lr)
    check_positive("variance", variance)
    if lr >= step_limit(curvature, beta):
        return math.inf
    room = 2 * (1 + beta) - lr * curvature
    return lr * variance * (1 + beta) / (curvature * (1 - beta) * room)


def adagrad_step(t: int) -> float:
    """Return AdaGrad's step after ``t`` equal gradients, in learning rates: 1/sqrt(t).

    Raises
    ------
    ValueError
        ``t`` is less than 1.

    References
    ----------
    Duchi, Hazan, Singer (2011).
    """
    check_step(t)
    return 1 / math.sqrt(t)


def adagrad_length(t: int) -> float:
    """Return how far AdaGrad moves on ``t`` equal gradients, in learning rates.

    It is the sum of :func:`adagrad_step`, and lies between
    ``2 * sqrt(t) - 2 + 1 / sqrt(t)`` and ``2 * sqrt(t) - 1``.

    Raises
    ------
    ValueError
        ``t`` is less than 1.

    Examples
    --------
    >>> round(adagrad_length(100), 2)
    18.59
    """
    check_step(t)
    first = min(t, 1000)
    length = math.fsum(1 / math.sqrt(i) for i in range(1, first + 1))
    if t == first:
        return length

    def antiderivative(x: float) -> float:
        # The formula of Euler and Maclaurin; what it leaves out is below rounding here.
        root = math.sqrt(x)
        return 2 * root + 1 / (2 * root) - 1 / (24 * root**3)

    return length + antiderivative(t) - antiderivative(first)


def rmsprop_step(t: int, beta: float = 0.99) -> float:
    """Return RMSProp's step after ``t`` equal gradients, in learning rates.

    It is ``1 / sqrt(1 - beta**t)``: the average of the squares starts at 0 and its bias
    is not corrected.

    Raises
    ------
    ValueError
        ``beta`` is outside [0, 1) or ``t`` is less than 1.

    Examples
    --------
    >>> round(rmsprop_step(1), 3), round(rmsprop_step(100), 3)
    (10.0, 1.256)
    """
    return 1 / math.sqrt(bias_correction(beta, t))


def rmsprop_cycle(lr: float) -> float:
    """Return how far from the minimum of a parabola RMSProp jumps back and forth: lr/2.

    There, with ``v`` equal to the square of the gradient, each step leads to the same
    distance on the other side, for every curvature and decay rate.

    Raises
    ------
    ValueError
        ``lr`` is not positive.
    """
    check_positive("lr", lr)
    return lr / 2


def rmsprop_floor(lr: float, curvature: float, variance: float) -> float:
    """Return the mean square distance at which noise keeps RMSProp from a minimum.

    Parameters
    ----------
    lr, curvature, variance : float
        Learning rate; second derivative; variance of the gradient. All positive.

    Returns
    -------
    float
        :func:`noise_floor` for the learning rate ``lr / sqrt(variance)``, an
        approximation for beta close to 1 and noise much larger than the mean gradient.

    Raises
    ------
    ValueError
        An argument is not positive.
    """
    check_positive("lr", lr)
    check_positive("variance", variance)
    return noise_floor(lr / math.sqrt(variance), curvature, variance)
