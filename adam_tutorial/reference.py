"""Update rules in NumPy, written as the papers write them. Read them here; train with ``optim``.

A rule is a pure function ``(state, gradient) -> (state, update)``; the caller adds the update to
its parameters. ``None`` is the state before the first step. Nothing is changed in place, and a
float32 gradient gives a float32 update.

>>> theta, state = np.array([1.0, -2.0]), None
>>> for _ in range(3):
...     state, update = adam(state, gradient=2 * theta, lr=0.1)
...     theta = theta + update
>>> theta.round(3).tolist()
[0.702, -1.701]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adam_tutorial.theory import bias_correction, check_decay_rate, step_size_factor

__all__ = [
    "AdaGradState",
    "AdamState",
    "MomentumState",
    "RMSPropState",
    "adagrad",
    "adam",
    "adam_efficient",
    "gradient_descent",
    "momentum",
    "rmsprop",
    "trajectory",
]

Array = NDArray[np.floating[Any]]


class MomentumState(NamedTuple):
    """The running sum ``b`` of past gradients."""

    b: Array


class AdaGradState(NamedTuple):
    """The sum ``s`` of squared gradients."""

    s: Array


class RMSPropState(NamedTuple):
    """The moving average ``v`` of squared gradients."""

    v: Array


class AdamState(NamedTuple):
    """The number ``t`` of steps taken and the moving averages ``m`` of g and ``v`` of g squared."""

    t: int
    m: Array
    v: Array


def gradient_descent(state: None, gradient: ArrayLike, *, lr: float = 1e-2) -> tuple[None, Array]:
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
    """
    _check("lr", lr)
    g = _as_float(gradient)
    return state, -lr * g


def momentum(
    state: MomentumState | None, gradient: ArrayLike, *, lr: float = 1e-2, beta: float = 0.9
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

    Returns
    -------
    state, update : MomentumState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
    """
    _check("lr", lr)
    check_decay_rate("beta", beta)
    g = _as_float(gradient)
    (b,) = state or MomentumState(np.zeros_like(g))
    b = beta * b + g
    return MomentumState(b), -lr * b


def adagrad(
    state: AdaGradState | None, gradient: ArrayLike, *, lr: float = 1e-2, eps: float = 1e-10
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
    """
    _check("lr", lr)
    _check("eps", eps)
    g = _as_float(gradient)
    (s,) = state or AdaGradState(np.zeros_like(g))
    s = s + g**2
    return AdaGradState(s), -lr * g / (np.sqrt(s) + eps)


def rmsprop(
    state: RMSPropState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-2,
    beta: float = 0.99,
    eps: float = 1e-8,
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

    Returns
    -------
    state, update : RMSPropState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Tieleman, Hinton (2012), lecture 6.5 of "Neural Networks for Machine Learning".
    """
    _check("lr", lr)
    _check("eps", eps)
    check_decay_rate("beta", beta)
    g = _as_float(gradient)
    (v,) = state or RMSPropState(np.zeros_like(g))
    v = beta * v + (1 - beta) * g**2
    return RMSPropState(v), -lr * g / (np.sqrt(v) + eps)


def adam(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    correct_bias: bool = True,
) -> tuple[AdamState, Array]:
    """Adam, line by line as in Algorithm 1 of the paper.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr : float
        Learning rate, the paper's alpha.
    beta1, beta2 : float
        Decay rates of the moving averages, in [0, 1).
    eps : float
        Added to the root of v-hat.
    correct_bias : bool
        False leaves out the two divisions that make m-hat and v-hat: for experiments.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Kingma, Ba (2015), "Adam: A Method for Stochastic Optimization", Algorithm 1.
    """
    _check_adam(lr, beta1, beta2, eps)
    g = _as_float(gradient)
    t, m, v = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / bias_correction(beta1, t) if correct_bias else m
    v_hat = v / bias_correction(beta2, t) if correct_bias else v
    return AdamState(t, m, v), -lr * m_hat / (np.sqrt(v_hat) + eps)


def adam_efficient(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps_hat: float = 1e-8,
) -> tuple[AdamState, Array]:
    """Adam in the order of the end of section 2: both corrections in one scalar.

    It equals :func:`adam` when ``eps_hat`` is ``eps * sqrt(1 - beta2**t)``, which changes with t.

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
    """
    _check_adam(lr, beta1, beta2, eps_hat)
    g = _as_float(gradient)
    t, m, v = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    lr_t = lr * step_size_factor(t, beta1, beta2)
    return AdamState(t, m, v), -lr_t * m / (np.sqrt(v) + eps_hat)


def trajectory(
    rule: Callable[..., tuple[Any, Array]],
    gradient: Callable[[Array], ArrayLike],
    theta: ArrayLike,
    steps: int,
    **hyperparameters: float,
) -> Array:
    """Follow a rule from a starting point and return every point on the way.

    Parameters
    ----------
    rule : function
        One of this module's rules.
    gradient : function
        Takes parameters, returns their gradient.
    theta : array_like
        Starting point.
    steps : int
        Number of steps.
    **hyperparameters
        Passed on to the rule.

    Returns
    -------
    ndarray, shape (steps + 1, *shape of theta)
        The starting point first.

    Raises
    ------
    ValueError
        ``steps`` is negative, or the rule refuses a hyper-parameter.
    """
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps!r}")
    points = [_as_float(theta)]
    state = None
    for _ in range(steps):
        state, update = rule(state, gradient(points[-1]), **hyperparameters)
        points.append(points[-1] + update)
    return np.stack(points)


def _as_float(values: ArrayLike) -> Array:
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def _check(name: str, value: float) -> None:
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")


def _check_adam(lr: float, beta1: float, beta2: float, eps: float) -> None:
    _check("lr", lr)
    check_decay_rate("beta1", beta1)
    check_decay_rate("beta2", beta2)
    _check("eps", eps)
