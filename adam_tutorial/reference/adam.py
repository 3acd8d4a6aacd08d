"""The algorithms of the Adam paper: Adam in two orders, its regret form, AdaMax, averaging."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import check_in
from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import (
    bias_correction,
    decaying_bias_correction,
    step_size_factor,
)

__all__ = [
    "AdaMaxState",
    "AdamState",
    "AverageState",
    "adam",
    "adam_efficient",
    "adam_regret",
    "adamax",
    "moments",
    "temporal_average",
]


class AdamState(NamedTuple):
    """The number ``t`` of steps taken and the moving averages ``m`` of g and ``v`` of g squared."""

    t: int
    m: Array
    v: Array


class AdaMaxState(NamedTuple):
    """The number ``t`` of steps, the average ``m``, and the decaying maximum ``u`` of ``|g|``."""

    t: int
    m: Array
    u: Array


class AverageState(NamedTuple):
    """The number ``t`` of points seen and their uncorrected moving average ``mean``."""

    t: int
    mean: Array


def moments(state: AdamState | None, g: Array, beta1: float, beta2: float) -> AdamState:
    """Return the state after one more gradient: lines 7 to 9 of Algorithm 1."""
    t, m, v = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    return AdamState(t + 1, beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2)


@rule
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

    Examples
    --------
    The first step has the length of the learning rate, whatever the size of the
    gradient:

    >>> state, update = adam(None, [5.0, -0.001], lr=0.1)
    >>> update.round(4).tolist()
    [-0.1, 0.1]
    >>> state.t, state.m.round(4).tolist()
    (1, [0.5, -0.0001])
    """
    g = as_float(gradient)
    t, m, v = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / bias_correction(beta1, t) if correct_bias else m
    v_hat = v / bias_correction(beta2, t) if correct_bias else v
    return AdamState(t, m, v), -lr * m_hat / (np.sqrt(v_hat) + eps)


@rule
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

    It equals :func:`adam` when ``eps_hat`` is ``eps * sqrt(1 - beta2**t)``, which
    changes with t.

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

    Examples
    --------
    A first gradient as small as ``eps_hat`` moves a parameter by 3 % of the learning
    rate. One as small as the ``eps`` of :func:`adam` moves it by a half:

    >>> _, update = adam_efficient(None, 1e-8, lr=1.0, eps_hat=1e-8)
    >>> _, other = adam(None, 1e-8, lr=1.0, eps=1e-8)
    >>> round(float(update), 4), round(float(other), 4)
    (-0.0307, -0.5)
    """
    state = moments(state, as_float(gradient), beta1, beta2)
    lr_t = lr * step_size_factor(state.t, beta1, beta2)
    return state, -lr_t * state.m / (np.sqrt(state.v) + eps_hat)


@rule
def adam_regret(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    beta1_factor: float = 1 - 1e-8,
) -> tuple[AdamState, Array]:
    """Adam with the schedules of the regret theorem: lr / sqrt(t), and beta1 that decays.

    The theorem's projection is ``trajectory(..., box=...)``.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2, eps : float
        As in :func:`adam`, all at t = 1.
    beta1_factor : float
        The theorem's lambda, in (0, 1]: at step t, beta1 is
        ``beta1 * beta1_factor**(t - 1)``.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    Notes
    -----
    The paper does not say how the bias is corrected when beta1 changes. The weights in
    m then add up to one minus the product of all beta1 so far, and m is divided by
    this.

    References
    ----------
    Kingma, Ba (2015), Theorem 4.1.

    Examples
    --------
    The same gradient again and again; steps shorten like ``1 / sqrt(t)``:

    >>> state = None
    >>> for _ in range(3):
    ...     state, update = adam_regret(state, 5.0, lr=0.1)
    ...     print(round(float(update), 4))
    -0.1
    -0.0707
    -0.0577
    """
    check_in("(0, 1]", "beta1_factor", beta1_factor)
    g = as_float(gradient)
    steps_before = state.t if state else 0
    state = moments(state, g, beta1 * beta1_factor**steps_before, beta2)
    m_hat = state.m / decaying_bias_correction(beta1, beta1_factor, state.t)
    v_hat = state.v / bias_correction(beta2, state.t)
    return state, -lr / math.sqrt(state.t) * m_hat / (np.sqrt(v_hat) + eps)


@rule
def adamax(
    state: AdaMaxState | None,
    gradient: ArrayLike,
    *,
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[AdaMaxState, Array]:
    """Adam with a decaying maximum in the place of the root of the mean square.

    Parameters
    ----------
    state : AdaMaxState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2 : float
        As in :func:`adam`.
    eps : float
        Added to ``|g|``, as PyTorch does. The paper has none, and 0/0 where every
        gradient was 0.

    Returns
    -------
    state, update : AdaMaxState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Kingma, Ba (2015), section 7.1, Algorithm 2.

    Examples
    --------
    One large gradient stays in the maximum, so small ones hardly change the steps after
    it:

    >>> state = None
    >>> for g in (5.0, 0.5, -0.5):
    ...     state, update = adamax(state, g, lr=0.1)
    ...     print(round(float(update), 4))
    -0.1
    -0.0527
    -0.0296
    """
    g = as_float(gradient)
    t, m, u = state or AdaMaxState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    u = np.maximum(beta2 * u, np.abs(g) + eps)
    return AdaMaxState(t, m, u), -lr / bias_correction(beta1, t) * m / u


@rule
def temporal_average(
    state: AverageState | None, theta: ArrayLike, *, beta2: float = 0.999
) -> tuple[AverageState, Array]:
    """Average the points of a run, recent ones most, corrected for the start at zero.

    Parameters
    ----------
    state : AverageState or None
        None before the first point.
    theta : array_like
        The parameters after a step.
    beta2 : float
        Decay rate in [0, 1).

    Returns
    -------
    state, average : AverageState, ndarray
        The average, not an update.

    Raises
    ------
    ValueError
        ``beta2`` is out of range.

    References
    ----------
    Kingma, Ba (2015), section 7.2; Polyak, Juditsky (1992).

    Examples
    --------
    >>> state = None
    >>> for theta in (1.0, 2.0, 2.0):
    ...     state, average = temporal_average(state, theta, beta2=0.5)
    ...     print(round(float(average), 4))
    1.0
    1.6667
    1.8571
    """
    point = as_float(theta)
    t, mean = state or AverageState(0, np.zeros_like(point))
    t = t + 1
    mean = beta2 * mean + (1 - beta2) * point
    return AverageState(t, mean), mean / bias_correction(beta2, t)
