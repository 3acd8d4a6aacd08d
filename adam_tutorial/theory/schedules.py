"""Learning rates over a run, and what a random search can be expected to find."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import (
    as_float64,
    check_between,
    check_decay_rate,
    check_not_negative,
    check_step,
)

__all__ = [
    "cosine_factor",
    "expected_best",
    "untuned_warmup_steps",
    "warmup_factor",
    "wsd_factor",
]


def warmup_factor(t: int, steps: float) -> float:
    """Return the factor of a linear warm-up at step ``t``.

    Parameters
    ----------
    t : int
        Number of the step, from 1.
    steps : float
        Length of the warm-up; 0 for none. The factor is 1 for ``t >= steps``.

    Raises
    ------
    ValueError
        ``t`` is less than 1, or ``steps`` is negative or not finite.

    Examples
    --------
    >>> [warmup_factor(t, 4) for t in (1, 2, 4, 5)]
    [0.25, 0.5, 1.0, 1.0]
    """
    check_step(t)
    check_not_negative("steps", steps)
    return 1.0 if t >= steps else t / steps


def untuned_warmup_steps(beta2: float) -> float:
    """Return the length of an untuned warm-up: ``2/(1 - beta2)`` steps.

    Raises
    ------
    ValueError
        ``beta2`` is outside [0, 1).

    References
    ----------
    Ma, Yarats (2021), "On the adequacy of untuned warmup for adaptive optimization".

    Examples
    --------
    >>> round(untuned_warmup_steps(0.999))
    2000
    """
    check_decay_rate("beta2", beta2)
    return 2 / (1 - beta2)


def cosine_factor(t: int, total: int) -> float:
    """Return the factor at step ``t`` of half a cosine from 1 to 0.

    It is that of PyTorch's ``CosineAnnealingLR(T_max=total)``, stepped after each step
    of the optimizer.

    Parameters
    ----------
    t : int
        Number of the step, from 1 to ``total``.
    total : int
        Number of steps of the run.

    Raises
    ------
    ValueError
        ``t`` is outside the run.

    References
    ----------
    Loshchilov, Hutter (2017), "SGDR", without its restarts.

    Examples
    --------
    >>> cosine_factor(1, 100), round(cosine_factor(51, 100), 12)
    (1.0, 0.5)
    """
    check_step(total, "total")
    check_between("t", t, 1, total)
    return (1 + math.cos(math.pi * (t - 1) / total)) / 2


def wsd_factor(t: int, total: int, decay: int) -> float:
    """Return the factor at step ``t`` of a run that is constant, then falls linearly.

    These are the stable and the decay phase of "warm-up, stable, decay"; the first
    phase is :func:`warmup_factor`.

    Parameters
    ----------
    t : int
        Number of the step, from 1 to ``total``.
    total : int
        Number of steps of the run.
    decay : int
        Number of steps that fall; the last one has the factor ``1/decay``.

    Raises
    ------
    ValueError
        ``t`` is outside the run, or ``decay`` is not between 1 and ``total``.

    References
    ----------
    Hu et al. (2024), "MiniCPM".

    Examples
    --------
    >>> [wsd_factor(t, total=10, decay=4) for t in (1, 7, 8, 10)]
    [1.0, 1.0, 0.75, 0.25]
    """
    check_step(total, "total")
    check_between("t", t, 1, total)
    check_between("decay", decay, 1, total)
    return min(1.0, (total - t + 1) / decay)


def expected_best(losses: ArrayLike, trials: int) -> float:
    """Return the lowest loss that a random search of ``trials`` runs finds on average.

    Parameters
    ----------
    losses : array_like, shape (n,)
        One loss for each recorded run with random settings; infinite if the run
        diverged.
    trials : int
        Length of the search, from 1 to n.

    Returns
    -------
    float
        The mean over all choices of ``trials`` recorded runs, an unbiased estimate.

    Raises
    ------
    ValueError
        There are no losses, one is NaN, or ``trials`` is out of range.

    Notes
    -----
    The i-th smallest of n losses is the lowest of a choice if all others are among the
    n - i larger ones. Drawing with replacement would be biased, see Tang et al.

    References
    ----------
    Dodge et al. (2019), "Show Your Work". Tang et al. (2020), "Showing Your Work
    Doesn't Always Work".

    Examples
    --------
    >>> expected_best([1.0, 2.0, 3.0], trials=2)  # 1, 1 or 2
    1.3333333333333333
    """
    values = as_float64("losses", losses)
    if values.ndim != 1 or len(values) == 0 or np.isnan(values).any():
        raise ValueError(
            f"losses must be a list of numbers without NaN, got {losses!r}"
        )
    ordered, count = np.sort(values), len(values)
    check_between("trials", trials, 1, count)
    choices = math.comb(count, trials)
    # The largest are never the lowest of a choice. They may be infinite, and 0 * inf is
    # NaN: leave them out.
    return math.fsum(
        float(loss) * (math.comb(count - i, trials - 1) / choices)
        for i, loss in enumerate(ordered[: count - trials + 1], start=1)
    )
