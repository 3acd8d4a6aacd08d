"""What the gradients show: values that are not finite, clipping, who gets none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from adam_tutorial.doctor.findings import Finding, found
from adam_tutorial.doctor.history import Record, Track, median

__all__ = ["GRADIENT_SIGNS"]

STEPS = 20
CLIPPED_STEPS = 50
RANK_SAMPLES = 5
WHERE = {"gradient": "the gradient", "parameter": "the values"}


def non_finite(record: Record) -> Iterator[Finding]:
    """Yield the first place of values that are not finite."""
    bad = [
        (step, place, kind, track)
        for track in record.tracks
        for place, (step, kind) in track.bad.items()
    ]
    if not bad:
        return
    first = min(step for step, *_ in bad)
    # A gradient comes before the moments and the parameters that it ruins.
    order = ("gradient", "v", "m", "parameter")
    place = min((p for s, p, *_ in bad if s == first), key=order.index)
    hit = [(kind, track) for s, p, kind, track in bad if (s, p) == (first, place)]
    # The backward pass begins at the last parameter.
    kind, track = hit[-1]
    where = f"{WHERE.get(place, place)} of {track.name}"
    if kind == "infinite" and place == "gradient":
        kind = "infinite, or too large to be squared,"
    elif kind == "infinite" and place == "v":
        kind = "infinite, so that its elements never move again,"
    among = (
        f", and in {_parameters(len(hit) - 1)} before it, so it arose there or nearer"
        " to the loss"
        if len(hit) > 1
        else ""
    )
    yield found(
        "non-finite values",
        f"{where} was {kind} first at step {first}{among}",
        tuple(track.name for _, track in reversed(hit)),
        step=first,
        count=len(hit),
    )


def clipping(record: Record) -> Iterator[Finding]:
    """Yield clipping that acts at every step, or on scaled gradients."""
    steps = len(record.recent)
    if steps < CLIPPED_STEPS:
        return
    if record.limit is not None:
        share = record.over_limit / record.norms.seen
        if share >= 0.95:
            yield found(
                "clipping always active",
                f"the norm of the gradients was above max_grad_norm={record.limit:g} at"
                f" {share:.0%} of the steps; its median is"
                f" {median(list(record.recent)):.3g}",
                (),
                share=share,
                norm=median(list(record.recent)),
            )
        return
    scales = {m.scale for m in record.moments}
    scaled = _constant([m.norm * m.scale for m in record.moments])
    constant = median(list(record.recent))
    share = sum(_equal(norm, constant) for norm in record.recent) / steps
    if not _varied(record) or constant == 0:
        return
    if share >= 0.95:
        # Where the first steps overflowed, none may have been measured yet.
        scale = max(scales, default=1.0)
        if (scale >= 128 and constant < 1e-3) or _is_part_of_a_scale(constant):
            yield _scaled(constant, constant * scale if scale > 1 else math.nan)
        else:
            yield found(
                "clipping always active",
                f"the norm of all gradients is {constant:.4g} at {share:.0%} of the"
                f" last {steps} steps",
                (),
                share=share,
                norm=constant,
            )
    elif len(scales) > 1 and scaled is not None:
        yield _scaled(constant, scaled)


def _scaled(norm: float, limit: float) -> Finding:
    times = f", {limit:.3g} times the scale's inverse" if math.isfinite(limit) else ""
    return found(
        "clipping of scaled gradients",
        f"the norm of all gradients is {norm:.3g} at every step{times}: they were"
        " clipped while a GradScaler's factor was in them",
        (),
        norm=norm,
    )


def _equal(norm: float, constant: float) -> bool:
    return abs(norm - constant) <= 1e-4 * constant


def _constant(values: list[float]) -> float | None:
    middle = median(values)
    same = sum(_equal(value, middle) for value in values)
    return middle if len(values) >= 10 and same >= 0.95 * len(values) else None


def _is_part_of_a_scale(norm: float) -> bool:
    """Return whether a norm is a usual limit over a power of two, at least 2**10."""
    # 5 and 1, 0.5, 0.25 are 10 and 2 over a power of two.
    for limit in (0.1, 2.0, 10.0):
        power = math.log2(limit / norm)
        if power > 9.5 and abs(power - round(power)) < 1e-4:
            return True
    return False


def _varied(record: Record) -> bool:
    """Return whether the gradients differed, though their norm may not have.

    The norm is constant for a slope that is constant, too.
    """
    shares = [track.shares for track in record.tracks if track.with_gradient]
    peaks = [m.largest / m.norm for m in record.moments if m.norm > 0]
    spread = max(peaks, default=1.0) / min(peaks, default=1.0)
    return any(high > 1.01 * low for low, high in shares) or spread > 1.01


def without_gradient(record: Record) -> Iterator[Finding]:
    """Yield parameters that no gradient reaches."""
    here = [t for t in record.tracks if record.taken - t.joined >= STEPS]
    some = any(track.with_gradient for track in here)
    none = [t for t in here if t.parameter.requires_grad and not t.with_gradient]
    if some and none:
        yield found(
            "parameter without gradient",
            f"{_parameters(len(none))} had no gradient in {_least(record, none)} steps",
            tuple(track.name for track in none),
            count=len(none),
        )
    zero = [t for t in here if t.with_gradient >= STEPS and _is_zero(t)]
    if zero:
        yield found(
            "gradient always zero",
            f"{_parameters(len(zero))} had a gradient of exactly 0 in"
            f" {_least(record, zero)} steps",
            tuple(track.name for track in zero),
            count=len(zero),
        )


def _is_zero(track: Track) -> bool:
    """Return whether all gradients were zero; a norm of 1e-30 underflows to it."""
    return track.zero == track.with_gradient and all(
        sample.zeros == 1 for sample in track.samples
    )


def unheld(record: Record) -> Iterator[Finding]:
    """Yield parameters that get gradients, but that nobody moves."""
    still = [
        name
        for name, (count, _, moved) in record.unheld.items()
        if count >= 10 and not moved
    ]
    if still and record.taken >= CLIPPED_STEPS:
        yield found(
            "parameter in no group",
            f"{_parameters(len(still))} of the model got gradients, but the optimizer"
            " does not have them, and nothing else has moved them",
            tuple(still),
            count=len(still),
        )


def ranks(record: Record) -> Iterator[Finding]:
    """Yield gradients that are longer than a mean over the ranks can be."""
    times = median(record.summed)
    if len(record.summed) >= RANK_SAMPLES and times > 1.2:
        yield found(
            "gradients summed over ranks",
            f"the gradient is {times:.2f} times as long as what this rank added to it,"
            f" with {record.ranks} ranks; a mean is hardly longer than each part",
            (),
            times=times,
            ranks=record.ranks,
        )


def _least(record: Record, tracks: list[Track]) -> int:
    return min(record.taken - track.joined for track in tracks)


def _parameters(count: int) -> str:
    return "1 parameter" if count == 1 else f"{count} parameters"


GRADIENT_SIGNS: tuple[Callable[[Record], Iterator[Finding]], ...] = (
    *(non_finite, clipping, without_gradient, unheld, ranks),
)
