"""Changes of the update: factors, clipping, trust ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from adam_tutorial._types import Array, Float64Array
from adam_tutorial.checking.effect import Change, Effect, changed, effect
from adam_tutorial.checking.probes import Trace
from adam_tutorial.checking.programs import Start

__all__ = ["effect_of_the_clock", "effects_on_updates"]

Moves = Sequence[Float64Array]


def effects_on_updates(
    traces: Sequence[Trace], right: Moves, start: Start
) -> Iterator[Effect]:
    """Yield what could have been done to the update, the simplest first.

    The number in it, such as a threshold, is read off the moves that were seen.

    Parameters
    ----------
    traces : sequence of Trace
        Two: ten ordinary steps, then more of them with other settings.
    right : sequence of ndarray
        How the right program moves there.
    start : function
        Makes the right program.
    """
    seen = [trace.moves for trace in traces]
    yield from _constants(traces, seen, right, start)
    yield from _clipped_entries(traces, seen, start)
    yield from _clipped_norms(traces, seen, start)
    yield from _trust_ratios(traces, seen, right, start)


def _constants(
    traces: Sequence[Trace], seen: Moves, right: Moves, start: Start
) -> Iterator[Effect]:
    """Yield a factor or a summand that is the same at every step, or in every entry."""
    theta, lr = traces[0].inputs.thetas[0, 0], traces[0].inputs.settings["lr"]
    ratio = float(seen[0][0, 0] / right[0][0, 0])
    yield effect(
        changed(start, lambda _: lambda move, *__: np.asarray(ratio * move)),
        "every step scaled",
        f"each step is {ratio:.6g} times as long as it should be",
    )
    added, always = float((seen[0] - right[0])[0, 0]), float(seen[0][0, 0])
    share = -added / theta

    def plus(unit: float) -> Change:
        return lambda move, *_: np.asarray(move + added * unit)

    def shrinking(unit: float) -> Change:
        return lambda move, theta, _: np.asarray(move - share * unit * theta)

    def constant(unit: float) -> Change:
        return lambda move, *_: np.full_like(move, always * unit)

    for times, per_lr in (("lr * ", True), ("", False)):
        unit = 1 / lr if per_lr else 1.0
        for does, name, said in (
            (
                plus,
                "constant added",
                f"{times}{added * unit:.6g} is added to each entry at every step",
            ),
            (
                shrinking,
                "weight decay that nobody asked for",
                f"a step takes {times}{share * unit:.6g} of theta away, without a"
                " weight decay",
            ),
            (
                constant,
                "steps independent of the gradient",
                f"every entry moves by {times}{always * unit:.6g} at every step,"
                " whatever the gradient",
            ),
        ):
            yield effect(changed(start, _in_units(does, lr, per_lr)), name, said)


def _in_units(
    does: Callable[[float], Change], lr: float, per_lr: bool
) -> Callable[[dict[str, float]], Change]:
    """Return a change whose number grows with the learning rate, or does not."""
    return lambda settings: does(settings["lr"] / lr if per_lr else 1.0)


def effect_of_the_clock(
    traces: Sequence[Trace], right: Moves, start: Start
) -> Iterator[Effect]:
    """Yield a factor for each step, the same in all runs.

    It has as many numbers as there are steps, so anything simpler is to be tried first.
    The arguments are those of ``effects_on_updates``.
    """
    factors = traces[1].moves[:, 0] / right[1][:, 0]
    last = len(factors)
    first = int(np.argmax(np.abs(factors - 1) > 1e-5))
    shown = ", ".join(f"{factor:.4g}" for factor in factors[first:][:5])
    yield effect(
        changed(start, lambda _: lambda move, __, t: factors[min(t, last) - 1] * move),
        "factor that changes with t",
        "steps are scaled by a factor that depends only on t, from step"
        f" {first + 1} on: {shown}, ...",
    )


def _clipped_entries(
    traces: Sequence[Trace], seen: Moves, start: Start
) -> Iterator[Effect]:
    """Yield limits of what an entry may move, or be."""
    lr = traces[1].inputs.settings["lr"]
    longest = float(np.max(np.abs(seen[1])))

    def clipping(unit: float) -> Change:
        return lambda move, *_: np.clip(move, -longest * unit, longest * unit)

    for per_lr, said in ((True, f"{longest / lr:.4g} * lr"), (False, f"{longest:.4g}")):
        yield effect(
            changed(start, _in_units(clipping, lr, per_lr)),
            "update clipped",
            f"no entry moves farther than {said}: the update is clipped, entry by"
            " entry",
        )
    places = [
        trace.inputs.thetas[: len(moves)] + moves
        for trace, moves in zip(traces, seen, strict=True)
    ]
    largest = max(float(np.max(np.abs(theta))) for theta in places)
    yield effect(
        changed(
            start,
            lambda _: (
                lambda move, theta, __: np.clip(theta + move, -largest, largest) - theta
            ),
        ),
        "parameters clipped",
        f"no entry of theta is larger than {largest:.4g} after a step",
    )
    norm = max(float(np.linalg.norm(theta)) for rows in places for theta in rows)

    def projected(move: Array, theta: Array, _: int) -> Array:
        after = theta + move
        return np.asarray(after * min(1.0, norm / float(np.linalg.norm(after))) - theta)

    yield effect(
        changed(start, lambda _: projected),
        "parameters clipped",
        f"the norm of theta is at most {norm:.4g} after a step: theta is scaled down",
    )


def _clipped_norms(
    traces: Sequence[Trace], seen: Moves, start: Start
) -> Iterator[Effect]:
    """Yield limits of the norm of an update, and norms that are always the same."""
    lr, entries = traces[1].inputs.settings["lr"], seen[1][0].size
    longest = max(float(np.linalg.norm(move)) for move in seen[1])

    def scaled(rms: bool, always: bool) -> Callable[[float], Change]:
        def change(unit: float) -> Change:
            def does(move: Array, *_: object) -> Array:
                size = np.sqrt(move.size / entries) if rms else 1.0
                factor = float(longest * unit * size / np.linalg.norm(move))
                return np.asarray(move * (factor if always else min(1.0, factor)))

            return does

        return change

    for rms, of in ((False, "norm"), (True, "root mean square")):
        limit = longest / np.sqrt(entries) if rms else longest
        for per_lr in (True, False):
            size = f"{limit / lr:.4g} * lr" if per_lr else f"{limit:.4g}"
            yield effect(
                changed(start, _in_units(scaled(rms, always=False), lr, per_lr)),
                "update clipped",
                f"the {of} of a tensor's update is at most {size}: longer updates are"
                " scaled down",
            )
            yield effect(
                changed(start, _in_units(scaled(rms, always=True), lr, per_lr)),
                "update normalized",
                f"the {of} of a tensor's update is always {size}",
            )


def _trust_ratios(
    traces: Sequence[Trace], seen: Moves, right: Moves, start: Start
) -> Iterator[Effect]:
    """Yield factors that the norm of theta decides."""
    lr, first = traces[0].inputs.settings["lr"], right[0][0]
    ratio = np.linalg.norm(traces[0].inputs.thetas[0]) / np.linalg.norm(first) * lr
    coefficient = float(seen[0][0, 0] / first[0] / ratio)

    def trusted(most: float, times: float) -> Callable[..., Change]:
        def change(settings: dict[str, float]) -> Change:
            def does(move: Array, theta: Array, _: int) -> Array:
                length = float(np.linalg.norm(move)) / settings["lr"]
                factor = float(times * np.linalg.norm(theta)) / length if length else 1
                return np.asarray(move * min(factor, most))

            return does

        return change

    for most, times in ((np.inf, 1.0), (10.0, 1.0), (1.0, 1.0), (np.inf, coefficient)):
        factor = "" if times == 1 else f"{times:.4g} times "
        limit = "" if most == np.inf else f", at most {most:g}"
        yield effect(
            changed(start, trusted(most, times)),
            "trust ratio",
            f"a tensor's update is multiplied by {factor}the norm of theta divided by"
            f" the norm of the update{limit}, as in LAMB",
        )
