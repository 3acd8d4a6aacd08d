"""AMSGrad: Adam divided by the largest second moment so far."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, moments
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction

__all__ = ["AMSGradState", "amsgrad"]


class AMSGradState(NamedTuple):
    """Adam's state and the largest second moment so far, ``v_max``."""

    t: int
    m: Array
    v: Array
    v_max: Array


@rule
def amsgrad(
    state: AMSGradState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    maximum_of: str = "v",
    correct_bias: bool = True,
) -> tuple[AMSGradState, Array]:
    """Adam whose denominator never gets smaller.

    Parameters
    ----------
    state : AMSGradState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2, eps : float
        As in :func:`~adam_tutorial.reference.adam`.
    maximum_of : {"v", "v_hat"}
        Take the maximum of the raw v and correct it afterwards (PyTorch, Keras), or
        take the maximum of the corrected v-hat (Optax). With the latter, a large first
        gradient keeps its full weight permanently.
    correct_bias : bool
        False is the paper's algorithm, which corrects neither m nor v; then the two
        definitions are the same.

    Returns
    -------
    state, update : AMSGradState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Reddi, Kale, Kumar (2018), "On the Convergence of Adam and Beyond", algorithm 2.

    Examples
    --------
    After one large gradient and a hundred small ones, the steps of the second
    definition are still short:

    >>> for maximum_of in ("v", "v_hat"):
    ...     state = None
    ...     for g in [10.0] + 100 * [1.0]:
    ...         state, update = amsgrad(state, g, lr=0.1, maximum_of=maximum_of)
    ...     print(round(float(update), 4))
    -0.0719
    -0.01
    """
    if maximum_of not in ("v", "v_hat"):
        raise ValueError(f"maximum_of must be 'v' or 'v_hat', got {maximum_of!r}")
    g = as_float(gradient)
    before, v_max = (
        (AdamState(*state[:3]), state.v_max) if state else (None, np.zeros_like(g))
    )
    t, m, v = moments(before, g, beta1, beta2)
    correction1, correction2 = (
        (bias_correction(beta1, t), bias_correction(beta2, t))
        if correct_bias
        else (1.0, 1.0)
    )
    v_max = np.maximum(v_max, v if maximum_of == "v" else v / correction2)
    v_hat = v_max / correction2 if maximum_of == "v" else v_max
    return AMSGradState(t, m, v, v_max), -lr * (m / correction1) / (
        np.sqrt(v_hat) + eps
    )
