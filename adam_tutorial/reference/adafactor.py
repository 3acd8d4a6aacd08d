"""Adafactor: second moments of rows and columns instead of one for each coordinate."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import check_at_least
from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["AdafactorState", "adafactor"]


class AdafactorState(NamedTuple):
    """The number ``t`` of steps, and moving averages of squared gradients.

    For arrays of two or more dimensions, ``row`` is the average over each row and
    ``col`` that over each column, and ``v`` is None; for others, ``v`` has one for each
    coordinate, and the other two are None.
    """

    t: int
    row: Array | None
    col: Array | None
    v: Array | None

    @staticmethod
    def shapes(shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        """Return the shapes that belong to a gradient of this shape."""
        if len(shape) < 2:
            return {"row": None, "col": None, "v": shape}
        *rest, rows, columns = shape
        return {"row": (*rest, rows, 1), "col": (*rest, 1, columns), "v": None}


@rule
def adafactor(
    state: AdafactorState | None,
    gradient: ArrayLike,
    *,
    theta: ArrayLike,
    lr: float = 1e-2,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
) -> tuple[AdafactorState, Array]:
    """Scale steps by the size of the parameters, divide by factored second moments.

    Parameters
    ----------
    state : AdafactorState or None
        None before the first step.
    gradient, theta : array_like
        Gradient of the loss, and the parameters, of one shape. The last two dimensions
        are rows and columns; further ones count separate matrices.
    lr : float
        Largest relative step size: rho_t is ``min(lr, 1 / sqrt(t))``. A step is about
        rho_t times the root mean square of ``theta``.
    beta2_decay : float
        Negative or 0: the averages keep ``1 - t**beta2_decay`` at step t.
    eps : pair of float
        The first keeps the divisors away from 0; None is the ``eps`` of the gradient's
        number type. The second is the least root mean square that ``theta`` counts as,
        so that parameters at 0 move.
    d : float
        Updates whose root mean square is larger than this are scaled down to it; at
        least 1.
    weight_decay : float
        A step takes ``lr * weight_decay`` of the parameter away.

    Returns
    -------
    state, update : AdafactorState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    Notes
    -----
    This is what PyTorch computes. In the paper, rho_t is at most 0.01 (here ``lr``);
    the first eps is 1e-30, and is added to the squared gradient at every step (here it
    bounds divisors from below); ``row`` and ``col`` are sums (here means, which gives
    the same quotient); and there is no weight decay.

    References
    ----------
    Shazeer, Stern (2018), "Adafactor: Adaptive Learning Rates with Sublinear Memory
    Cost", algorithms 4 (matrices), 5 (vectors) and 6 (hyper-parameters).

    Examples
    --------
    The state of a matrix is a row and a column. Here their product is the square of the
    gradient, so the first step is its sign, times ``lr`` and the size of ``theta``:

    >>> g = [[3.0, -6.0, 3.0], [0.1, -0.2, 0.1]]
    >>> state, update = adafactor(None, g, theta=np.full((2, 3), 5.0))
    >>> state.row.shape, state.col.shape
    ((2, 1), (1, 3))
    >>> update.round(4).tolist()
    [[-0.05, 0.05, -0.05], [-0.05, 0.05, -0.05]]
    """
    check_at_least("d", d, 1)
    g, theta = as_float(gradient), as_float(theta)
    eps1, eps2 = eps
    if eps1 is None:
        eps1 = float(np.finfo(g.dtype).eps)
    t, row, col, v = state or AdafactorState(0, None, None, None)
    t = t + 1
    beta2 = 1 - t**beta2_decay  # 0 at the first step

    def average(before: Array | None, now: Array) -> Array:
        return now if before is None else beta2 * before + (1 - beta2) * now

    if g.ndim > 1:
        row = average(row, np.mean(g**2, axis=-1, keepdims=True))
        col = average(col, np.mean(g**2, axis=-2, keepdims=True))
        mean = np.mean(row, axis=-2, keepdims=True)
        v_hat = row * col / np.maximum(mean, eps1)
    else:
        v_hat = v = average(v, g**2)
    u = g / np.maximum(np.sqrt(v_hat), eps1)
    u = u / max(1.0, _rms(u) / d)
    alpha = max(eps2, _rms(theta)) * min(lr, 1 / math.sqrt(t))
    return AdafactorState(t, row, col, v), -lr * weight_decay * theta - alpha * u


def _rms(x: Array) -> float:
    return math.sqrt(np.mean(x**2))
