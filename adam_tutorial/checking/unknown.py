"""What is seen of steps that nothing known explains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from adam_tutorial._types import Float64Array
from adam_tutorial.checking.effect import moves_of
from adam_tutorial.checking.inputs import Inputs
from adam_tutorial.checking.probes import Probe, Trace, agree, equal
from adam_tutorial.checking.programs import Start
from adam_tutorial.checking.report import UNKNOWN, Difference, Finding

__all__ = ["describe"]


def describe(
    probe: Probe, traces: Sequence[Trace], start: Start, right: str
) -> tuple[Difference, Finding, tuple[Finding, ...]]:
    """Return the first wrong step, and remarks on what was measured about all of them.

    ``start`` makes right programs; ``right`` says what these compute.
    """
    place, difference = next(
        (place, found)
        for place, trace in enumerate(traces)
        if (found := _difference(trace, start)) is not None
    )
    # After the ordinary gradients of the first two.
    where = "only where gradients are zero or as small as eps: " if place > 1 else ""
    given = ", ".join(
        f"{name}={value:g}" for name, value in difference.settings.items()
    )
    alike = np.array_equal(difference.moved.round(4), difference.right.round(4))
    digits = 8 if alike else 4
    remarks = (
        Finding("what was measured", fact, "", "algorithm-1", "difference")
        for fact in _facts(probe, traces, start)
    )
    finding = Finding(
        UNKNOWN,
        f"{where}at step {len(difference.gradients)} it moves by"
        f" {difference.moved.round(digits)} instead of"
        f" {difference.right.round(digits)}; the"
        f" gradient is {difference.gradients[-1].round(4)}, with {given}",
        right,
        "algorithm-1",
        "difference",
    )
    return difference, finding, tuple(remarks)


def _difference(trace: Trace, start: Start) -> Difference | None:
    """Return the first step that is not that of the rule."""
    inputs = trace.inputs
    for k, right in enumerate(moves_of(start, trace)):
        if not agree(right, trace.moves[k]).all():
            given = inputs.gradients[: k + 1], inputs.thetas[: k + 1]
            return Difference(dict(inputs.settings), *given, trace.moves[k], right)
    return None


def _facts(probe: Probe, traces: Sequence[Trace], start: Start) -> Iterator[str]:
    """Yield what distinguishes the steps, each measured."""
    first, right = traces[0], moves_of(start, traces[0])
    inputs = first.inputs
    nearly = list(_sizes(traces, start))
    yield from nearly
    if nearly:
        return
    if not np.isfinite(right).all() or not np.isfinite(first.moves).all():
        return
    factors = first.moves / right
    wrong = np.flatnonzero(~agree(right, first.moves).all(axis=1))
    if len(wrong) and np.allclose(factors, factors[:, :1], rtol=1e-4):
        shown = ", ".join(f"{factor:.3g}" for factor in factors[wrong[0] :, 0][:4])
        yield (
            f"from step {wrong[0] + 1} to 10, all entries of a step are scaled by one"
            f" number: {shown}, ..."
        )
    if len(wrong):
        parts = ~agree(right[wrong[0]], first.moves[wrong[0]])
        if not parts.all():
            entries = ", ".join(str(k + 1) for k in np.flatnonzero(parts))
            yield f"at step {wrong[0] + 1} only these of 4 entries part: {entries}"
    still = np.flatnonzero(~first.moves.any(axis=1)) + 1
    if len(still):
        steps = "step" if len(still) == 1 else "steps"
        yield f"theta does not move at {steps} {', '.join(map(str, still))}"
    not_moving = first.moves == 0
    if len(wrong) and np.array_equal(not_moving, ~agree(right, first.moves)):
        along = np.array_equal(not_moving, right * inputs.gradients > 0)
        yield "where it parts, theta does not move" + (
            ": in the entries where the right step goes along the gradient"
            if along
            else ""
        )
    if equal(first, probe.watch(replace(inputs, gradients=-3 * inputs.gradients))):
        yield "steps do not depend on the gradient"
    if not equal(first, probe.watch(_other_thetas(inputs, slice(None)))):
        yield (
            "steps depend on the theta of earlier steps"
            if _depends_on_earlier(probe, first)
            else "steps depend on theta, though there is no weight decay"
        )
    others = _other_gradients(inputs, 3.0)
    moved = probe.watch(others)
    if len(moved.moves) and not _same_entry(first, moved):
        yield "the step of an entry depends on the gradients of the other entries"
    square = probe.watch(_reshaped(inputs, (2, 2)))
    if (
        square.failure is None
        and not agree(first.moves.reshape(square.moves.shape), square.moves).all()
    ):
        yield "a matrix of the same numbers moves otherwise"


def _sizes(traces: Sequence[Trace], start: Start) -> Iterator[str]:
    """Yield how far the moves are off, if they are nearly right."""
    off = 0.0
    for trace in traces:
        if not np.isfinite(trace.moves).all():
            return
        right = moves_of(start, trace)
        scale = np.abs(right).max(axis=1, keepdims=True)
        if not np.isfinite(right).all() or not scale.all():
            return
        off = max(off, float((np.abs(trace.moves - right) / scale).max()))
    if off < 0.03:
        yield (
            f"all steps are right to within {100 * off:.2g} %, as where numbers are"
            " rounded"
        )


def _depends_on_earlier(probe: Probe, first: Trace) -> bool:
    """Return whether the last step changes with the thetas before it."""
    moves = probe.watch(_other_thetas(first.inputs, slice(-1))).moves
    return (
        len(moves) == len(first.moves) and not agree(moves[-1], first.moves[-1]).all()
    )


def _other_thetas(inputs: Inputs, which: slice) -> Inputs:
    thetas = inputs.thetas.copy()
    thetas[which] *= 1.25
    return replace(inputs, thetas=thetas)


def _other_gradients(inputs: Inputs, times: float) -> Inputs:
    gradients = inputs.gradients.copy()
    gradients[:, 1:] *= times * (-1.0) ** np.arange(len(gradients))[:, None]
    return replace(inputs, gradients=gradients)


def _same_entry(a: Trace, b: Trace) -> bool:
    first: list[Float64Array] = [trace.moves[:, 0] for trace in (a, b)]
    return len(first[0]) == len(first[1]) and bool(agree(*first).all())


def _reshaped(inputs: Inputs, shape: tuple[int, ...]) -> Inputs:
    return Inputs(
        inputs.settings,
        inputs.gradients.reshape(-1, *shape),
        inputs.thetas.reshape(-1, *shape),
    )
