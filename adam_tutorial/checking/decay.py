"""What the weight decay of a program does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adam_tutorial._types import Float64Array
from adam_tutorial.checking.behaviour import Behaviours
from adam_tutorial.checking.effect import leaves
from adam_tutorial.checking.explanation import Explanation, consistent
from adam_tutorial.checking.inputs import DECAYING, DECAYING_MATRIX, Inputs
from adam_tutorial.checking.mistakes import DECAY_MISTAKES, DECAYS
from adam_tutorial.checking.probes import Probe, Trace
from adam_tutorial.checking.report import Finding
from adam_tutorial.checking.rules import decaying

__all__ = ["check_decay"]

RIGHT = "decoupled: theta - lr * weight_decay * theta, beside the step of Adam"


def check_decay(
    probe: Probe, explanation: Explanation, rule: str
) -> tuple[str, Finding] | None:
    """Return "mistake" or "remark", and what the weight decay does.

    None if the program ends with an error, or if other mistakes hide the decay.
    """
    trace = probe.watch(DECAYING)
    kinds = [] if trace.failure else _kinds(explanation, trace)
    if trace.failure or len(kinds) > 1:
        return None
    its_own = not explanation.findings
    if not kinds:
        name, seen = "weight decay of no known kind", _measured(probe)
        found = Finding(name, seen, RIGHT, "weight-decay")
        # Beside something else that is wrong, a right decay may look like none.
        return "mistake" if its_own else "remark", found
    (kind,) = kinds
    matrix = probe.watch(DECAYING_MATRIX)
    of_matrix = [] if matrix.failure else _kinds(explanation, matrix)
    if of_matrix and kind not in of_matrix:
        return "mistake", Finding(
            "weight decay that depends on the shape",
            f"vectors: {DECAYS[kind]}; matrices: {DECAYS[of_matrix[0]]}",
            RIGHT,
            "weight-decay",
            "difference",
        )
    allowed = {"lr * decay", "decay"} | ({"penalty"} if rule != "AdamW" else set())
    if kind in allowed:
        return "remark", Finding("weight decay", DECAYS[kind], RIGHT, "weight-decay")
    name = DECAY_MISTAKES[kind]
    return "mistake", Finding(name, DECAYS[kind], RIGHT, "weight-decay")


def _kinds(explanation: Explanation, trace: Trace) -> list[str]:
    """Return the kinds of decay with which the program takes these steps."""
    kinds = list(DECAYS)
    if explanation.behaviour is not None:
        does = explanation.behaviour
        behaviours = Behaviours.of([replace(does, decay=kind) for kind in kinds])
        return [kinds[k] for k in consistent(behaviours, [trace])]
    # Only Adam has a divisor that a decay could be divided by.
    kinds.remove("divided")
    return [kind for kind in kinds if leaves(decaying(explanation.start, kind), trace)]


def _measured(probe: Probe) -> str:
    """Return what a decay of no known kind takes away."""
    unknown = "it is none of the known kinds"
    taken = _taken(probe, {})
    theta = DECAYING_MATRIX.thetas
    settings = DECAYING_MATRIX.settings
    if taken is None:
        return unknown
    without = replace(DECAYING_MATRIX, settings=settings | {"weight_decay": 0.0})
    for what, unit in (
        ("of theta", theta),
        ("of the sign of theta", np.sign(theta)),
        ("of theta after the step", theta + probe.watch(without).moves),
    ):
        shares = taken / unit
        if not np.allclose(shares, shares[0, 0, 0], rtol=1e-4):
            continue
        powers = []
        for name in ("lr", "weight_decay"):
            more = _taken(probe, {name: 2 * settings[name]})
            if more is None:
                return unknown
            powers.append(float(np.log2(np.abs(more / taken).mean())))
        halves = np.round(np.multiply(powers, 2)) / 2
        like = " * ".join(
            name if power == 1 else f"{name}**{power:g}"
            for name, power in zip(("lr", "weight_decay"), halves, strict=True)
            if power and np.allclose(halves, powers, atol=1e-3)
        )
        return (
            f"{unknown}: with lr={settings['lr']:g} and"
            f" weight_decay={settings['weight_decay']:g} a step takes"
            f" {float(shares[0, 0, 0]):.4g} {what} away"
            + (f", in proportion to {like}" if like else "")
        )
    first, given = (values[0].ravel().round(4) for values in (taken, theta))
    return f"{unknown}: the first step takes {first} away from theta = {given}"


def _taken(probe: Probe, changed: dict[str, float]) -> Float64Array | None:
    """Return what the decay takes away at each step."""
    settings = DECAYING_MATRIX.settings | changed
    runs = [
        probe.watch(
            Inputs(
                settings | without, DECAYING_MATRIX.gradients, DECAYING_MATRIX.thetas
            )
        )
        for without in ({}, {"weight_decay": 0.0})
    ]
    if any(run.failure for run in runs):
        return None
    return runs[1].moves - runs[0].moves
