"""What is kept of a measured step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch.optim import Optimizer

from adam_tutorial.doctor.history import Moment, Record, Sample, Track, over
from adam_tutorial.doctor.numbers import Before, measure, moment, read

__all__ = [
    "look_for_bad_moments",
    "look_for_bad_numbers",
    "moment_of",
    "read_all",
    "sample_of",
]


def read_all(
    optimizer: Optimizer,
    tracks: Mapping[int, Track],
    seen: Mapping[int, Before],
    *,
    first: bool,
) -> list[tuple[Track, dict[str, float]]]:
    """Measure all parameters that were stepped; none where a GradScaler left it out."""
    left_out = getattr(optimizer, "found_inf", None)
    if left_out is not None and read([left_out])[0]:
        return []
    found = []
    for key, was in seen.items():
        track = tracks[key]
        state = optimizer.state.get(track.parameter)
        if was.largest is not None and state:
            numbers = measure(track.parameter, was, state, track.settings, first=first)
            found.append((track, numbers))
    values = iter(read(x for _, numbers in found for x in numbers.values()))
    return [(t, {name: next(values) for name in numbers}) for t, numbers in found]


def sample_of(track: Track, numbers: Mapping[str, float], step: int) -> Sample:
    """Return what is kept of a parameter, from what :func:`measure` found."""
    group, size = track.settings, numbers["size"]
    shrinks = group.lr * group.decay if group.decoupled else 0.0
    return Sample(
        step=step,
        t=numbers["t"],
        lr=group.lr,
        weight=numbers["weight"],
        update=numbers["update"],
        change=numbers["change"],
        longest=over(numbers["longest"], abs(group.lr)),
        below_eps=over(numbers["below"], numbers["alive"]),
        dead=1 - numbers["alive"] / size,
        still=over(numbers["still"], numbers["active"]),
        signal=over(numbers["signal"], numbers["noise"]),
        v=numbers["v"],
        decay=over(shrinks * numbers["weight"], numbers["update"]),
        gradient=track.norm,
        largest=numbers["largest"],
        zeros=numbers["zeros"],
        drift=numbers.get("drift", math.nan),
    )


def moment_of(
    record: Record,
    readings: Sequence[tuple[Track, Mapping[str, float]]],
    step: int,
    scale: float,
) -> Moment:
    """Return what is kept of all parameters together."""
    sums = dict.fromkeys(("change", "weight", "alive", "below", "active"), 0.0)
    still = largest = 0.0
    for track, numbers in readings:
        count = track.parameter.numel()
        share = count / numbers["size"]
        if track.parameter.dim() > 1 and not track.began_zero:
            for name in ("change", "weight"):
                sums[name] += count * numbers[name] ** 2
        for name in ("alive", "below", "active"):
            sums[name] += share * numbers[name]
        still += share * numbers["still"]
        largest = max(largest, numbers["largest"])
    return Moment(
        step,
        tuple(group.lr for group in record.groups),
        over(math.sqrt(sums["change"]), math.sqrt(sums["weight"])),
        over(sums["below"], sums["alive"]),
        over(still, sums["active"]),
        largest,
        record.recent[-1] if record.recent else math.nan,
        scale,
    )


def look_for_bad_numbers(track: Track, numbers: Mapping[str, float], step: int) -> None:
    """Note where values are not finite."""
    for name, key in (("m", "signal"), ("v", "v"), ("parameter", "change")):
        value = numbers[key]
        if not math.isfinite(value):
            kind = "NaN" if math.isnan(value) else "infinite"
            track.bad.setdefault(name, (step, kind))


def look_for_bad_moments(optimizer: Optimizer, record: Record, step: int) -> None:
    """Note which averages of gradients are not finite after a step.

    A NaN or infinity in one gradient ruins the parameter, and with the next backward
    pass nearly all gradients; the averages still tell where it was.
    """
    if any(track.bad for track in record.tracks):
        return
    for track in record.tracks:
        state = optimizer.state.get(track.parameter)
        if state:
            (total,) = read([moment(state, "exp_avg").sum()])
            if not math.isfinite(total):
                kind = "NaN" if math.isnan(total) else "infinite"
                track.bad["m"] = (step, kind)
