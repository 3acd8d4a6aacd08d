"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, adam
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["adamw"]


@rule
def adamw(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    theta: ArrayLike,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    decay_times_lr: bool = True,
) -> tuple[AdamState, Array]:
    """Adam with decoupled decay: each step also shrinks the parameters.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient, theta : array_like
        Gradient of the loss, and the parameters, of one shape.
    lr, beta1, beta2, eps : float
        As in :func:`~adam_tutorial.reference.adam`.
    weight_decay : float
        Coefficient of the decay.
    decay_times_lr : bool
        True: a step shrinks a parameter by the fraction ``lr * weight_decay`` (PyTorch,
        Keras, Optax); the paper's lambda is that product. False: by ``weight_decay``,
        which is then the paper's lambda. The paper's schedule, which multiplies both
        terms, is left to the caller.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Loshchilov, Hutter (2019), "Decoupled Weight Decay Regularization", algorithm 2,
    line 12.

    Examples
    --------
    With no gradient, all parameters shrink by the same fraction:

    >>> for decay_times_lr in (True, False):
    ...     _, update = adamw(
    ...         None,
    ...         [0.0, 0.0],
    ...         theta=[1.0, 100.0],
    ...         lr=0.1,
    ...         weight_decay=0.01,
    ...         decay_times_lr=decay_times_lr,
    ...     )
    ...     print(update.round(4).tolist())
    [-0.001, -0.1]
    [-0.01, -1.0]
    """
    share = lr * weight_decay if decay_times_lr else weight_decay
    state, update = adam(state, gradient, lr=lr, beta1=beta1, beta2=beta2, eps=eps)
    return state, update - share * as_float(theta)
