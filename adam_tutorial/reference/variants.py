"""What others made of Adam by changing a line or two. Younger relatives belong here too."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import check_at_least
from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, adam, moments
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import (
    bias_correction,
    nadam_momentum,
    radam_rectification,
    radam_rho,
)

__all__ = [
    "AMSGradState",
    "LionState",
    "NAdamState",
    "adabelief",
    "adam_l2",
    "adamw",
    "amsgrad",
    "lion",
    "nadam",
    "radam",
]


class AMSGradState(NamedTuple):
    """Adam's state and the largest second moment so far, ``v_max``."""

    t: int
    m: Array
    v: Array
    v_max: Array


class NAdamState(NamedTuple):
    """Adam's state and the product of all momenta so far, ``mu_product``."""

    t: int
    m: Array
    v: Array
    mu_product: float


class LionState(NamedTuple):
    """The moving average ``m`` of gradients."""

    m: Array


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
    """Adam with a denominator that never gets smaller.

    Parameters
    ----------
    state : AMSGradState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2, eps : float
        As in :func:`~adam_tutorial.reference.adam`.
    maximum_of : {"v", "v_hat"}
        Take the maximum over the raw v and correct it afterwards (PyTorch, Keras), or
        over the corrected v-hat (Optax). In the second, a large first gradient counts
        fully for ever.
    correct_bias : bool
        False is the paper's algorithm, which corrects neither m nor v; both definitions
        are the same then.

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
    After one large gradient and a hundred small ones, the step of the second definition
    is still short:

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
    """Adam with Nesterov's look ahead, and a momentum mu that warms up.

    Parameters
    ----------
    state : NAdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2, eps : float
        As in :func:`~adam_tutorial.reference.adam`.
    momentum_decay : float
        How fast mu rises from ``beta1 / 2`` to ``beta1``; PyTorch's psi (1/250 in the
        paper).

    Returns
    -------
    state, update : NAdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Dozat (2016), "Incorporating Nesterov Momentum into Adam". As in PyTorch, m averages
    with beta1, while mu weighs it against the gradient; in the paper it averages with
    mu too. So the divisors are not exactly the sums of the weights in m.

    Examples
    --------
    It looks ahead: when the gradient turns round, it turns round before Adam does.

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


