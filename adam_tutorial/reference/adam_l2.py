"""Adam with an L2 penalty."""

from __future__ import annotations

from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, adam
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["adam_l2"]


@rule
def adam_l2(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    theta: ArrayLike,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[AdamState, Array]:
    """Adam on the loss with an L2 penalty; ``weight_decay`` of ``torch.optim.Adam``.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient, theta : array_like
        Gradient of the loss, and the parameters, of one shape.
    lr, beta1, beta2, eps : float
        As in :func:`~adam_tutorial.reference.adam`.
    weight_decay : float
        The penalty is ``weight_decay / 2`` times the squared norm of ``theta``.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Loshchilov, Hutter (2019), algorithm 2, line 6.

    Examples
    --------
    With no other gradient, the penalty moves small and large parameters equally far:

    >>> theta = [1.0, 100.0]
    >>> _, update = adam_l2(None, [0.0, 0.0], theta=theta, lr=0.1, weight_decay=0.01)
    >>> update.round(4).tolist()
    [-0.1, -0.1]
    """
    penalised = as_float(gradient) + weight_decay * as_float(theta)
    return adam(state, penalised, lr=lr, beta1=beta1, beta2=beta2, eps=eps)
