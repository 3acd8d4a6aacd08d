"""AdaMax: Adam with a maximum instead of the second moment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction

__all__ = ["AdaMaxState", "adamax"]


class AdaMaxState(NamedTuple):
    """The number ``t`` of steps, the average ``m`` and the maximum ``u``."""

    t: int
    m: Array
    u: Array


@rule
def adamax(
    state: AdaMaxState | None,
    gradient: ArrayLike,
    *,
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[AdaMaxState, Array]:
    """Adam divided by a decaying maximum instead of a root of a mean square.

    Parameters
    ----------
    state : AdaMaxState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2 : float
        As in :func:`adam`.
    eps : float
        Added to ``|g|``, as in PyTorch. The paper has none, so there a step is 0/0
        while all gradients are 0.

    Returns
    -------
    state, update : AdaMaxState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Kingma, Ba (2015), section 7.1, Algorithm 2.

    Examples
    --------
    A large gradient stays in the maximum and shortens the steps after it:

    >>> state = None
    >>> for g in (5.0, 0.5, -0.5):
    ...     state, update = adamax(state, g, lr=0.1)
    ...     print(round(float(update), 4))
    -0.1
    -0.0527
    -0.0296
    """
    g = as_float(gradient)
    t, m, u = state or AdaMaxState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    u = np.maximum(beta2 * u, np.abs(g) + eps)
    return AdaMaxState(t, m, u), -lr / bias_correction(beta1, t) * m / u
