"""Adam and AMSGrad on linear losses, a million steps in a second."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import (
    as_vector,
    check_decay_rates,
    check_not_negative,
)
from adam_tutorial._types import Array

__all__ = ["linear_trajectory"]


def linear_trajectory(
    gradients: ArrayLike,
    theta: float = 0.0,
    *,
    interval: tuple[float, float] = (-1.0, 1.0),
    lr: float = 1e-3,
    shrink_lr: bool = False,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 0.0,
    correct_bias: bool = True,
    keep_maximum: bool = False,
) -> Array:
    """Follow Adam or AMSGrad on losses ``g_t * theta`` and return every point.

    The slope of a linear loss is the same everywhere, so all updates are known in
    advance; only keeping the points in the interval needs the steps in order. The
    points are those of :func:`adam_tutorial.reference.adam` or
    :func:`adam_tutorial.reference.amsgrad`.

    Parameters
    ----------
    gradients : array_like, shape (steps,)
        The slopes g_t.
    theta : float
        Starting point.
    interval : tuple of float
        Lowest and highest point allowed; a step that would leave it ends at its edge.
    lr : float
        Learning rate.
    shrink_lr : bool
        Divide the learning rate by the root of t, as in the regret theorems.
    beta1, beta2, eps : float
        As in :func:`adam_tutorial.reference.adam`.
    correct_bias : bool
        Divide the averages by the sums of their weights.
    keep_maximum : bool
        AMSGrad: divide by the root of the largest v so far, taken before correction.

    Returns
    -------
    ndarray, shape (steps + 1,)
        The starting point first.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range, ``gradients`` does not have one dimension,
        the starting point is outside the interval, or ``eps`` and the first gradient
        are 0, so that the first step is 0/0.

    Examples
    --------
    >>> points = linear_trajectory([3, -1, -1], 1.0, lr=0.1, beta1=0.0, beta2=0.1)
    >>> points.round(3).tolist()
    [1.0, 0.9, 0.976, 1.0]
    """
    check_decay_rates(beta1, beta2)
    check_not_negative("lr", lr)
    check_not_negative("eps", eps)
    low, high = interval
    if not low <= theta <= high:
        raise ValueError(f"theta must be in the interval {interval!r}, got {theta!r}")
    g = as_vector("gradients", gradients)
    if eps == 0 and g.size and g[0] == 0:
        raise ValueError(
            "the first gradient is 0; give an eps above 0, or the first step is 0/0"
        )

    t = np.arange(1, g.size + 1)
    m, v = _moving_average(g, beta1), _moving_average(g**2, beta2)
    if keep_maximum:
        v = np.maximum.accumulate(v)
    if correct_bias:
        m, v = m / (1 - beta1**t), v / (1 - beta2**t)
    rate = lr / np.sqrt(t) if shrink_lr else lr
    updates = (-rate * m / (np.sqrt(v) + eps)).tolist()

    def step(x: float, update: float) -> float:
        x += update
        return low if x < low else min(x, high)

    return _scan(accumulate(updates, step, initial=float(theta)), g.size + 1)


def _moving_average(values: Array, beta: float) -> Array:
    weight = 1 - beta
    averages = accumulate(
        values.tolist(), lambda m, x: beta * m + weight * x, initial=0.0
    )
    return _scan(averages, len(values) + 1)[1:]


def _scan(values: Iterable[float], count: int) -> Array:
    return np.fromiter(values, dtype=np.float64, count=count)
