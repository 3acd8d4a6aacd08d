"""An average of the points of a run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule
from adam_tutorial.theory import bias_correction

__all__ = ["AverageState", "temporal_average"]


class AverageState(NamedTuple):
    """The number ``t`` of points and their uncorrected moving average ``mean``."""

    t: int
    mean: Array


@rule
def temporal_average(
    state: AverageState | None, theta: ArrayLike, *, beta2: float = 0.999
) -> tuple[AverageState, Array]:
    """Average the points of a run with a bias-corrected moving average.

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
