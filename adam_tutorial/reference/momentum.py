"""Momentum: a step along a decaying sum of gradients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["MomentumState", "momentum"]


class MomentumState(NamedTuple):
    """The running sum ``b`` of past gradients."""

    b: Array


@rule
def momentum(
    state: MomentumState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-2,
    beta: float = 0.9,
    nesterov: bool = False,
) -> tuple[MomentumState, Array]:
    """Step along a decaying sum of past gradients: Polyak's heavy ball.

    This is the momentum of PyTorch's SGD.

    Parameters
    ----------
    state : MomentumState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta : float
        Learning rate; factor by which the sum decays at each step, in [0, 1).
    nesterov : bool
        Look one step ahead: add the new gradient to the sum a second time.

    Returns
    -------
    state, update : MomentumState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Polyak (1964), "Some methods of speeding up the convergence of iteration methods";
    Sutskever et al. (2013), "On the importance of initialization and momentum", for
    Nesterov's form.

    Examples
    --------
    With a constant gradient each step is longer than the last, up to
    ``lr / (1 - beta)``:

    >>> state = None
    >>> for _ in range(3):
    ...     state, update = momentum(state, 1.0, lr=0.1, beta=0.5)
    ...     print(round(float(update), 4))
    -0.1
    -0.15
    -0.175
    """
    g = as_float(gradient)
    (b,) = state or MomentumState(np.zeros_like(g))
    b = beta * b + g
    return MomentumState(b), -lr * (g + beta * b if nesterov else b)
