"""Run a program, and observe how it moves and what it does to its arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from adam_tutorial._types import Array, Float64Array
from adam_tutorial.checking.behaviour import Mask
from adam_tutorial.checking.handed import Program
from adam_tutorial.checking.inputs import IN_FLOAT16, USUAL, Inputs
from adam_tutorial.checking.programs import Step

__all__ = ["Failure", "Probe", "Trace", "agree", "equal"]


@dataclass(frozen=True)
class Failure:
    """Why a step gave no parameters.

    Parameters
    ----------
    step : int
        Its number, from 1; 0 if no program could be made.
    kind : {"raises", "nothing", "shape", "type"}
    said : str
        The error, or what was returned.
    """

    step: int
    kind: Literal["raises", "nothing", "shape", "type"]
    said: str


@dataclass(frozen=True)
class Trace:
    """How far a program moved at each step, and why it gave no parameters, if so.

    A step that ended with an arithmetic error is not a number, and the next one is
    tried; after any other failure there are no more steps.
    """

    inputs: Inputs
    moves: Float64Array
    failure: Failure | None = None


class Stopped(Exception):
    """A step gave no parameters."""

    def __init__(self, kind: Literal["nothing", "shape", "type"], said: str) -> None:
        super().__init__(said)
        self.kind, self.said = kind, said


class Probe:
    """Run a program on inputs, and notice what it does to the arrays it is given."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.no_decay = {"weight_decay": 0.0} if self.decays else {}
        # A program that does not take a setting is compared with the usual one.
        self.usual = {
            name: value for name, value in USUAL.items() if name not in program.takes
        }
        self.gradient_was_changed = False
        self.theta_was_changed = False

    @property
    def decays(self) -> bool:
        """Whether the program has a weight decay."""
        return "weight_decay" in self.program.takes

    @property
    def has_groups(self) -> bool:
        """Whether it takes several parameters, in groups with settings of their own."""
        return hasattr(self.program, "several")

    def watch(self, inputs: Inputs, *, reuse_gradient: bool = False) -> Trace:
        """Return how a new program moves."""
        inputs = replace(inputs, settings=inputs.settings | self.usual)
        try:
            step = self._new(inputs.settings)
        except Exception as error:
            return Trace(inputs, inputs.gradients[:0], _raised(0, error))
        # One array for all steps: a program may recognise a parameter by its array.
        theta = np.empty(inputs.shape)
        given: list[Float64Array] = []
        moves = np.full(inputs.gradients.shape, np.nan)
        failure, nothing, in_place = None, None, False
        for k, (g, place) in enumerate(
            zip(inputs.gradients, inputs.thetas, strict=True)
        ):
            theta[...] = place
            if reuse_gradient and given:
                given[0][...] = g
            else:
                given.append(g.copy())
            try:
                moves[k] = self._after(step, theta, given[-1]) - place
            except ArithmeticError as error:
                failure = failure or _raised(k + 1, error)
            except Stopped as stop:
                found = Failure(k + 1, stop.kind, stop.said)
                if stop.kind != "nothing":
                    return Trace(inputs, moves[:k], found)
                nothing, moves[k] = nothing or found, 0.0
            except Exception as error:
                return Trace(inputs, moves[:k], _raised(k + 1, error))
            in_place |= not np.array_equal(theta, place)
            if not reuse_gradient:
                for before, now in zip(inputs.gradients, given, strict=False):
                    self.gradient_was_changed |= not np.array_equal(before, now)
        if nothing and not in_place:  # otherwise it only did not move
            return Trace(inputs, moves[: nothing.step - 1], nothing)
        return Trace(inputs, moves, failure)

    def watch_together(self, several: Sequence[Inputs]) -> list[Trace]:
        """Return how parameters move side by side.

        They belong to one optimizer where the program has a method ``several``, each
        group with its settings, and otherwise to programs made one after the other.
        """
        several = [
            replace(inputs, settings=inputs.settings | self.usual) for inputs in several
        ]
        moves = [np.full(inputs.gradients.shape, np.nan) for inputs in several]
        thetas: list[Array] = [np.empty(inputs.shape) for inputs in several]
        failure = None
        k = -1
        try:
            step = self._together([inputs.settings for inputs in several])
            for k in range(min(len(inputs.gradients) for inputs in several)):
                for theta, inputs in zip(thetas, several, strict=True):
                    theta[...] = inputs.thetas[k]
                after = step(thetas, [inputs.gradients[k].copy() for inputs in several])
                for moved, now, inputs in zip(moves, after, several, strict=True):
                    moved[k] = now - inputs.thetas[k]
        except Stopped as stop:
            failure = Failure(k + 1, stop.kind, stop.said)
        except Exception as error:
            failure = _raised(k + 1, error)
        done = k if failure else k + 1
        return [
            Trace(inputs, moved[:done], failure)
            for inputs, moved in zip(several, moves, strict=True)
        ]

    def _together(
        self, settings: list[dict[str, float]]
    ) -> Callable[[list[Array], list[Array]], list[Array]]:
        if self.has_groups:
            program: Any = self.program
            step = program.several([self._taken(its) for its in settings])
            return lambda thetas, gradients: [
                np.asarray(after) for after in step(thetas, gradients)
            ]
        steps = [self._new(its) for its in settings]
        return lambda thetas, gradients: [
            self._number_after(step, theta, gradient)
            for step, theta, gradient in zip(steps, thetas, gradients, strict=True)
        ]

    def _number_after(self, step: Step, theta: Array, gradient: Array) -> Array:
        try:
            return self._after(step, theta, gradient)
        except ArithmeticError:
            return np.full(theta.shape, np.nan)
        except Stopped as stop:
            if stop.kind != "nothing":
                raise
            return theta.copy()

    def fails_in_float16(self) -> tuple[str, ...]:
        """Return which gradients do harm in float16, of "zero", "small" and "large"."""
        try:
            step = self._new(USUAL)
            gradient = np.array(list(IN_FLOAT16.values()), np.float16)
            after = self._after(step, np.ones(gradient.shape, np.float16), gradient)
        except Exception:  # its own error says that it does not take float16
            return ()
        return tuple(
            name
            for name, ok in zip(IN_FLOAT16, np.isfinite(after), strict=True)
            if not ok
        )

    def _new(self, settings: dict[str, float]) -> Step:
        return self.program(**self._taken(settings))

    def _taken(self, settings: dict[str, float]) -> dict[str, float]:
        given = self.no_decay | settings
        return {name: given[name] for name in given if name not in self.usual}

    def _after(self, step: Step, theta: Array, gradient: Array) -> Array:
        before = theta.copy()
        with np.errstate(all="ignore"):
            result = step(theta, gradient)
        changed = not np.array_equal(theta, before, equal_nan=True)
        self.theta_was_changed |= changed
        if result is None and not changed:
            raise Stopped("nothing", "None")
        after = _as_array(theta if result is None else result)
        if after.shape != theta.shape:
            raise Stopped("shape", f"{theta.shape}, got {after.shape}")
        return after


