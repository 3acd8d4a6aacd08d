"""How long Adam's steps are on simple gradients, and on average."""

from __future__ import annotations

import math

from adam_tutorial._arguments import (
    check_at_least,
    check_beta1_below_beta2,
    check_decay_rate,
    check_decay_rates,
    check_finite,
    check_positive,
    check_step,
)
from adam_tutorial.theory.averages import bias_correction, effective_memory

__all__ = [
    "adam_floor",
    "jump_step",
    "mean_square_step_bound",
    "noisy_step",
    "spike_step",
]


def jump_step(k: int, ratio: float, beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return the length of the k-th step after a constant gradient jumps.

    Parameters
    ----------
    k : int
        Number of gradients at the new level, from 1.
    ratio : float
        The new level divided by the old one; positive.
    beta1, beta2 : float
        Decay rates in [0, 1).

    Returns
    -------
    float
        In learning rates, with eps = 0, for a jump long after the start. It is 1 for
        ``ratio = 1`` and tends to ``1 / step_size_factor(k)`` as the ratio grows.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(jump_step(12, 100.0), 4)
    6.5672
    """
    check_decay_rates(beta1, beta2)
    check_positive("ratio", ratio)
    check_step(k, "k")
    m = 1 + (ratio - 1) * bias_correction(beta1, k)
    v = 1 + (ratio**2 - 1) * bias_correction(beta2, k)
    return m / math.sqrt(v)


def spike_step(ratio: float, beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return the length of the step on one large gradient after small ones.

    Parameters
    ----------
    ratio : float
        The gradient divided by the root of v before it; positive.
    beta1, beta2 : float
        Decay rates in [0, 1).

    Returns
    -------
    float
        In learning rates, with eps = 0, for m = 0 before the gradient, long after the
        start. As the ratio grows it rises to ``(1 - beta1) / sqrt(1 - beta2)``.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(spike_step(100.0), 4)
    3.0153
    """
    check_decay_rates(beta1, beta2)
    check_positive("ratio", ratio)
    return (1 - beta1) * ratio / math.sqrt(beta2 + (1 - beta2) * ratio**2)


def noisy_step(snr: float, beta1: float = 0.9) -> tuple[float, float]:
    """Return the mean and the root mean square of steps on a noisy gradient.

    Parameters
    ----------
    snr : float
        The mean of the gradients divided by their standard deviation; finite.
    beta1 : float
        Decay rate in [0, 1).

    Returns
    -------
    mean, rms : float
        In learning rates, positive against the gradient, for independent gradients,
        beta2 close to 1, eps = 0 and large t. With ``snr = 0`` the second is
        :func:`white_noise_rms`.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> mean, rms = noisy_step(0.1)
    >>> round(mean, 4), round(rms, 4)
    (0.0995, 0.249)
    """
    check_decay_rate("beta1", beta1)
    check_finite("snr", snr)
    square = 1 + snr**2
    return snr / math.sqrt(square), math.sqrt(
        (snr**2 + 1 / effective_memory(beta1)) / square
    )


def adam_floor(lr: float, noise: float, curvature: float) -> float:
    """Return how far from the minimum of a parabola noise keeps Adam.

    Parameters
    ----------
    lr : float
        Learning rate, constant and much smaller than ``noise / curvature``.
    noise : float
        Standard deviation of the gradient's noise.
    curvature : float
        Second derivative of the loss.

    Returns
    -------
    float
        The root mean square distance after many steps,
        ``sqrt(lr * noise / (2 * curvature))``, for beta2 close to 1.

    Raises
    ------
    ValueError
        An argument is not positive and finite.

    See Also
    --------
    rmsprop_floor : the same without momentum, as a mean square.

    Examples
    --------
    >>> round(adam_floor(0.01, 2.0, 1.0), 6)
    0.1
    """
    for name, value in (("lr", lr), ("noise", noise), ("curvature", curvature)):
        check_positive(name, value)
    return math.sqrt(lr * noise / (2 * curvature))


def mean_square_step_bound(
    steps: int,
    growth: float = 1.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    before: float = 0.0,
) -> float:
    """Return a bound on the mean square of consecutive steps.

    Parameters
    ----------
    steps : int
        Number of steps, from 1.
    growth : float
        v after the steps divided by v before them; positive.
    beta1, beta2 : float
        Decay rates in [0, 1), ``beta1 < beta2``.
    before : float
        ``m / sqrt(v)`` before the steps, which is the length of the step before them.

    Returns
    -------
    float
        In squared learning rates, with eps = 0, for steps long after the start.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    Many steps, with v the same before and after them:

    >>> round(mean_square_step_bound(1_000_000), 4)
    1.0091
    """
    check_beta1_below_beta2(beta1, beta2)
    check_at_least("steps", steps, 1)
    check_positive("growth", growth)
    check_finite("before", before)
    rho = beta1 / beta2
    average = 1 + beta2 / (1 - beta2) * math.log(growth) / steps
    return (1 - beta1) / (1 - rho) * average + rho / (1 - rho) * before**2 / steps
