"""A right program with something added, whose steps can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adam_tutorial._types import Array, Float64Array
from adam_tutorial.checking.probes import Trace
from adam_tutorial.checking.programs import Step
from adam_tutorial.checking.report import Finding

__all__ = ["Change", "Effect", "Start", "after", "changed", "effect", "moves_of"]

Start = Callable[..., Step]
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
    step = start(**trace.inputs.settings)
    moves = np.full(trace.moves.shape, np.nan)
    with np.errstate(all="ignore"):
        for k, moved in enumerate(moves):
            theta, gradient = trace.inputs.thetas[k], trace.inputs.gradients[k]
            moved[...] = after(step, theta, gradient) - theta
    return moves
