"""Programs whose steps cannot be compared, in a sentence each."""

from __future__ import annotations

import numpy as np

from adam_tutorial._types import Float64Array
from adam_tutorial.checking.probes import Failure, Trace
from adam_tutorial.checking.report import Finding

__all__ = ["broken", "cause", "no_numbers", "standstill"]

FINITE = "a step gives finite numbers where gradient and theta are finite"


def broken(trace: Trace) -> Finding | None:
    """Return why an ordinary run has no steps to compare; None if it has some."""
    failure, moves = trace.failure, trace.moves
    if failure and (len(moves) < len(trace.inputs.gradients) or _no_number(trace)):
        return cause(failure, trace.inputs.settings)
    if _no_number(trace):
        return Finding(
            "not a number",
            f"theta is {_called(moves)} after every step, for ordinary gradients",
            FINITE,
            "update",
        )
    return None


def no_numbers(trace: Trace) -> Finding | None:
    """Return at which step a program raises, or from which on it gives no numbers."""
    if trace.failure is not None:
        return cause(trace.failure, trace.inputs.settings)
    finite = np.flatnonzero(np.isfinite(trace.moves).any(axis=1))
    k = int(finite[-1]) + 2 if len(finite) else 1
    if k > len(trace.moves):
        return None
    return Finding(
        "not a number",
        f"from step {k} on theta is {_called(trace.moves[k - 1 :])}",
        FINITE,
        "update",
    )


def standstill(trace: Trace) -> Finding | None:
    """Return that a program never moves, if so."""
    if trace.moves.any():
        return None
    return Finding(
        "theta never moves",
        "each step gives theta back as it was, for ordinary gradients",
        "return theta after the step, theta - lr * m_hat / (sqrt(v_hat) + eps)",
        "update",
    )


def _called(moves: Float64Array) -> str:
    return "NaN" if np.isnan(moves).all() else "infinite or NaN"


def _no_number(trace: Trace) -> bool:
    return not np.isfinite(trace.moves).any()


def cause(failure: Failure, settings: dict[str, float]) -> Finding:
    """Return what a failure is called, and what would be right."""
    k, said = failure.step, failure.said
    if k == 0:
        given = ", ".join(f"{name}={value:g}" for name, value in settings.items())
        return Finding(
            "cannot be made",
            f"with {given} it raises {said}",
            "make returns a step for these settings",
            "settings",
        )
    return {
        "nothing": Finding(
            "returns nothing",
            f"step {k} returned None and left theta as it was: a return is missing"
            + (" there" if k > 1 else ""),
            "return theta after the step, or write into theta",
            "update",
        ),
        "shape": Finding(
            "wrong shape",
            f"step {k} should return theta with its shape {said}",
            "theta keeps its shape",
            "update",
        ),
        "type": Finding(
            "returns no array",
            f"step {k} returned {said}",
            "return theta after the step, an array of real numbers",
            "update",
        ),
        "raises": Finding(
            "raises an error",
            f"step {k} raises {said}",
            "a step returns theta for any gradient of its shape",
            "update",
        ),
    }[failure.kind]
