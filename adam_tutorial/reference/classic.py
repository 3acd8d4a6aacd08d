"""The rules that Adam is made of, and those it was compared with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = [
    "AdaDeltaState",
    "AdaGradState",
    "MomentumState",
    "RMSPropState",
    "adadelta",
    "adagrad",
    "gradient_descent",
    "momentum",
    "rmsprop",
]


class MomentumState(NamedTuple):
    """The running sum ``b`` of past gradients."""

    b: Array


class AdaGradState(NamedTuple):
    """The sum ``s`` of squared gradients."""

    s: Array


class RMSPropState(NamedTuple):
    """The moving averages ``v`` of squared gradients and ``m`` of gradients."""

    v: Array
    m: Array


class AdaDeltaState(NamedTuple):
    """The moving averages ``v`` of squared gradients and ``u`` of squared updates."""

    v: Array
    u: Array


@rule
def gradient_descent(
    state: None, gradient: ArrayLike, *, lr: float = 1e-2
) -> tuple[None, Array]:
    """Step against the gradient, in proportion to it.

    Parameters
    ----------
    state : None
        Gradient descent remembers nothing.
    gradient : array_like
        Of any shape.
    lr : float
        Learning rate.

    Returns
    -------
    state, update : None, ndarray

    Raises
    ------
    ValueError
        ``lr`` is negative or not finite.

    References
    ----------
    Cauchy (1847).

    Examples
    --------
    >>> _, update = gradient_descent(None, [3.0, -4.0], lr=0.1)
    >>> update.round(4).tolist()
    [-0.3, 0.4]
    """
    g = as_float(gradient)
    return state, -lr * g


@rule
def momentum(
    state: MomentumState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-2,
    beta: float = 0.9,
    nesterov: bool = False,
) -> tuple[MomentumState, Array]:
    """Step along a decaying sum of past gradients (Polyak's heavy ball, as in PyTorch's SGD).

    Parameters
    ----------
    state : MomentumState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta : float
        Learning rate; share of the sum that is kept from step to step, in [0, 1).
    nesterov : bool
        Look one step ahead: add the new gradient once more to the decayed sum.

    Returns
    -------
    state, update : MomentumState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Polyak (1964), "Some methods of speeding up the convergence of iteration methods";
    Sutskever et al. (2013), "On the importance of initialization and momentum", for
    Nesterov's.

    Examples
    --------
    The same gradient again and again; each step is longer, up to ``lr / (1 - beta)``:

    >>> state = None
    >>> for _ in range(3):
    ...     state, update = momentum(state, 1.0, lr=0.1, beta=0.5)
    ...     print(round(float(update), 4))
    -0.1
    -0.15
    -0.175
    """
    g = as_float(gradient)
    (b,) = state or MomentumState(np.zeros_like(g))
    b = beta * b + g
    return MomentumState(b), -lr * (g + beta * b if nesterov else b)


@rule
def adagrad(
    state: AdaGradState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-2,
    eps: float = 1e-10,
) -> tuple[AdaGradState, Array]:
    """Divide each coordinate's step by the root of the sum of its squared gradients.

    Parameters
    ----------
    state : AdaGradState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, eps : float
        Learning rate; what is added to the root so that 0/0 cannot happen.

    Returns
    -------
    state, update : AdaGradState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Duchi, Hazan, Singer (2011), "Adaptive Subgradient Methods".

    Examples
    --------
    The same gradient again and again; steps shorten like ``1 / sqrt(t)``:

    >>> state = None
    >>> for _ in range(3):
    ...     state, update = adagrad(state, 5.0, lr=0.1)
    ...     print(round(float(update), 4))
    -0.1
    -0.0707
    -0.0577
    """
    g = as_float(gradient)
    (s,) = state or AdaGradState(np.zeros_like(g))
    s = s + g**2
    return AdaGradState(s), -lr * g / (np.sqrt(s) + eps)


@rule
def rmsprop(
    state: RMSPropState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-2,
    beta: float = 0.99,
    eps: float = 1e-8,
    centered: bool = False,
) -> tuple[RMSPropState, Array]:
    """AdaGrad with a moving average in the place of the sum, so that the past is forgotten.

    Parameters
    ----------
    state : RMSPropState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta, eps : float
        Learning rate; decay rate in [0, 1); what is added to the root.
    centered : bool
        Subtract the square of the mean: divide by the standard deviation, not by the
        root of the mean square.

    Returns
    -------
    state, update : RMSPropState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Tieleman, Hinton (2012), lecture 6.5 of "Neural Networks for Machine Learning";
    Graves (2013), "Generating Sequences with Recurrent Neural Networks", equations 38
    to 45, for the centred form.

    Examples
    --------
    The average starts at zero and is not corrected, so the first step is ten learning
    rates long:

    >>> _, update = rmsprop(None, [5.0, -0.5], lr=0.1, beta=0.99)
    >>> update.round(4).tolist()
    [-1.0, 1.0]
    """
    g = as_float(gradient)
    v, m = state or RMSPropState(np.zeros_like(g), np.zeros_like(g))
    v = beta * v + (1 - beta) * g**2
    m = beta * m + (1 - beta) * g
    # A variance; rounding could make it slightly negative.
    spread = np.maximum(v - m**2, 0) if centered else v
    return RMSPropState(v, m), -lr * g / (np.sqrt(spread) + eps)


@rule
def adadelta(
    state: AdaDeltaState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
) -> tuple[AdaDeltaState, Array]:
    """RMSProp with the typical size of past updates in the place of a learning rate.

    Parameters
    ----------
    state : AdaDeltaState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr : float
        Factor on the update; 1 in the paper.
    rho, eps : float
        Decay rate in [0, 1); what is added inside both roots. It decides how long the
        first steps are.

    Returns
    -------
    state, update : AdaDeltaState, ndarray
        ``u`` averages the squares of the updates before they are multiplied by ``lr``.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Zeiler (2012), "ADADELTA: An Adaptive Learning Rate Method", algorithm 1.

    Examples
    --------
    There is no learning rate to choose; ``eps`` sets the first step:

    >>> for eps in (1e-6, 1e-4):
    ...     _, update = adadelta(None, 5.0, eps=eps)
    ...     print(round(float(update), 4))
    -0.0032
    -0.0316
    """
    g = as_float(gradient)
    v, u = state or AdaDeltaState(np.zeros_like(g), np.zeros_like(g))
    v = rho * v + (1 - rho) * g**2
    update = -np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u = rho * u + (1 - rho) * update**2
    return AdaDeltaState(v, u), lr * update
