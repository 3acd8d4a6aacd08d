"""RAdam: Adam with a rectified adaptive step."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import check_at_least
from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, moments
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction, radam_rectification, radam_rho

__all__ = ["radam"]


@rule
def radam(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    threshold: float = 5.0,
) -> tuple[AdamState, Array]:
    """Adam with plain momentum at first, and then steps shortened by r_t.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2 : float
        As in :func:`~adam_tutorial.reference.adam`.
    eps : float
        Added to the root of the *uncorrected* v, as in PyTorch; the paper has none.
    threshold : float
        Steps are adaptive once rho_t exceeds this: 5 in PyTorch and in the authors'
        code, 4 in the paper. The rectification is not defined below 4.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range, or ``threshold`` is less than 4.

    References
    ----------
    Liu et al. (2020), "On the Variance of the Adaptive Learning Rate and Beyond",
    algorithm 2.

    Examples
    --------
    The first five steps are proportional to the gradient, the sixth no longer is:

    >>> state = None
    >>> for t in range(1, 7):
    ...     state, update = radam(state, [5.0, 50.0], lr=0.1)
    ...     if t >= 5:
    ...         print(update.round(4).tolist())
    [-0.5, -5.0]
    [-0.0026, -0.0026]
    """
    check_at_least("threshold", threshold, 4)
    state = moments(state, as_float(gradient), beta1, beta2)
    t, m, v = state
    m_hat = m / bias_correction(beta1, t)
    if radam_rho(t, beta2) <= threshold:
        return state, -lr * m_hat
    adaptive = math.sqrt(bias_correction(beta2, t)) / (np.sqrt(v) + eps)
    return state, -lr * radam_rectification(t, beta2) * m_hat * adaptive
