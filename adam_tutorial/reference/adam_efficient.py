"""Adam in the order of the end of section 2 of the paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, moments
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import step_size_factor

__all__ = ["adam_efficient"]


@rule
def adam_efficient(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps_hat: float = 1e-8,
) -> tuple[AdamState, Array]:
    """Adam in its efficient order, with both corrections in one scalar.

    It equals :func:`adam` if ``eps_hat`` is ``eps * sqrt(1 - beta2**t)``, which changes
    with t.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2 : float
        As in :func:`adam`.
    eps_hat : float
        Added to the root of the *uncorrected* v.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Kingma, Ba (2015), end of section 2.

    Examples
    --------
    A first gradient as small as ``eps_hat`` moves a parameter by 3 % of the learning
    rate. One as small as the ``eps`` of :func:`adam` moves it by half:

    >>> from adam_tutorial.reference import adam
    >>> _, update = adam_efficient(None, 1e-8, lr=1.0, eps_hat=1e-8)
    >>> _, other = adam(None, 1e-8, lr=1.0, eps=1e-8)
    >>> round(float(update), 4), round(float(other), 4)
    (-0.0307, -0.5)
    """
    state = moments(state, as_float(gradient), beta1, beta2)
    lr_t = lr * step_size_factor(state.t, beta1, beta2)
    return state, -lr_t * state.m / (np.sqrt(state.v) + eps_hat)
