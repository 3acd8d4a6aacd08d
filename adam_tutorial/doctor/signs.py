"""From what was seen to what is found. Each threshold lies far from healthy runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from adam_tutorial.doctor.findings import Finding, found
from adam_tutorial.doctor.history import Record, Track, median
from adam_tutorial.doctor.signs_of_gradients import GRADIENT_SIGNS

__all__ = ["diagnose"]

# Fewer steps, or fewer measured ones, say nothing about a run.
STEPS, SAMPLES = 20, 5
LONG = 100


def diagnose(record: Record) -> tuple[Finding, ...]:
    """Return what is found in a run, the surest first."""
    signs = (*GRADIENT_SIGNS, *SIGNS)
    findings = [finding for sign in signs for finding in sign(record)]
    return tuple(sorted(findings, key=lambda finding: finding.severity))


def state_lost(record: Record) -> Iterator[Finding]:
    """Yield what was lost of the state."""
    for name, (seen, numbers) in record.lost.items():
        yield found(name, seen, (), **numbers)


def penalty(record: Record) -> Iterator[Finding]:
    """Yield a decay that is coupled."""
    groups = {
        index: group
        for index, group in enumerate(record.groups)
        if group.decay > 0 and not group.decoupled
    }
    if record.taken and groups:
        decay = max(group.decay for group in groups.values())
        yield found(
            "L2 penalty instead of weight decay",
            f"weight_decay={decay:g} is added to the gradient as weight_decay * theta,"
            " and Adam divides it by the size of the gradient: it is no share of the"
            " weight",
            tuple(t.name for t in record.tracks if t.group in groups),
            weight_decay=decay,
        )


def strong_decay(record: Record) -> Iterator[Finding]:
    """Yield parameters that decay faster than their gradients move them."""
    strong = {}
    for track in record.tracks:
        decays = [s.decay for s in track.samples if s.gradient > 0]
        if len(decays) >= SAMPLES and median(decays) > 2:
            strong[track.name] = median(decays)
    if strong and record.taken >= STEPS:
        times = max(strong.values())
        yield found(
            "decay stronger than the update",
            f"the decay of a step is {times:.3g} times as long as the update",
            tuple(strong),
            decay_to_update=times,
        )


def rate(record: Record) -> Iterator[Finding]:
    """Yield a learning rate that is far from every useful one."""
    moments = [m for m in record.moments if math.isfinite(m.ratio)]
    if not moments:
        return
    largest = max(moments, key=lambda m: m.ratio)
    lrs = [max(m.lrs) for m in record.moments]
    if largest.ratio > 2:
        yield found(
            "learning rate too high",
            f"step {largest.step} moved the weights by {largest.ratio:.2g} times their"
            f" own size (of all matrices together; lr {max(largest.lrs):g})",
            (),
            update_to_weight=largest.ratio,
            lr=max(largest.lrs),
        )
    # In a warm-up, the rate is still on its way.
    rising = lrs[-1] == max(lrs) and lrs[-1] > lrs[0]
    if record.taken >= LONG and not rising and largest.ratio < 1e-6:
        yield found(
            "learning rate too low",
            f"no step moved the weights by more than {largest.ratio:.1g} of their size"
            f" (lr {max(lrs):g})",
            (),
            update_to_weight=largest.ratio,
            lr=max(lrs),
        )


def eps(record: Record) -> Iterator[Finding]:
    """Yield an eps that is larger than most roots."""
    shares = [m.below_eps for m in record.moments]
    if len(shares) < SAMPLES or not median(shares) > 0.5:
        return
    below = {
        track.name: median([s.below_eps for s in track.samples])
        for track in record.tracks
    }
    value = max(group.eps for group in record.groups)
    yield found(
        "eps decides",
        f"sqrt(v_hat) is smaller than eps={value:g} in {median(shares):.0%} of the"
        " elements",
        tuple(name for name, share in below.items() if share > 0.5),
        share=median(shares),
        eps=value,
    )


def schedule(record: Record) -> Iterator[Finding]:
    """Yield a schedule that does not reach the optimizer."""
    if record.foreign_schedule:
        yield found(
            "schedule of another optimizer",
            f"the {record.foreign_schedule} changes the learning rates of another"
            " optimizer than the one that is watched",
        )
        return
    seen = list(record.schedule)
    if record.default_lrs is not None and record.taken:
        first, now = record.default_lrs
        rates = {m.lrs for m in record.moments}
        if first != now and len(rates) == 1 and now not in next(iter(rates)):
            yield found(
                "schedule without effect",
                f"optimizer.defaults['lr'] was changed from {first:g} to {now:g}, but"
                " the groups, which count, were not",
                (),
                lr=max(next(iter(rates))),
            )
    if len(seen) < SAMPLES or record.taken < STEPS:
        return
    theirs, ours = {s[2] for s in seen}, {s[3] for s in seen}
    differs = all(s[2] != s[3] for s in seen[1:] if s[2])
    if len(theirs) > 1 and len(ours) == 1 and differs:
        last = seen[-1]
        yield found(
            "schedule without effect",
            f"the scheduler has come to lr {max(last[2]):g}, but the optimizer steps"
            f" with {max(last[3]):g} as at the start: something sets it back, or the"
            " groups were replaced",
            (),
            scheduled=max(last[2]),
            lr=max(last[3]),
        )
    elif record.closed and len({s[1] for s in seen}) == 1:
        yield found(
            "schedule without effect",
            f"scheduler.step() was not called in {record.taken} steps",
            (),
            lr=max(seen[-1][3]),
        )


def rounding(record: Record) -> Iterator[Finding]:
    """Yield a run whose updates are smaller than the spacing of its numbers."""
    rates = [max(m.lrs) for m in record.moments]
    if record.taken < STEPS or len(rates) < SAMPLES or _v_is_infinite(record.tracks):
        return
    # Where a schedule ends, every update is lost.
    full = max(rates) / 2
    shares = [m.still for m in record.moments if max(m.lrs) >= full > 0]
    if not median(shares) > 0.75:
        return
    still = {
        track.name: median([s.still for s in track.samples if s.lr >= full])
        for track in record.tracks
    }
    yield found(
        "updates lost to rounding",
        f"{median(shares):.0%} of the elements stayed as they were at a step, although"
        " their update was not zero (median of the measured steps)",
        tuple(name for name, share in still.items() if share > 0.75),
        share=median(shares),
    )


def _v_is_infinite(tracks: list[Track]) -> bool:
    return any("v" in track.bad for track in tracks)


def drift(record: Record) -> Iterator[Finding]:
    """Yield embeddings whose rows wander off when their gradient is gone."""
    far = {}
    for track in record.tracks:
        ways = [s.drift for s in track.samples if s.zeros > 0.5]
        if len(ways) >= SAMPLES and median(ways) > 0.5:
            far[track.name] = median(ways)
    if far and record.taken >= STEPS:
        yield found(
            "drift after a lone gradient",
            "rows that have no gradient go on, by"
            f" {max(far.values()):.2g} times their own size",
            tuple(far),
            travel_to_size=max(far.values()),
        )


SIGNS: tuple[Callable[[Record], Iterator[Finding]], ...] = (
    *(state_lost, schedule, rate, penalty, strong_decay),
    *(eps, rounding, drift),
)
