"""How long steps can be, and how long they are."""

from __future__ import annotations

import math
import sys

import numpy as np

from adam_tutorial._arguments import (
    check_at_least,
    check_beta1_below_beta2,
    check_beta1_below_root_of_beta2,
    check_decay_rate,
    check_decay_rates,
    check_in,
    check_not_negative,
    check_positive,
    check_step,
)
from adam_tutorial._types import Float64Array
from adam_tutorial.theory.averages import bias_correction, effective_memory

__all__ = [
    "adamax_step_supremum",
    "lazy_travel",
    "lazy_update",
    "lone_gradient_travel",
    "nadam_momentum",
    "paper_step_bound",
    "radam_rectification",
    "radam_rho",
    "sde_scaling",
    "stability_limit",
    "step_size_factor",
    "step_supremum",
    "step_supremum_gradients",
    "white_noise_rms",
]

# Of a power of e that is a float.
LARGEST_EXPONENT = math.log(sys.float_info.max)


def step_size_factor(t: int, beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return ``alpha_t / alpha = sqrt(1 - beta2**t) / (1 - beta1**t)``.

    The efficient order of Adam multiplies the learning rate by this factor. Without
    bias correction, each step is the right one times its reciprocal. That is too long
    for the default decay rates. At ``t = 1`` it is too short if
    ``1 - beta1 < sqrt(1 - beta2)``.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1) or ``t`` is less than 1.

    References
    ----------
    Kingma, Ba (2015), end of section 2.
    """
    return math.sqrt(bias_correction(beta2, t)) / bias_correction(beta1, t)


def step_supremum(
    t: int | None = None, beta1: float = 0.9, beta2: float = 0.999
) -> float:
    """Return the longest step that Adam can take in one coordinate, in learning rates.

    Parameters
    ----------
    t : int, optional
        Number of the step, from 1. The default is the limit of large t.
    beta1, beta2 : float
        Decay rates in [0, 1).

    Returns
    -------
    float
        The supremum over all sequences of gradients, with eps = 0. It is 1 at t = 1.
        The limit is infinite if ``beta1**2 >= beta2``, and so is what would be too
        large for a float.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), ``beta2`` is 0 while ``beta1`` is not, or ``t``
        is less than 1.

    Notes
    -----
    m is a weighted sum of gradients and v one of their squares, so by the inequality of
    Cauchy and Schwarz ``|m| / sqrt(v)`` is at most the root of the sum of (weight in
    m)^2 / (weight in v). :func:`step_supremum_gradients` attains it. Section 2.1 of the
    paper gives a smaller number, which is not a bound.

    Examples
    --------
    >>> round(step_supremum(), 4)
    7.2703
    """
    check_decay_rates(beta1, beta2)
    if beta2 == 0:
        if beta1 == 0:
            return 1.0
        raise ValueError(
            f"beta2 must be positive where beta1 is, got beta1={beta1!r}, beta2=0"
        )
    if t is None:
        if beta1**2 >= beta2:
            return math.inf
        return (1 - beta1) * math.sqrt(beta2 / ((1 - beta2) * (beta2 - beta1**2)))
    first = (1 - beta1) / math.sqrt(1 - beta2) * step_size_factor(t, beta1, beta2)
    # Times the root of the sum of r**k over k < t, for r = root**2.
    root = beta1 / math.sqrt(beta2)
    if root in (0, 1):
        return first * (math.sqrt(t) if root else 1.0)
    # (r**t - 1) / (r - 1), without cancellation near r = 1.
    exponent, less_one = 2 * t * math.log(root), (root - 1) * (root + 1)
    if exponent < 700:
        return first * math.sqrt(math.expm1(exponent) / less_one)
    # r**t alone may be too large for a float.
    exponent = exponent / 2 + math.log(first / math.sqrt(less_one))
    return math.exp(exponent) if exponent < LARGEST_EXPONENT else math.inf


def step_supremum_gradients(
    t: int, beta1: float = 0.9, beta2: float = 0.999
) -> Float64Array:
    """Return ``t`` gradients that attain :func:`step_supremum` at the last step.

    Each is ``beta2 / beta1`` times the one before, and the last is 1.

    Raises
    ------
    ValueError
        A decay rate is outside (0, 1), or ``t`` is less than 1.
    """
    check_step(t)
    check_in("(0, 1)", "beta1", beta1)
    check_in("(0, 1)", "beta2", beta2)
    return np.asarray(np.float64(beta1 / beta2) ** np.arange(t - 1, -1, -1))


def paper_step_bound(beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return the bound on a step that the paper claims, in learning rates.

    It is wrong unless ``beta1`` is 0 or equal to ``beta2``: there are longer steps.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1).

    References
    ----------
    Kingma, Ba (2015), section 2.1. The true bound is :func:`step_supremum`.
    """
    check_decay_rates(beta1, beta2)
    ratio = (1 - beta1) / math.sqrt(1 - beta2)
    return max(ratio, 1.0)


