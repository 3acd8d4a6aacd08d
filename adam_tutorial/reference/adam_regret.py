"""Adam with the schedules of the regret theorem."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import check_in
from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, moments
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction, decaying_bias_correction

__all__ = ["adam_regret"]


@rule
def adam_regret(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    beta1_factor: float = 1 - 1e-8,
) -> tuple[AdamState, Array]:
    """Adam with the schedules of the regret theorem: lr and beta1 decay.

    For the theorem's projection, use ``trajectory(..., box=...)``.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2, eps : float
        As in :func:`adam`; the values at t = 1. The learning rate of step t is
        ``lr / sqrt(t)``.
    beta1_factor : float
        The theorem's lambda, in (0, 1]: at step t, beta1 is
        ``beta1 * beta1_factor**(t - 1)``.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    Notes
    -----
    The paper does not say how to correct the bias while beta1 changes. The weights in m
    then add up to one minus the product of all beta1 so far, so m is divided by that.

    References
    ----------
    Kingma, Ba (2015), Theorem 4.1.

    Examples
    --------
    With a constant gradient the steps shorten like ``1 / sqrt(t)``:

    >>> state = None
    >>> for _ in range(3):
    ...     state, update = adam_regret(state, 5.0, lr=0.1)
    ...     print(round(float(update), 4))
    -0.1
    -0.0707
    -0.0577
    """
    check_in("(0, 1]", "beta1_factor", beta1_factor)
    g = as_float(gradient)
    steps_before = state.t if state else 0
    state = moments(state, g, beta1 * beta1_factor**steps_before, beta2)
    m_hat = state.m / decaying_bias_correction(beta1, beta1_factor, state.t)
    v_hat = state.v / bias_correction(beta2, state.t)
    return state, -lr / math.sqrt(state.t) * m_hat / (np.sqrt(v_hat) + eps)
