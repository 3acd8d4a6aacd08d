"""What the weight decay of a program does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adam_tutorial._types import Array
from adam_tutorial.checking.behaviour import Behaviours
from adam_tutorial.checking.effect import after, leaves
from adam_tutorial.checking.explanation import Explanation, consistent
from adam_tutorial.checking.inputs import DECAYING, DECAYING_MATRIX
from adam_tutorial.checking.mistakes import DECAY_MISTAKES, DECAYS, decay_shares
from adam_tutorial.checking.probes import Probe, Trace
from adam_tutorial.checking.programs import Start, Step
from adam_tutorial.checking.report import Finding

__all__ = ["check_decay"]

RIGHT = "decoupled: theta - lr * weight_decay * theta, beside the step of Adam"


def check_decay(
    probe: Probe, explanation: Explanation, rule: str, *, alike: bool
) -> tuple[str, Finding] | None:
    """Return "mistake" or "remark", and what the weight decay does.

    ``alike`` says whether matrices are stepped as vectors are, without a decay.

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
    unlike = not matrix.failure and kind not in of_matrix
    if unlike and alike and (of_matrix or its_own):
        others = DECAYS[of_matrix[0]] if of_matrix else "none of the known kinds"
        return "mistake", Finding(
            "weight decay that depends on the shape",
            f"vectors: {DECAYS[kind]}; matrices: {others}",
            RIGHT,
            "weight-decay",
            "difference",
        )
    if kind not in DECAY_MISTAKES or (kind == "penalty" and rule != "AdamW"):
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
    return [kind for kind in kinds if leaves(_decaying(explanation.start, kind), trace)]


def _measured(probe: Probe) -> str:
    """Return what a decay of no known kind takes away."""
    unknown = "it is none of the known kinds"
    runs = _runs(probe, {})
    if runs is None:
        return unknown
    decayed, plain = runs
    taken = plain.moves - decayed.moves
    if not taken.any():  # of vectors only
        return unknown
    theta, settings = DECAYING_MATRIX.thetas, DECAYING_MATRIX.settings
    for what, unit in (
        ("of theta", theta),
        ("of the sign of theta", np.sign(theta)),
        ("of theta after the step", theta + plain.moves),
    ):
        shares = taken / unit
        if not np.allclose(shares, shares[0, 0, 0], rtol=1e-4):
            continue
        powers = []
        for name in ("lr", "weight_decay"):
            more = _runs(probe, {name: 2 * settings[name]})
            if more is None:
                return unknown
            ratio = (more[1].moves - more[0].moves) / taken
            powers.append(float(np.log2(np.abs(ratio).mean())))
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


def _runs(probe: Probe, changed: dict[str, float]) -> tuple[Trace, Trace] | None:
    """Return a run with the decay and one without; None if one of them fails."""
    settings = DECAYING_MATRIX.settings | changed
    with_decay, without = (
        probe.watch(replace(DECAYING_MATRIX, settings=its))
        for its in (settings, settings | {"weight_decay": 0.0})
    )
    return None if with_decay.failure or without.failure else (with_decay, without)


def _decaying(start: Start, kind: str) -> Start:
    """Return programs that decay; ``kind`` is a key of ``DECAYS``."""

    def make(*, weight_decay: float, **settings: float) -> Step:
        step, lr = start(**settings), settings["lr"]

        def decayed(theta: Array, gradient: Array) -> Array:
            penalty = weight_decay * theta if kind == "penalty" else 0.0
            moved = after(step, theta, gradient + penalty)
            moved = moved - decay_shares(lr).get(kind, 0.0) * weight_decay * theta
            if kind == "after":
                moved = moved * (1 - lr * weight_decay)
            return moved

        return decayed

    return make