def adamax_step_supremum(
    beta1: float = 0.9, beta2: float = 0.999, t: int | None = None
) -> float:
    """Return the longest step that AdaMax can take, in learning rates.

    Gradients that shrink like ``beta2**t`` attain it. The paper claims 1.

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates in [0, 1), ``beta1 < beta2``.
    t : int, optional
        Number of the step, from 1. The default is the limit of large t.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), ``t`` is less than 1, or ``beta1 >= beta2``, for
        which steps have no bound.

    References
    ----------
    Kingma, Ba (2015), section 7.1, for the claim.

    Examples
    --------
    >>> round(adamax_step_supremum(), 7)
    1.0090909
    >>> adamax_step_supremum(t=1)
    1.0
    """
    check_beta1_below_beta2(beta1, beta2)
    limit = (1 - beta1) / (1 - beta1 / beta2)
    if t is None:
        return limit
    # At t = 1 this is 1, since limit * (1 - beta1 / beta2) is 1 - beta1.
    return limit * bias_correction(beta1 / beta2, t) / bias_correction(beta1, t)


def lazy_update(k: int, beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return the length of the step after one first gradient and ``k`` zeros, eps = 0.

    Parameters
    ----------
    k : int
        Number of zero gradients, from 0.
    beta1, beta2 : float
        Decay rates in (0, 1).

    Returns
    -------
    float
        In learning rates; it is 1 for k = 0, and infinite if it is too large for a
        float, as it can be for ``beta1 > sqrt(beta2)``.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), ``beta2`` is 0, or ``k`` is negative or
        infinite.
    """
    check_decay_rates(beta1, beta2)
    check_not_negative("k", k)
    if beta2 == 0:
        raise ValueError(
            "beta2 must be positive: v would be 0 after the first zero gradient"
        )
    # One power of the quotient: for large k, each of the two would underflow.
    try:
        decayed = (beta1 / math.sqrt(beta2)) ** k
    except OverflowError:
        return math.inf
    corrections = math.sqrt(bias_correction(beta2, k + 1)) / bias_correction(
        beta1, k + 1
    )
    return decayed * (1 - beta1) / math.sqrt(1 - beta2) * corrections


def lazy_travel(beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return how far Adam moves after one first gradient and then zeros, eps = 0.

    Returns
    -------
    float
        In learning rates. Unlike in :func:`lone_gradient_travel`, the gradient is the
        very first, so there is a bias to correct.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), or ``beta1 >= sqrt(beta2)``, for which the steps
        do not shrink.

    Examples
    --------
    >>> round(lazy_travel(), 4)
    6.0055
    """
    check_beta1_below_root_of_beta2(beta1, beta2)
    total, k = 0.0, 0
    while (step := lazy_update(k, beta1, beta2)) > 1e-17 * total:
        total, k = total + step, k + 1
    return total


def lone_gradient_travel(beta1: float = 0.9, beta2: float = 0.999) -> float:
    """Return how far a lone gradient moves a coordinate, long after the start.

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates in [0, 1), with ``beta1 < sqrt(beta2)``; otherwise the steps do not
        shrink.

    Returns
    -------
    float
        The distance in learning rates, for large t (no bias is left to correct) and
        eps = 0. It does not depend on the size of the gradient.

    Raises
    ------
    ValueError
        A decay rate is outside [0, 1), or ``beta1 >= sqrt(beta2)``.
    """
    check_beta1_below_root_of_beta2(beta1, beta2)
    first = (1 - beta1) / math.sqrt(1 - beta2)
    return first / (1 - beta1 / math.sqrt(beta2))


