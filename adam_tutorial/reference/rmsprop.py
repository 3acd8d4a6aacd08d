"""RMSProp: AdaGrad that forgets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["RMSPropState", "rmsprop"]


class RMSPropState(NamedTuple):
    """The moving averages ``v`` of squared gradients and ``m`` of gradients."""

    v: Array
    m: Array


@rule
def rmsprop(
    state: RMSPropState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-2,
    beta: float = 0.99,
    eps: float = 1e-8,
    centered: bool = False,
) -> tuple[RMSPropState, Array]:
    """AdaGrad with a moving average instead of the sum, so that it forgets.

    Parameters
    ----------
    state : RMSPropState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta, eps : float
        Learning rate; decay rate in [0, 1); added to the root.
    centered : bool
        Divide by the standard deviation instead of the root of the mean square.

    Returns
    -------
    state, update : RMSPropState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Tieleman, Hinton (2012), lecture 6.5 of "Neural Networks for Machine Learning";
    Graves (2013), "Generating Sequences with Recurrent Neural Networks", equations 38
    to 45, for the centred form.

    Examples
    --------
    The average starts at zero and its bias is not corrected, so the first step is ten
    learning rates long:

    >>> _, update = rmsprop(None, [5.0, -0.5], lr=0.1, beta=0.99)
    >>> update.round(4).tolist()
    [-1.0, 1.0]
    """
    g = as_float(gradient)
    v, m = state or RMSPropState(np.zeros_like(g), np.zeros_like(g))
    v = beta * v + (1 - beta) * g**2
    m = beta * m + (1 - beta) * g
    # Rounding can make a variance slightly negative.
    spread = np.maximum(v - m**2, 0) if centered else v
    return RMSPropState(v, m), -lr * g / (np.sqrt(spread) + eps)