def _as_array(result: Any) -> Array:
    """Return a copy of what a step returned."""
    if isinstance(result, tuple | dict | str) or callable(result):
        size = f" of {len(result)}" if isinstance(result, tuple) else ""
        raise Stopped("type", f"a {type(result).__name__}{size}")
    detached = result.detach() if hasattr(result, "detach") else result
    try:
        after = np.array(detached)
    except ValueError:  # rows of different lengths
        after = np.array(None)
    if after.dtype.kind not in "fiub":
        raise Stopped("type", f"a {type(result).__name__} with {after.dtype} entries")
    return after


def _raised(step: int, error: Exception) -> Failure:
    first, *_ = f"{error}".strip().splitlines() or [""]
    said = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return Failure(step, "raises", said)


def agree(moves: Float64Array, seen: Float64Array) -> Mask:
    """Return which moves agree to five digits with what was seen.

    They are differences of parameters near 1, which float32 knows to 6e-8. Infinity
    and NaN agree with each other.
    """
    with np.errstate(all="ignore"):
        close = np.abs(moves - seen) <= 3e-7 + 1e-5 * np.abs(seen)
    finite = np.isfinite(moves), np.isfinite(seen)
    return np.where(finite[0] & finite[1], close, finite[0] == finite[1])


def equal(a: Trace, b: Trace) -> bool:
    """Return whether two traces agree, and have as many steps."""
    return a.moves.shape == b.moves.shape and bool(agree(a.moves, b.moves).all())
