"""Whether m, v and t are those of the run: what a resume may lose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adam_tutorial.doctor.history import Record, Track
from adam_tutorial.theory import bias_correction

__all__ = ["compare_counts", "look_at_first_step"]

Readings = Sequence[tuple[Track, Mapping[str, float]]]


def look_at_first_step(record: Record, readings: Readings, scheduled: int) -> None:
    """Compare the moments after the first step that is seen with what they should be.

    Parameters
    ----------
    record : Record
    readings : sequence
        Each parameter with its numbers, among them ``first``.
    scheduled : int
        How often a scheduler had been stepped before.

    Notes
    -----
    After one step from zero, ``m**2 / v`` is ``(1 - beta1)**2 / (1 - beta2)`` in every
    element: 10, with the usual rates. In a run it is about 0.05 for noise, at most 1
    for a steady gradient, and larger in few elements. So the two tell moments that have
    just begun from others, whatever the gradients were and whatever t says.
    """
    readings = [
        (track, numbers)
        for track, numbers in readings
        if math.isfinite(numbers["v"]) and math.isfinite(numbers["signal"])
    ]
    moved = sum(numbers["moved"] for _, numbers in readings)
    if not moved:
        return
    begun = sum(numbers["first"] for _, numbers in readings) / moved
    oldest = int(max(numbers["t"] for _, numbers in readings))
    if oldest <= 1 and begun < 0.5:
        record.lost["t lost"] = (
            f"t is 1 after step {record.start + record.taken}, but m and v have a"
            f" history: m^2/v is that of a first step in {begun:.0%} of the elements;"
            " the bias correction makes the steps wrong",
            {"t": oldest, "first_step_share": begun},
        )
    elif oldest >= 10 and begun > 0.99:
        record.lost["moments lost"] = (
            f"t is {oldest}, but m and v were zero before step {record.taken}: m^2/v is"
            f" that of a first step in {begun:.0%} of the elements; without a"
            " correction, the first steps are several times too long",
            {"t": oldest, "first_step_share": begun},
        )
    elif record.start and 2 * oldest <= record.start:
        record.lost["state lost"] = (
            f"the run goes on from step {record.start}, but m and v have seen"
            f" {_gradients(oldest)}",
            {"t": oldest, "start": record.start},
        )
    elif oldest <= 1 and scheduled >= 2:
        record.lost["state lost"] = (
            f"the schedule goes on from its step {scheduled}, but m and v have seen"
            f" {_gradients(oldest)}",
            {"t": oldest, "scheduled": scheduled},
        )


def compare_counts(record: Record, readings: Readings) -> None:
    """See whether t has fallen since the last measured step of each parameter."""
    fallen = []
    for track, numbers in readings:
        t, v = numbers["t"], numbers["v"]
        if track.counted is not None and t < track.counted[0]:
            fallen.append((track, track.counted, t, v))
        track.counted = (t, track.with_gradient, v)
    if not fallen:
        return
    track, (before, _, old), t, v = fallen[0]
    # How much of a steady v has been gathered after t steps.
    gathered = bias_correction(track.settings.beta2, int(t)) if t >= 1 else 0.0
    kept = v > old / 2 and gathered < 0.2
    name = "t lost" if kept else "state lost"
    what = "and m and v were kept" if kept else "and m and v began again"
    record.lost[name] = (
        f"t fell from {before:.0f} to {t:.0f} before step {record.taken}, {what}",
        {"t": t, "t_before": before, "count": len(fallen)},
    )


def _gradients(count: int) -> str:
    return "1 gradient" if count == 1 else f"{count} gradients"
