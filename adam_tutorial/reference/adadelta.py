"""AdaDelta: RMSProp without a learning rate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["AdaDeltaState", "adadelta"]


class AdaDeltaState(NamedTuple):
    """The moving averages ``v`` of squared gradients and ``u`` of squared updates."""

    v: Array
    u: Array


@rule
def adadelta(
    state: AdaDeltaState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
) -> tuple[AdaDeltaState, Array]:
    """RMSProp with the typical size of past updates instead of a learning rate.

    Parameters
    ----------
    state : AdaDeltaState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr : float
        Multiplies the update; 1 in the paper.
    rho, eps : float
        Decay rate in [0, 1); added inside both roots, where it decides how long the
        first steps are.

    Returns
    -------
    state, update : AdaDeltaState, ndarray
        ``u`` averages the squared updates as they are before the factor ``lr``.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Zeiler (2012), "ADADELTA: An Adaptive Learning Rate Method", algorithm 1.

    Examples
    --------
    There is no learning rate to choose, but ``eps`` sets the first step:

    >>> for eps in (1e-6, 1e-4):
    ...     _, update = adadelta(None, 5.0, eps=eps)
    ...     print(round(float(update), 4))
    -0.0032
    -0.0316
    """
    g = as_float(gradient)
    v, u = state or AdaDeltaState(np.zeros_like(g), np.zeros_like(g))
    v = rho * v + (1 - rho) * g**2
    update = -np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u = rho * u + (1 - rho) * update**2
    return AdaDeltaState(v, u), lr * update
