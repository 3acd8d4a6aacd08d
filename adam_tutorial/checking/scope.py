"""Other shapes and sizes, several parameters, groups: whether a program is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from adam_tutorial._types import Array, Float64Array
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
from adam_tutorial.checking.programs import Step
from adam_tutorial.checking.report import Finding
from adam_tutorial.theory import bias_correction

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
    "the gradients of one parameter change the steps of another, but their signs and"
    " their order do not: by a norm of all, as in clipping by the global norm",
    "the step of each parameter depends on its own gradients",
    "update",
    "difference",
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
            shapes.refused.append(called if shapes.refused else f"{called} {said}")
            if not shapes.findings:
                shapes.findings.append(_refuses(called, trace))
            continue
        shapes.tried.append(inputs.shape)
        right = moves_of(explanation.start, trace)
        wrong = ~agree(right, trace.moves).reshape(len(right), -1).all(axis=1)
        if wrong.any() and not shapes.findings:
            k = int(np.flatnonzero(wrong)[0])
            seen = _seen(trace.moves[k], right[k], k + 1, inputs)
            if trace.moves[k].ndim == 2:
                seen += _of_matrices(probe, trace)
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
    if not np.isfinite(moved).all():
        return f"of shape {inputs.shape}: step {k} is not a number"
    if scale == 0:
        return f"of shape {inputs.shape}: it moves at step {k}, where it should not"
    off = float(np.abs(moved - right).max() / scale)
    share = float(np.mean(~agree(right, moved)))
    said = (
        f"of shape {inputs.shape}: from step {k} on, where {100 * share:.3g} % of the"
        f" entries differ, by up to {100 * off:.3g} % of the longest move"
    )
    if off < 0.1:
        return f"{said}, as where numbers are rounded"
    factor = moved / right
    if np.allclose(factor, factor.flat[0], rtol=1e-4):
        return f"{said}; the whole step is scaled by {float(factor.flat[0]):.4g}"
    return said


def _of_matrices(probe: Probe, trace: Trace) -> str:
    """Return what is known to be done to matrices only."""
    if agree(moves_of(_factored, trace), trace.moves).all():
        return (
            "; the second moment is the product of averages over rows and columns, as"
            " in Adafactor"
        )
    large = probe.watch(LARGE_MATRIX)
    if large.failure is None and np.isfinite(large.moves).all():
        last = large.moves[-1]
        singular = np.linalg.svd(last, compute_uv=False)
        # Of a random matrix of this shape the smallest is a hundredth of the largest.
        if singular.min() > 0.3 * singular.max():
            return "; all singular values of a step are nearly equal, as in Muon"
        for name, axis in (("row", 1), ("column", 0)):
            if np.allclose(last, last.mean(axis=axis, keepdims=True)):
                return f"; all entries of a {name} move alike"
    return ""


def _factored(*, lr: float, beta1: float, beta2: float, eps: float) -> Step:
    """Adam with a second moment that is stored by rows and columns."""
    t = 0
    m: Any = 0.0
    square: Any = 0.0

    def step(theta: Array, g: Array) -> Array:
        nonlocal t, m, square
        t, m = t + 1, beta1 * m + (1 - beta1) * g
        # Averages over rows and columns of the average are averages of theirs.
        square = beta2 * square + (1 - beta2) * g**2
        rows, columns = (square.mean(axis=axis, keepdims=True) for axis in (-1, -2))
        v = rows * columns / square.mean(axis=(-1, -2), keepdims=True)
        root = np.sqrt(v / bias_correction(beta2, t))
        return np.asarray(theta - lr * m / bias_correction(beta1, t) / (root + eps))

    return step


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

    # A norm does not see signs and order, but it does see other sizes. A counter that
    # is shared sees neither.
    same_norm = with_other(-np.roll(other.gradients, 1, axis=1))
    if equal(moved, same_norm) and not equal(moved, with_other(other.gradients**3)):
        return GLOBAL
    return SHARED


def check_groups(probe: Probe) -> list[Finding] | None:
    """Return what is wrong with three parameters in two groups with other settings.

    None if one of them alone fails already, so that groups are not tried.
    """
    three = [NUMBERS, MATRIX, RISING]
    alone = [probe.watch(inputs) for inputs in three]
    if any(trace.failure for trace in alone):
        return None
    together = probe.watch_together(three)
    failure = together[0].failure
    if failure is not None:
        refused = Finding(
            "groups refused",
            f"three parameters in two groups: it raises {failure.said}",
            "groups of parameters, each with its own settings",
            "settings",
        )
        return [refused]
    for number, (moved, its) in enumerate(zip(together, alone, strict=True), 1):
        if not _same(moved, its):
            found = _of_first_group(probe, moved) or Finding(
                "parameters not stepped as alone",
                f"in an optimizer of three parameters in two groups, number {number}"
                " moves otherwise than in one of its own",
                "each parameter has its own state, each group its settings",
                "state",
                "difference",
            )
            return [found]
    return []


def _of_first_group(probe: Probe, moved: Trace) -> Finding | None:
    """Return which settings of the first group the second is stepped with, if any."""
    its, first = moved.inputs.settings, NUMBERS.settings
    for names in (("lr",), ("eps",), ("beta1", "beta2"), tuple(first)):
        taken = its | {name: first[name] for name in names}
        if taken != its and _same(moved, probe.watch(replace(RISING, settings=taken))):
            return Finding(
                "settings of the first group",
                f"the second group is stepped with {', '.join(names)} of the first",
                "each group has its own lr, betas and eps",
                "settings",
            )
    return None


def _same(short: Trace, long: Trace) -> bool:
    steps = len(short.moves)
    return bool(agree(short.moves, long.moves[:steps]).all())