@rule
def radam(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    threshold: float = 5.0,
) -> tuple[AdamState, Array]:
    """Adam whose first steps are plain momentum, then Adam's, shortened by r_t.

    Parameters
    ----------
    state : AdamState or None
        None before the first step.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2 : float
        As in :func:`~adam_tutorial.reference.adam`.
    eps : float
        Added to the root of the *uncorrected* v, as in PyTorch; the paper has none.
    threshold : float
        Adaptive steps begin when rho_t is larger: 5 in PyTorch and the authors' code, 4
        in the paper. Below 4 the rectification is not defined.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range, or ``threshold`` is less than 4.

    References
    ----------
    Liu et al. (2020), "On the Variance of the Adaptive Learning Rate and Beyond",
    algorithm 2.

    Examples
    --------
    The first five steps are proportional to the gradient, the sixth is not any more:

    >>> state = None
    >>> for t in range(1, 7):
    ...     state, update = radam(state, [5.0, 50.0], lr=0.1)
    ...     if t >= 5:
    ...         print(update.round(4).tolist())
    [-0.5, -5.0]
    [-0.0026, -0.0026]
    """
    check_at_least("threshold", threshold, 4)
    state = moments(state, as_float(gradient), beta1, beta2)
    t, m, v = state
    m_hat = m / bias_correction(beta1, t)
    if radam_rho(t, beta2) <= threshold:
        return state, -lr * m_hat
    adaptive = math.sqrt(bias_correction(beta2, t)) / (np.sqrt(v) + eps)
    return state, -lr * radam_rectification(t, beta2) * m_hat * adaptive


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
    """Adam on the loss plus an L2 penalty: what ``torch.optim.Adam`` calls weight decay.

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
    Without a gradient, the penalty alone moves a small parameter as far as a large one:

    >>> _, update = adam_l2(None, [0.0, 0.0], theta=[1.0, 100.0], lr=0.1, weight_decay=0.01)
    >>> update.round(4).tolist()
    [-0.1, -0.1]
    """
    penalised = as_float(gradient) + weight_decay * as_float(theta)
    return adam(state, penalised, lr=lr, beta1=beta1, beta2=beta2, eps=eps)


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
    """Adam, and beside it each parameter shrinks by a share of itself.

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
        True: a step takes ``lr * weight_decay`` of the parameter away (PyTorch, Keras,
        Optax), and the paper's lambda is that product. False: it takes
        ``weight_decay``, which is the paper's lambda. The paper's schedule, a factor of
        both terms, is left to the caller.

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
    Without a gradient, each parameter loses the same share of itself:

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


@rule
def adabelief(
    state: AdamState | None,
    gradient: ArrayLike,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-16,
) -> tuple[AdamState, Array]:
    """Adam divided by how far gradients are from their average, not by how large they are.

    Parameters
    ----------
    state : AdamState or None
        None before the first step. Its ``v`` is the paper's s.
    gradient : array_like
        Of any shape.
    lr, beta1, beta2 : float
        As in :func:`~adam_tutorial.reference.adam`.
    eps : float
        Added to s at *every* step, and to the root of s-hat. What it adds to s-hat in
        all is
        ``eps / (1 - beta2)`` at any t: 1e-13 with the defaults.

    Returns
    -------
    state, update : AdamState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Zhuang et al. (2020), "AdaBelief Optimizer: Adapting Stepsizes by the Belief in
    Observed Gradients", algorithm 2.

    Examples
    --------
    Gradients that agree, and gradients of the same size that do not; Adam's steps for
    the first are 0.1:

    >>> state = None
    >>> for sign in (1, -1, 1, -1, 1):
    ...     state, update = adabelief(state, [5.0, 5.0 * sign], lr=0.1)
    >>> update.round(4).tolist()
    [-0.1342, -0.0217]

    Without gradients, s-hat is what eps has added:

    >>> state, _ = adabelief(adabelief(None, 0.0)[0], 0.0)
    >>> print(f"{state.v / bias_correction(0.999, 2):.1e}")
    1.0e-13
    """
    g = as_float(gradient)
    t, m, s = state or AdamState(0, np.zeros_like(g), np.zeros_like(g))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
    m_hat = m / bias_correction(beta1, t)
    s_hat = s / bias_correction(beta2, t)
    return AdamState(t, m, s), -lr * m_hat / (np.sqrt(s_hat) + eps)


@rule
def lion(
    state: LionState | None,
    gradient: ArrayLike,
    *,
    theta: ArrayLike,
    lr: float = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
) -> tuple[LionState, Array]:
    """Step by the sign of an average.

    Parameters
    ----------
    state : LionState or None
        None before the first step.
    gradient, theta : array_like
        Gradient of the loss, and the parameters, of one shape.
    lr : float
        Learning rate: the length of every coordinate's step. The authors advise three
        to ten times less than for Adam, and as many times more weight decay.
    beta1, beta2 : float
        Share of the average in the step; share that the average keeps. Both in [0, 1).
    weight_decay : float
        A step takes ``lr * weight_decay`` of the parameter away.

    Returns
    -------
    state, update : LionState, ndarray

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.

    References
    ----------
    Chen et al. (2023), "Symbolic Discovery of Optimization Algorithms", algorithm 2.

    Examples
    --------
    Every coordinate moves by the learning rate:

    >>> _, update = lion(None, [5.0, -0.001], theta=[0.0, 0.0], lr=0.1)
    >>> update.round(4).tolist()
    [-0.1, 0.1]
    """
    g = as_float(gradient)
    (m,) = state or LionState(np.zeros_like(g))
    step = np.sign(beta1 * m + (1 - beta1) * g)
    m = beta2 * m + (1 - beta2) * g
    return LionState(m), -lr * (step + weight_decay * as_float(theta))
