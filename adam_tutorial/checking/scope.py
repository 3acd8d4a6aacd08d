"""Other shapes and sizes, several parameters, groups: whether a program is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from adam_tutorial._types import Float64Array
from adam_tutorial.checking.effect import moves_of
from adam_tutorial.checking.explanation import Explanation
from adam_tutorial.checking.inputs import (
    FOUR_D,
    LARGE,
    LARGE_MATRIX,
    MATRIX,
    NUMBERS,
    RISING,
    Inputs,
)
from adam_tutorial.checking.probes import Probe, Trace, agree, equal
from adam_tutorial.checking.report import Finding

__all__ = ["SHARED", "Shapes", "check_beside_another", "check_groups", "check_shapes"]

SHARED = Finding(
    "state shared",
    "what happens to one parameter changes the steps of another",
    "each parameter has its own t, m and v (or one t that counts steps, not"
    " parameters)",
    "state",
)
GLOBAL = Finding(
    "norm of all parameters",
    "the gradients of one parameter change the steps of another, but only by their"
    " norm, as in clipping by the global norm",
    "the step of each parameter depends on its own gradients",
    "update",
    "difference",
)
OF_FIRST_GROUP = Finding(
    "settings of the first group",
    "the second group is stepped with the settings of the first",
    "each group has its own lr, betas and eps",
    "settings",
)

SHAPES = {
    "matrices": MATRIX,
    "tensors of four dimensions": FOUR_D,
    "vectors of 5,000 entries": LARGE,
    "matrices of 136 by 130": LARGE_MATRIX,
}


class Shapes:
    """Which shapes were tried, and why others were not."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.tried: list[tuple[int, ...]] = [NUMBERS.shape]
        self.refused: list[str] = []


def check_shapes(probe: Probe, explanation: Explanation | None) -> Shapes:
    """Compare the steps of other shapes with what explains those of vectors."""
    shapes = Shapes()
    if explanation is None:
        shapes.refused.append("other shapes, as the steps of vectors are not explained")
        return shapes
    for called, inputs in SHAPES.items():
        trace = probe.watch(inputs)
        if trace.failure is not None:
            said = f"(step {trace.failure.step}: {trace.failure.said})"
            if explanation.findings:  # which may be why
                shapes.refused.append(f"{called} and other shapes {said}")
                break
            shapes.refused.append(f"{called} {said}")
            if not shapes.findings:
                shapes.findings.append(_refuses(called, trace))
            continue
        shapes.tried.append(inputs.shape)
        right = moves_of(explanation.start, trace)
        wrong = ~agree(right, trace.moves).reshape(len(right), -1).all(axis=1)
        if wrong.any() and not shapes.findings:
            k = int(np.flatnonzero(wrong)[0])
            seen = _seen(trace.moves[k], right[k], k + 1, inputs)
            shapes.findings.append(_otherwise(called, seen))
    return shapes


def _refuses(called: str, trace: Trace) -> Finding:
    assert trace.failure is not None
    failure = trace.failure
    return Finding(
        "shape refused",
        f"{called}: step {failure.step} fails with {failure.said}",
        "a step works entry by entry, in any shape",
        "update",
    )


def _otherwise(called: str, seen: str) -> Finding:
    return Finding(
        f"{called} stepped otherwise",
        seen,
        "each entry is stepped in the same way, in any shape and size",
        "update",
        "difference",
    )


def _seen(moved: Float64Array, right: Float64Array, k: int, inputs: Inputs) -> str:
    """Return how a step of another shape differs."""
    scale = np.abs(right).max()
    off = float(np.abs(moved - right).max() / scale)
    share = float(np.mean(~agree(right, moved)))
    said = (
        f"of shape {inputs.shape}: from step {k} on, where {100 * share:.3g} % of the"
        f" entries differ, by up to {100 * off:.3g} % of the longest move"
    )
    if not np.isfinite(moved).all():
        return f"of shape {inputs.shape}: step {k} is not a number"
    if moved.ndim == 2 and _orthogonal(moved) and not _orthogonal(right):
        return f"{said}; all singular values of the step are nearly equal, as in Muon"
    if off < 0.1:
        return f"{said}, as where the state is rounded"
    if k == 1 and np.allclose(moved, moved.flat[0]):
        return f"{said}; all entries move by the same"
    factor = moved / right
    if np.allclose(factor, factor.flat[0], rtol=1e-4):
        return f"{said}; the whole step is scaled by {float(factor.flat[0]):.4g}"
    return said


def _orthogonal(move: Float64Array) -> bool:
    singular = np.linalg.svd(move, compute_uv=False)
    return bool(singular.min() > 0.5 * singular.max())


def check_beside_another(probe: Probe, first: Trace) -> Finding | None:
    """Return whether a program moves otherwise while another one takes turns with it.

    The watched one comes second, when the other has already left its traces.
    """
    other = replace(NUMBERS, gradients=NUMBERS.gradients[::-1])
    moved = probe.watch_together([other, NUMBERS])[1]
    if equal(first, moved):
        return None

    def with_other(gradients: Float64Array) -> Trace:
        changed = replace(NUMBERS, gradients=gradients)
        return probe.watch_together([changed, NUMBERS])[1]

    # Permuted, and with other signs: only the norm is the same.
    same_norm = with_other(-np.roll(other.gradients, 1, axis=1))
    if equal(moved, same_norm) and not equal(moved, with_other(10 * other.gradients)):
        return GLOBAL
    return SHARED


def check_groups(probe: Probe) -> Iterator[Finding]:
    """Yield what is wrong with three parameters in two groups with other settings."""
    three = [NUMBERS, MATRIX, RISING]
    alone = [probe.watch(inputs) for inputs in three]
    if any(trace.failure for trace in alone):
        return
    together = probe.watch_together(three)
    failure = together[0].failure
    if failure is not None:
        yield Finding(
            "groups refused",
            f"three parameters in two groups: it raises {failure.said}",
            "groups of parameters, each with its own settings",
            "settings",
        )
        return
    if _same(together[2], alone[2]):
        if not all(map(_same, together, alone)):
            yield SHARED
        return
    as_first = probe.watch(replace(RISING, settings=NUMBERS.settings))
    yield OF_FIRST_GROUP if _same(together[2], as_first) else SHARED


def _same(short: Trace, long: Trace) -> bool:
    steps = len(short.moves)
    return bool(agree(short.moves, long.moves[:steps]).all())
