"""Where eps stands: beside the root of v, or beside that of the corrected v_hat."""

from __future__ import annotations

import math

import numpy as np

from adam_tutorial._arguments import (
    as_count,
    check_decay_rate,
    check_in,
    check_not_negative,
    check_positive,
)
from adam_tutorial.theory import bias_correction

__all__ = ["eps_at", "eps_hat_at", "eps_hat_lag", "largest_eps_hat_lag"]

LARGEST_SUM = 10**7


def eps_at(eps_hat: float, t: int, beta2: float = 0.999) -> float:
    """Return the eps that acts at step t as ``eps_hat`` does.

    ``eps_hat`` is added to the root of v, and eps to that of the corrected v-hat. It is
    ``eps_hat / sqrt(1 - beta2**t)``: with the default beta2, 31.6 times ``eps_hat`` at
    the first step, and the same in the end.

    Parameters
    ----------
    eps_hat : float
        What Keras and TensorFlow call epsilon.
    t : int
        Number of the step, from 1.
    beta2 : float
        Decay rate in [0, 1).

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(eps_at(1e-3, 1), 4), round(eps_at(1e-3, 5000), 6)
    (0.0316, 0.001003)
    """
    check_not_negative("eps_hat", eps_hat)
    check_decay_rate("beta2", beta2)
    return eps_hat / math.sqrt(bias_correction(beta2, t))


def eps_hat_at(eps: float, t: int, beta2: float = 0.999) -> float:
    """Return the eps-hat that acts at step t as ``eps`` does.

    The inverse of :func:`eps_at`.

    Parameters
    ----------
    eps : float
        What the paper, torch and Optax call eps.
    t, beta2
        As for :func:`eps_at`.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(eps_hat_at(eps_at(0.5, t=3), t=3), 12)
    0.5
    """
    check_not_negative("eps", eps)
    check_decay_rate("beta2", beta2)
    return eps * math.sqrt(bias_correction(beta2, t))


def eps_hat_lag(
    eps: float,
    size: float,
    steps: int,
    beta2: float = 0.999,
    *,
    eps_hat: float | None = None,
) -> float:
    """Return how far the efficient order lags behind Algorithm 1, in learning rates.

    The gradient is constant. Algorithm 1 adds eps to the root of v-hat, the efficient
    order adds eps-hat to the root of v.

    Parameters
    ----------
    eps : float
        What Algorithm 1 adds, and the efficient order too if ``eps_hat`` is not given.
    size : float
        Absolute value of the gradient, positive.
    steps : int
        Number of steps taken.
    beta2 : float
        Decay rate in [0, 1).
    eps_hat : float, optional
        A different number for the efficient order. If it is the larger one, each step
        also loses about ``(eps_hat - eps)/size``, and the lag has no bound.

    Raises
    ------
    ValueError
        An argument is out of range, or so many steps would have to be added up, with a
        ``beta2`` very close to 1, that it would take minutes.

    Examples
    --------
    >>> round(eps_hat_lag(1e-7, 1e-5, steps=1000), 2)
    10.61
    >>> round(eps_hat_lag(1e-7, 1e-5, steps=20_000), 2)
    12.72
    >>> round(eps_hat_lag(1e-8, 1e-5, 20_000, eps_hat=1e-7), 2)
    190.76
    """
    eps_hat = eps if eps_hat is None else eps_hat
    check_not_negative("eps", eps)
    check_not_negative("eps_hat", eps_hat)
    check_positive("size", size)
    steps = as_count("steps", steps)
    check_decay_rate("beta2", beta2)
    log = math.log(beta2) if beta2 else -math.inf
    # From here on, 1 - beta2**t is 1, and the terms do not change.
    settled = math.ceil(math.log(2**-54) / log)
    first = min(steps, settled)
    if first > LARGEST_SUM:
        raise ValueError(
            f"steps must be at most {LARGEST_SUM} for a beta2 of {beta2!r}, got {steps}"
        )
    moving_eps = eps_hat / np.sqrt(-np.expm1(np.arange(1, first + 1) * log))
    lag = float(np.sum(size / (size + eps) - size / (size + moving_eps)))
    return lag + (steps - first) * (size / (size + eps) - size / (size + eps_hat))


def largest_eps_hat_lag(eps: float, size: float, beta2: float = 0.999) -> float:
    """Return a bound of :func:`eps_hat_lag` for equal eps and any number of steps.

    ``eps/size * 2*ln(2)/-ln(beta2)``: 1386 times ``eps/size`` with the default beta2.

    Parameters
    ----------
    eps, size, beta2
        As for :func:`eps_hat_lag`; ``beta2`` positive.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(largest_eps_hat_lag(1e-7, 1e-5), 2)
    13.86
    """
    check_not_negative("eps", eps)
    check_positive("size", size)
    check_in("(0, 1)", "beta2", beta2)
    return eps / size * 2 * math.log(2) / -math.log(beta2)
