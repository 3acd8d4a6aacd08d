"""Adafactor: second moments of rows and columns instead of single coordinates."""

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

    For gradients of two or more dimensions, ``row`` has the mean of each row, ``col``
    that of each column, and ``v`` is None. For others, ``v`` has a number for each
    coordinate, and ``row`` and ``col`` are None.
    """

    t: int
    row: Array | None
    col: Array | None
    v: Array | None

    @staticmethod
    def shapes(shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        """Return the shape of each array for a gradient of the given shape."""
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
    """Divide by factored second moments, and scale with the size of the parameters.

    Parameters
    ----------
    state : AdafactorState or None
        None before the first step.
    gradient, theta : array_like
        Gradient of the loss, and the parameters, of one shape. The last two dimensions
        are rows and columns; any others count separate matrices.
    lr : float
        Largest relative step size: rho_t is ``min(lr, 1 / sqrt(t))``, and a step is
        about rho_t times the root mean square of ``theta``.
    beta2_decay : float
        Negative or 0. The decay rate of the averages is ``1 - t**beta2_decay``.
    eps : pair of float
        The first is the smallest divisor; None stands for the machine epsilon of the
        gradient's type. The second is the smallest root mean square that ``theta`` is
        taken to have, so that parameters can leave 0.
    d : float
        An update with a larger root mean square, before it is multiplied by the step
        size, is scaled down to this; at least 1.
    weight_decay : float
        A step shrinks a parameter by the fraction ``lr * weight_decay``.

    Returns
    -------
    state, update : AdafactorState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    Notes
    -----
    This is what PyTorch computes. The paper differs: rho_t is at most 0.01 instead of
    ``lr``; the first eps is 1e-30 and is added to the squared gradients at every step;
    ``row`` and ``col`` are sums, which does not change the update; there is no weight
    decay.

    References
    ----------
    Shazeer, Stern (2018), "Adafactor: Adaptive Learning Rates with Sublinear Memory
    Cost", algorithms 4 (matrices), 5 (vectors) and 6 (hyper-parameters).

    Examples
    --------
    Here the row means and the column means determine the squared gradient, so the first
    step is its sign, times ``lr`` and the size of ``theta``:

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
