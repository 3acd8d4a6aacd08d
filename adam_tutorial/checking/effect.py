"""A right program with something added, whose steps can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from adam_tutorial._types import Array, Float64Array
from adam_tutorial.checking.probes import Trace, agree
from adam_tutorial.checking.programs import Start, Step
from adam_tutorial.checking.report import Finding

__all__ = [
    "Change",
    "Effect",
    "after",
    "changed",
    "effect",
    "leaves",
    "moves_of",
]

# Takes the move of the right program, theta, and the number of the step.
Change = Callable[[Array, Array, int], Array]


@dataclass(frozen=True)
class Effect:
    """A right program with something added, and what that is."""

    start: Start
    finding: Finding


def effect(start: Start, name: str, seen: str) -> Effect:
    """Return an effect with its finding."""
    right = "theta - lr * m_hat / (sqrt(v_hat) + eps), and nothing else"
    return Effect(start, Finding(name, seen, right, "update", "difference"))


def changed(start: Start, change: Callable[[dict[str, float]], Change]) -> Start:
    """Return programs whose moves are changed; ``change`` is given the settings."""

    def make(**settings: float) -> Step:
        step, does, t = start(**settings), change(settings), 0

        def stepped(theta: Array, gradient: Array) -> Array:
            nonlocal t
            t += 1
            move = after(step, theta, gradient) - theta
            return np.asarray(theta + does(move, theta, t))

        return stepped

    return make


def after(step: Step, theta: Array, gradient: Array) -> Array:
    """Return the parameters after a step of a program that returns them."""
    return np.asarray(step(theta, gradient))


def moves_of(start: Start, trace: Trace) -> Float64Array:
    """Return how far a program moves at the steps of a trace."""
    return np.array(list(_moves(start, trace))).reshape(trace.moves.shape)


def leaves(start: Start, trace: Trace) -> bool:
    """Return whether a program takes the steps of a trace; the first wrong one ends."""
    moves = zip(_moves(start, trace), trace.moves, strict=True)
    return all(agree(move, seen).all() for move, seen in moves)


def _moves(start: Start, trace: Trace) -> Iterator[Float64Array]:
    step, inputs = start(**trace.inputs.settings), trace.inputs
    for theta, gradient, _ in zip(
        inputs.thetas, inputs.gradients, trace.moves, strict=False
    ):
        with np.errstate(all="ignore"):
            yield after(step, theta.copy(), gradient.copy()) - theta
