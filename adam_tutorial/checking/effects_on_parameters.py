"""Steps that are left out, and programs that keep parameters of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from adam_tutorial._types import Array, Float64Array
from adam_tutorial.checking.effect import Effect, after, effect
from adam_tutorial.checking.probes import Trace, agree
from adam_tutorial.checking.programs import Start, Step

__all__ = ["effects_on_parameters"]

# Takes what is kept (None at first), theta, theta after the right step, and the number
# of the step; returns what is kept from now on, and what the step returns.
Follow = Callable[[Array | None, Array, Array, int], tuple[Array, Array]]


def effects_on_parameters(
    traces: Sequence[Trace], right: Sequence[Float64Array], start: Start
) -> Iterator[Effect]:
    """Yield what steps could have been left out, or parameters kept.

    The arguments are those of ``effects_on_updates``.
    """
    yield from _left_out(traces[1].moves, start)
    yield _own_theta(start)
    inputs = traces[0].inputs
    wrong = np.flatnonzero(~agree(right[0], traces[0].moves).all(axis=1))
    if len(wrong):
        thetas = inputs.thetas[: len(right[0])]
        places, should = thetas + traces[0].moves, thetas + right[0]
        first = int(wrong[0])
        if first < 2:
            yield _averaged(thetas, places, should, first, start)
        if first > 0:
            yield _lookahead(thetas, places, should, first + 1, start)


def _left_out(seen: Float64Array, start: Start) -> Iterator[Effect]:
    """Yield steps that are taken at some calls only."""
    moving = [k + 1 for k, move in enumerate(seen) if move.any()]
    if not moving or len(moving) == len(seen):
        return
    first, last = moving[0], moving[-1]
    every = moving[1] - first if len(moving) > 1 else 0
    if moving == list(range(1, last + 1)):
        every = 0
        when = "at step 1" if last == 1 else f"at steps 1 to {last}"
    else:
        when = f"at steps {first}, {first + every}, {first + 2 * every}, ..."

    def due(t: int) -> bool:
        return t % every == first % every if every else t <= last

    for gathers, said in (
        ("all", "; m and v gather every gradient"),
        ("some", "; the gradients of other steps are ignored"),
        ("mean", f": gradients are accumulated, and each step has the mean of {every}"),
        ("sum", f": gradients are accumulated, and each step has the sum of {every}"),
    ):
        yield effect(
            _at_some_calls(start, due, gathers, every),
            "steps left out",
            f"theta moves only {when}{said}",
        )


def _at_some_calls(
    start: Start, due: Callable[[int], bool], gathers: str, every: int
) -> Start:
    def make(**settings: float) -> Step:
        step, t = start(**settings), 0
        total = np.zeros(())

        def stepped(theta: Array, gradient: Array) -> Array:
            nonlocal t, total
            t += 1
            if gathers == "all":
                moved = after(step, theta, gradient)
                return moved if due(t) else theta
            total = total + gradient
            if not due(t):
                return theta
            shares = {"mean": total / max(every, 1), "sum": total}
            total = np.zeros(())
            return after(step, theta, shares.get(gathers, gradient))

        return stepped

    return make


def _keeping(start: Start, follow: Follow) -> Start:
    """Return programs that keep parameters beside those they are given."""

    def make(**settings: float) -> Step:
        step, t = start(**settings), 0
        kept: Array | None = None

        def stepped(theta: Array, gradient: Array) -> Array:
            nonlocal t, kept
            t += 1
            kept, returned = follow(kept, theta, after(step, theta, gradient), t)
            return returned

        return stepped

    return make


def _own_theta(start: Start) -> Effect:
    def follow(
        kept: Array | None, theta: Array, now: Array, _: int
    ) -> tuple[Array, Array]:
        own = (theta if kept is None else kept) + (now - theta)
        return own, own

    return effect(
        _keeping(start, follow),
        "theta of its own",
        "it steps from a copy of theta that it keeps, and ignores the theta that it is"
        " given after the first step",
    )


def _averaged(
    thetas: Float64Array,
    places: Float64Array,
    should: Float64Array,
    first: int,
    start: Start,
) -> Effect:
    """Return programs that return an average, which starts at theta or after a step."""
    before = thetas[0] if first == 0 else places[0]
    rate = float(
        (places[first] - should[first])[0] / (before - should[first])[0],
    )

    def follow(
        kept: Array | None, theta: Array, now: Array, _: int
    ) -> tuple[Array, Array]:
        if kept is None:
            kept = theta if first == 0 else now
        average = rate * kept + (1 - rate) * now
        return average, average

    return effect(
        _keeping(start, follow),
        "averaged parameters",
        f"a step returns an average of all parameters so far, with the rate {rate:.4g}",
    )


def _lookahead(
    thetas: Float64Array,
    places: Float64Array,
    should: Float64Array,
    every: int,
    start: Start,
) -> Effect:
    last = every - 1
    rate = float((places[last] - thetas[0])[0] / (should[last] - thetas[0])[0])

    def follow(
        kept: Array | None, theta: Array, now: Array, t: int
    ) -> tuple[Array, Array]:
        slow = theta if kept is None else kept
        if t % every:
            return slow, now
        slow = slow + rate * (now - slow)
        return slow, slow

    return effect(
        _keeping(start, follow),
        "slow parameters",
        f"every {every} steps it goes back to {rate:.4g} of the way from where it was"
        f" {every} steps before, as Lookahead does",
    )
