"""Adam: Algorithm 1 of the paper."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction

__all__ = ["AdamState", "adam", "moments"]


class AdamState(NamedTuple):
    """The number ``t`` of steps, and the averages ``m`` of g and ``v`` of g squared."""

    t: int
    m: Array
    v: Array


def moments(state: AdamState | None, g: Array, beta1: float, beta2: float) -> AdamState:
    """Return the state after one more gradient."""
    t, m, v = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    return AdamState(t + 1, beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2)


@rule
def adam(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    correct_bias: bool = True,
) -> tuple[AdamState, Array]:
    """Adam, line by line as in Algorithm 1 of the paper.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr : float
        Learning rate; the paper's alpha.
    beta1, beta2 : float
        Decay rates of the moving averages, in [0, 1).
    eps : float
        Added to the root of v-hat.
    correct_bias : bool
        False leaves out the two divisions that make m-hat and v-hat, for experiments.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Kingma, Ba (2015), "Adam: A Method for Stochastic Optimization", Algorithm 1.

    Examples
    --------
    The first step is one learning rate long, however large or small the gradient:

    >>> state, update = adam(None, [5.0, -0.001], lr=0.1)
    >>> update.round(4).tolist()
    [-0.1, 0.1]
    >>> state.t, state.m.round(4).tolist()
    (1, [0.5, -0.0001])
    """
    g = as_float(gradient)
    t, m, v = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / bias_correction(beta1, t) if correct_bias else m
    v_hat = v / bias_correction(beta2, t) if correct_bias else v
    return AdamState(t, m, v), -lr * m_hat / (np.sqrt(v_hat) + eps)
