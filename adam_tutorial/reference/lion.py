"""Lion: the sign of an average."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["LionState", "lion"]


class LionState(NamedTuple):
    """The moving average ``m`` of gradients."""

    m: Array


@rule
def lion(
    state: LionState | None,
    gradient: ArrayLike,
    *,
    theta: ArrayLike,
    lr: float = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
) -> tuple[LionState, Array]:
    """Move every coordinate by the learning rate, against the sign of an average.

    Parameters
    ----------
    state : LionState or None
        None before the first step.
    gradient, theta : array_like
        Gradient of the loss, and the parameters, of one shape.
    lr : float
        Learning rate. The authors advise one three to ten times smaller than Adam's,
        with a weight decay larger by the same factor.
    beta1, beta2 : float
        Weight of the old average in the step, and in the new average. Both in [0, 1).
    weight_decay : float
        A step shrinks a parameter by the fraction ``lr * weight_decay``.

    Returns
    -------
    state, update : LionState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Chen et al. (2023), "Symbolic Discovery of Optimization Algorithms", algorithm 2.

    Examples
    --------
    The size of the gradient does not matter:

    >>> _, update = lion(None, [5.0, -0.001], theta=[0.0, 0.0], lr=0.1)
    >>> update.round(4).tolist()
    [-0.1, 0.1]
    """
    g = as_float(gradient)
    (m,) = state or LionState(np.zeros_like(g))
    step = np.sign(beta1 * m + (1 - beta1) * g)
    m = beta2 * m + (1 - beta2) * g
    return LionState(m), -lr * (step + weight_decay * as_float(theta))
