"""Where eps stands: beside the root of v, or beside that of the corrected v_hat."""

from __future__ import annotations

import math

from adam_tutorial.theory import bias_correction

__all__ = ["eps_at", "eps_hat_at", "eps_hat_lag", "largest_eps_hat_lag"]


def eps_at(eps_hat: float, t: int, beta2: float = 0.999) -> float:
    """Return the eps that acts at step t like ``eps_hat``: beside the root of v-hat, not of v.

    ``eps_hat / sqrt(1 - beta2**t)``: 31.6 times ``eps_hat`` at the first step and the default
    beta2, the same in the end.

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
        ``t`` or ``beta2`` is out of range.

    Examples
    --------
    >>> round(eps_at(1e-3, 1), 4), round(eps_at(1e-3, 5000), 6)
    (0.0316, 0.001003)
    """
    return eps_hat / math.sqrt(bias_correction(beta2, t))


def eps_hat_at(eps: float, t: int, beta2: float = 0.999) -> float:
    """Return the eps-hat that acts at step t like ``eps``: the inverse of :func:`eps_at`.

    Parameters
    ----------
    eps : float
        What the paper, torch and Optax call eps.
    t, beta2
        As for :func:`eps_at`.

    Raises
    ------
    ValueError
        ``t`` or ``beta2`` is out of range.

    Examples
    --------
    >>> round(eps_hat_at(eps_at(0.5, t=3), t=3), 12)
    0.5
    """
    return eps * math.sqrt(bias_correction(beta2, t))


def eps_hat_lag(
    eps: float,
    size: float,
    steps: int,
    beta2: float = 0.999,
    *,
    eps_hat: float | None = None,
) -> float:
    """Return how far eps-hat beside the root of v stays behind eps beside that of v-hat.

    For a gradient that is always the same, in learning rates.

    Parameters
    ----------
    eps : float
        What Algorithm 1 adds, and the other too if ``eps_hat`` is not given.
    size : float
        Absolute value of the gradient, positive.
    steps : int
        Number of steps taken.
    beta2 : float
        Decay rate in [0, 1).
    eps_hat : float, optional
        Another number beside the root of v. If it is the larger one, about
        ``(eps_hat - eps)/size`` of every step is lost besides, and the lag has no bound.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(eps_hat_lag(1e-7, 1e-5, 1000), 2), round(eps_hat_lag(1e-7, 1e-5, 20_000), 2)
    (10.61, 12.72)
    >>> round(eps_hat_lag(1e-8, 1e-5, 20_000, eps_hat=1e-7), 2)
    190.76
    """
    eps_hat = eps if eps_hat is None else eps_hat
    _check_lag(eps, size)
    _check_lag(eps_hat, size, "eps_hat")
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps!r}")
    return math.fsum(
        size / (size + eps) - size / (size + eps_at(eps_hat, t, beta2))
        for t in range(1, steps + 1)
    )


def largest_eps_hat_lag(eps: float, size: float, beta2: float = 0.999) -> float:
    """Return what :func:`eps_hat_lag` of one number stays below for any number of steps.

    ``eps/size * 2*ln(2)/-ln(beta2)``: 1386 times ``eps/size`` at the default beta2.

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
    _check_lag(eps, size)
    if not 0 < beta2 < 1:
        raise ValueError(f"beta2 must be in (0, 1), got {beta2!r}")
    return eps / size * 2 * math.log(2) / -math.log(beta2)


def _check_lag(eps: float, size: float, name: str = "eps") -> None:
    if not (eps >= 0 and math.isfinite(eps)):
        raise ValueError(f"{name} must be finite and not negative, got {eps!r}")
    if not (size > 0 and math.isfinite(size)):
        raise ValueError(f"size must be positive and finite, got {size!r}")
