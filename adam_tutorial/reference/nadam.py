"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, moments
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction, nadam_momentum

__all__ = ["NAdamState", "nadam"]


class NAdamState(NamedTuple):
    """Adam's state and the product of all momenta so far, ``mu_product``."""

    t: int
    m: Array
    v: Array
    mu_product: float


@rule
def nadam(
    state: NAdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> tuple[NAdamState, Array]:
    """Adam with Nesterov's momentum, which rises over the first steps.

    Parameters
    ----------
    state : NAdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2, eps : float
        As in :func:`~adam_tutorial.reference.adam`.
    momentum_decay : float
        How fast the momentum mu rises from ``beta1 / 2`` to ``beta1``; PyTorch's psi
        (1/250 in the paper).

    Returns
    -------
    state, update : NAdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Dozat (2016), "Incorporating Nesterov Momentum into Adam". As in PyTorch, m is an
    average with the rate beta1, and mu weighs m against the gradient; in the paper mu
    is also the rate of the average. So the divisors are not exactly the sums of the
    weights in m.

    Examples
    --------
    When the gradient changes its sign, NAdam turns before Adam does:

    >>> from adam_tutorial.reference import adam
    >>> for step in (nadam, adam):
    ...     state = None
    ...     for g in (5.0, 5.0, -5.0):
    ...         state, update = step(state, g, lr=0.1)
    ...     print(round(float(update), 4))
    0.0572
    -0.0262
    """
    g = as_float(gradient)
    before, product = (
        (AdamState(*state[:3]), state.mu_product) if state else (None, 1.0)
    )
    t, m, v = moments(before, g, beta1, beta2)
    mu = nadam_momentum(t, beta1, momentum_decay)
    mu_next = nadam_momentum(t + 1, beta1, momentum_decay)
    product = product * mu
    m_hat = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
    v_hat = v / bias_correction(beta2, t)
    return NAdamState(t, m, v, product), -lr * m_hat / (np.sqrt(v_hat) + eps)
