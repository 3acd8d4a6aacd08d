"""AdaGrad: a step size for each coordinate, from all its gradients so far."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["AdaGradState", "adagrad"]


class AdaGradState(NamedTuple):
    """The sum ``s`` of squared gradients."""

    s: Array


@rule
def adagrad(
    state: AdaGradState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-2,
    eps: float = 1e-10,
) -> tuple[AdaGradState, Array]:
    """Divide each coordinate by the root of the sum of its squared gradients.

    Parameters
    ----------
    state : AdaGradState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, eps : float
        Learning rate; added to the root, so that 0/0 cannot occur.

    Returns
    -------
    state, update : AdaGradState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Duchi, Hazan, Singer (2011), "Adaptive Subgradient Methods".

    Examples
    --------
    With a constant gradient the steps shorten like ``1 / sqrt(t)``:

    >>> state = None
    >>> for _ in range(3):
    ...     state, update = adagrad(state, 5.0, lr=0.1)
    ...     print(round(float(update), 4))
    -0.1
    -0.0707
    -0.0577
    """
    g = as_float(gradient)
    (s,) = state or AdaGradState(np.zeros_like(g))
    s = s + g**2
    return AdaGradState(s), -lr * g / (np.sqrt(s) + eps)
