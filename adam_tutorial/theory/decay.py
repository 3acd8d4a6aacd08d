"""What decoupled weight decay does, alone and against noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial.theory.averages import check_positive

__all__ = ["adamw_shrink_factor", "equilibrium_rms"]


def adamw_shrink_factor(lr: ArrayLike, weight_decay: float) -> float:
    """Return what is left of a parameter after steps of AdamW without a gradient.

    Parameters
    ----------
    lr : array_like, shape (steps,)
        The learning rate of each step.
    weight_decay : float
        In PyTorch's form, which multiplies it by the learning rate.

    Returns
    -------
    float
        The product of ``1 - lr_t * weight_decay``.

    Raises
    ------
    ValueError
        ``lr`` does not have one dimension.

    References
    ----------
    Loshchilov, Hutter (2019), algorithm 2.

    Examples
    --------
    >>> adamw_shrink_factor([0.5, 0.5], 1.0)
    0.25
    """
    rates = np.asarray(lr, dtype=np.float64)
    if rates.ndim != 1:
        raise ValueError(f"lr must have one dimension, got shape {rates.shape}")
    return float(np.prod(1 - rates * weight_decay))


def equilibrium_rms(lr: float, weight_decay: float) -> float:
    """Return the size at which noise and decay hold AdamW's weights: ``sqrt(lr/(2 weight_decay))``.

    The root mean square of parameters whose gradients are pure noise, after many steps, for
    ``lr * weight_decay`` small. It does not depend on the size of the noise.

    Parameters
    ----------
    lr, weight_decay : float
        In PyTorch's form; both positive.

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
