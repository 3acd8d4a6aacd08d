"""What decoupled weight decay does, alone and against noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import (
    as_count,
    as_vector,
    check_decay_rate,
    check_finite,
    check_not_negative,
    check_positive,
)

__all__ = [
    "adamw_shrink_factor",
    "equilibrium_rms",
    "noise_equilibrium_rms",
    "rms_after",
]


def adamw_shrink_factor(lr: ArrayLike, weight_decay: float) -> float:
    """Return the fraction of a parameter left after steps of AdamW on zero gradients.

    Parameters
    ----------
    lr : array_like, shape (steps,)
        The learning rate of each step.
    weight_decay : float
        In PyTorch's convention, which multiplies it by the learning rate.

    Returns
    -------
    float
        The product of ``1 - lr_t * weight_decay``.

    Raises
    ------
    ValueError
        ``lr`` does not have one dimension, or ``weight_decay`` is not finite.

    References
    ----------
    Loshchilov, Hutter (2019), algorithm 2.

    Examples
    --------
    >>> adamw_shrink_factor([0.5, 0.5], 1.0)
    0.25
    """
    check_finite("weight_decay", weight_decay)
    return float(np.prod(1 - as_vector("lr", lr) * weight_decay))


def equilibrium_rms(lr: float, weight_decay: float) -> float:
    """Return the size at which noise and decay balance: ``sqrt(lr/(2 weight_decay))``.

    It is the root mean square of AdamW's parameters after many steps on pure noise, for
    small ``lr * weight_decay``, and does not depend on the size of the noise.

    Parameters
    ----------
    lr, weight_decay : float
        In PyTorch's convention; both positive.

    Raises
    ------
    ValueError
        An argument is not positive.

    References
    ----------
    Kosson et al. (2024), "Rotational Equilibrium".

    Examples
    --------
    >>> round(equilibrium_rms(0.01, 0.5), 6)
    0.1
    """
    check_positive("lr", lr)
    check_positive("weight_decay", weight_decay)
    return math.sqrt(lr / (2 * weight_decay))


def noise_equilibrium_rms(lr: float, weight_decay: float, beta1: float = 0.9) -> float:
    """Return the size at which noise and decay balance, for any strength of decay.

    It is exact for independent gradients of mean 0 if v is their variance, as it nearly
    is for ``beta2`` close to 1. For ``lr * weight_decay`` much smaller than
    ``1 - beta1`` it is :func:`equilibrium_rms`.

    Parameters
    ----------
    lr, weight_decay : float
        In PyTorch's convention; both positive, with ``lr * weight_decay < 2``.
    beta1 : float
        Decay rate of the first moment, in [0, 1).

    Raises
    ------
    ValueError
        An argument is out of range. With a product of 2 or more the weights grow
        without bound.

    Examples
    --------
    >>> round(noise_equilibrium_rms(0.01, 0.5) / equilibrium_rms(0.01, 0.5), 3)
    0.978
    >>> round(noise_equilibrium_rms(0.1, 5.0) / equilibrium_rms(0.1, 5.0), 3)
    0.43
    """
    check_positive("lr", lr)
    check_positive("weight_decay", weight_decay)
    check_decay_rate("beta1", beta1)
    _check_product(lr, weight_decay)
    kept = 1 - lr * weight_decay
    momentum = (1 - beta1) / (1 + beta1) * (1 + kept * beta1) / (1 - kept * beta1)
    return lr * math.sqrt(momentum / (1 - kept**2))


def _check_product(lr: float, weight_decay: float) -> None:
    if lr * weight_decay >= 2:
        raise ValueError(
            f"lr * weight_decay must be less than 2, got {lr * weight_decay!r}"
        )


def rms_after(steps: int, lr: float, weight_decay: float, start: float = 0.0) -> float:
    """Return the size of AdamW's weights as they approach :func:`equilibrium_rms`.

    Parameters
    ----------
    steps : int
        Number of steps on pure noise, from 0.
    lr, weight_decay : float
        In PyTorch's convention; both positive, with a small product.
    start : float
        Root mean square of the weights before the first step.

    Raises
    ------
    ValueError
        An argument is negative or not finite, ``lr`` or ``weight_decay`` is 0, or their
        product is 2 or more, with which the weights grow without bound.

    Examples
    --------
    With PyTorch's defaults for AdamW, ten thousand steps are far from enough:

    >>> [round(rms_after(t, 1e-3, 1e-2), 3) for t in (10_000, 100_000, 1_000_000)]
    [0.095, 0.208, 0.224]
    """
    steps = as_count("steps", steps)
    check_not_negative("start", start)
    settled = equilibrium_rms(lr, weight_decay)
    _check_product(lr, weight_decay)
    left = (1 - lr * weight_decay) ** (2 * steps)
    return math.sqrt(left * start**2 + (1 - left) * settled**2)
