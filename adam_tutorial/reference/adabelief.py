"""AdaBelief: Adam divided by the spread of gradients instead of their size."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction

__all__ = ["adabelief"]


@rule
def adabelief(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-16,
) -> tuple[AdamState, Array]:
    """Adam divided by the spread of the gradients instead of their size.

    Parameters
    ----------
    state : AdamState or None
        None before the first step. Its ``v`` is the paper's s.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2 : float
        As in :func:`~adam_tutorial.reference.adam`.
    eps : float
        Added to s at *every* step, and to the root of s-hat. In total it adds
        ``eps / (1 - beta2)`` to s-hat, at any t: 1e-13 with the defaults.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Zhuang et al. (2020), "AdaBelief Optimizer: Adapting Stepsizes by the Belief in
    Observed Gradients", algorithm 2.

    Examples
    --------
    Constant gradients, and gradients of the same size whose sign alternates. Adam's
    steps for the former are 0.1:

    >>> state = None
    >>> for sign in (1, -1, 1, -1, 1):
    ...     state, update = adabelief(state, [5.0, 5.0 * sign], lr=0.1)
    >>> update.round(4).tolist()
    [-0.1342, -0.0217]

    With zero gradients, s-hat is what eps has added:

    >>> state, _ = adabelief(adabelief(None, 0.0)[0], 0.0)
    >>> print(f"{state.v / bias_correction(0.999, 2):.1e}")
    1.0e-13
    """
    g = as_float(gradient)
    t, m, s = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
    m_hat = m / bias_correction(beta1, t)
    s_hat = s / bias_correction(beta2, t)
    return AdamState(t, m, s), -lr * m_hat / (np.sqrt(s_hat) + eps)