def white_noise_rms(beta1: float = 0.9) -> float:
    """Return the root mean square of Adam's steps on pure noise, in learning rates.

    It is ``sqrt((1 - beta1)/(1 + beta1))`` for beta2 close to 1 and large t, and does
    not depend on the size of the noise.

    Raises
    ------
    ValueError
        ``beta1`` is outside [0, 1).

    Examples
    --------
    >>> round(white_noise_rms(), 4)
    0.2294
    """
    check_decay_rate("beta1", beta1)
    return 1 / math.sqrt(effective_memory(beta1))


def stability_limit(beta1: float = 0.9) -> float:
    """Return the largest stable ``lr * curvature / sqrt(v)`` on a parabola, v constant.

    Momentum is an average, as in Adam. With ``beta1 = 0`` it is gradient descent's 2.

    Raises
    ------
    ValueError
        ``beta1`` is outside [0, 1).

    References
    ----------
    Cohen et al. (2022), "Adaptive Gradient Methods at the Edge of Stability".

    Examples
    --------
    >>> round(stability_limit(0.9), 9)
    38.0
    """
    check_decay_rate("beta1", beta1)
    return 2 * effective_memory(beta1)


def sde_scaling(
    kappa: float,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[float, float, float, float]:
    """Return lr, beta1, beta2 and eps for a batch ``kappa`` times as large.

    This is the square-root rule.

    Raises
    ------
    ValueError
        ``kappa`` is not positive, ``lr`` or ``eps`` is negative, or a decay rate would
        fall below 0.

    References
    ----------
    Malladi et al. (2022), "On the SDEs and Scaling Rules for Adaptive Gradient
    Algorithms".
    """
    check_positive("kappa", kappa)
    check_not_negative("lr", lr)
    check_not_negative("eps", eps)
    rates = []
    for name, beta in (("beta1", beta1), ("beta2", beta2)):
        check_decay_rate(name, beta)
        if kappa * (1 - beta) > 1:
            raise ValueError(f"kappa={kappa!r} is too large for {name}={beta!r}")
        rates.append(1 - kappa * (1 - beta))
    return lr * math.sqrt(kappa), rates[0], rates[1], eps / math.sqrt(kappa)


def radam_rho(t: int | None = None, beta2: float = 0.999) -> float:
    """Return RAdam's rho_t, the length of the plain mean that v is worth.

    Parameters
    ----------
    t : int, optional
        Number of the step, from 1. The default is rho_inf.
    beta2 : float
        Decay rate in [0, 1).

    Raises
    ------
    ValueError
        ``beta2`` is outside [0, 1) or ``t`` is less than 1.

    References
    ----------
    Liu et al. (2020), algorithm 2.
    """
    check_decay_rate("beta2", beta2)
    rho_inf = 2 / (1 - beta2) - 1
    if t is None:
        return rho_inf
    correction = bias_correction(beta2, t)
    return rho_inf - 2 * t * beta2**t / correction


def radam_rectification(t: int, beta2: float = 0.999) -> float:
    """Return RAdam's r_t, by which an adaptive step is shortened.

    Raises
    ------
    ValueError
        ``rho_t`` is 4 or less, where the variance of 1/v is infinite, on which r_t
        rests.

    References
    ----------
    Liu et al. (2020), algorithm 2.
    """
    check_step(t)
    rho_inf, rho = radam_rho(None, beta2), radam_rho(t, beta2)
    if rho <= 4:
        raise ValueError(
            f"rho_t must be larger than 4, got {rho:.4g} at t={t!r}, beta2={beta2!r}"
        )
    return math.sqrt(
        (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    )


def nadam_momentum(t: int, beta1: float = 0.9, momentum_decay: float = 4e-3) -> float:
    """Return NAdam's mu_t, which rises from half of ``beta1`` to ``beta1``.

    Raises
    ------
    ValueError
        ``beta1`` is outside [0, 1), ``t`` is less than 1, or ``momentum_decay`` is
        negative.

    References
    ----------
    Dozat (2016).
    """
    check_decay_rate("beta1", beta1)
    check_step(t)
    check_at_least("momentum_decay", momentum_decay, 0)
    return float(beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)))
