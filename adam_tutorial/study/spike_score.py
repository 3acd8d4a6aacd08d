"""A measure of how often the loss of a run leaps up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adam_tutorial._arguments import check_at_least
from adam_tutorial._types import Float64Array

__all__ = ["DEVIATIONS", "WINDOW", "spike_score", "spike_steps"]

# For runs of a thousand steps or so. A longer window would leave less of the run to
# judge, and hold more of the loss's fall.
WINDOW, DEVIATIONS = 100, 7.0


def spike_score(
    losses: Sequence[float] | Float64Array,
    window: int = WINDOW,
    deviations: float = DEVIATIONS,
) -> float:
    """Return the share of the judged steps whose loss is far above those before.

    Parameters
    ----------
    losses, window, deviations : sequence of float, int, float
        As for :func:`spike_steps`.

    Raises
    ------
    ValueError
        There are not more losses than the window holds, or it has fewer than two.
    """
    found = spike_steps(losses, window, deviations)
    if len(losses) <= window:
        raise ValueError(f"{len(losses)} losses do not exceed the window of {window}")
    return len(found) / (len(losses) - window)


def spike_steps(
    losses: Sequence[float] | Float64Array,
    window: int = WINDOW,
    deviations: float = DEVIATIONS,
) -> list[int]:
    """Return the steps, from 1, whose loss is far above those just before.

    Parameters
    ----------
    losses : sequence of float
        One for each step.
    window, deviations : int, float
        A loss is far above if it exceeds the mean of as many losses before it by at
        least so many of their standard deviations. The first ``window`` steps have no
        such history and are not judged. A loss that is not finite is far above.

    Raises
    ------
    ValueError
        The window has fewer than two losses.

    Notes
    -----
    OLMo 2 (2024), section 3, counts deviations of seven from the last 1,000 values, in
    runs of hundreds of thousands of steps, and of either sign. After a spike the
    window's own deviation is large, so a second spike within ``window`` steps is seen
    only if it is larger.
    """
    check_at_least("window", window, 2)
    found = []
    values = np.asarray(losses, dtype=np.float64)
    for t in range(window, len(values)):
        before = values[t - window : t]
        before = before[np.isfinite(before)]
        limit = before.mean() + deviations * before.std() if len(before) else np.inf
        if not values[t] < limit:
            found.append(t + 1)
    return found
