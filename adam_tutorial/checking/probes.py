"""What a program is given, and what is observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adam_tutorial._types import Array, Float64Array
from adam_tutorial.checking.behaviour import Mask
from adam_tutorial.checking.programs import Make, Step

__all__ = [
    "DECAYING",
    "NUMBERS",
    "SMALL",
    "ZEROS",
    "Inputs",
    "Probe",
    "Trace",
    "agree",
    "equal",
]


@dataclass(frozen=True)
class Inputs:
    """Settings, and a row of gradients and of parameters for each step."""

    settings: dict[str, float]
    gradients: Float64Array
    thetas: Float64Array


@dataclass(frozen=True)
class Trace:
    """How far a program moved at each step.

    ``raised`` if it ended with an arithmetic error.
    """

    inputs: Inputs
    moves: Float64Array
    raised: bool


def _inputs(seed: int, scale: Any, steps: int, **settings: float) -> Inputs:
    generator = np.random.default_rng(seed)
    gradients = scale * generator.standard_normal((steps, 4))
    return Inputs(settings, gradients, generator.uniform(0.5, 1.5, (steps, 4)))


# Unusual decay rates expose a program that ignores them. The first gradient is large,
# so that a maximum shows.
FIRST_IS_LARGE = np.array([8.0] + 9 * [1.0])[:, None]
NUMBERS = _inputs(
    1,
    FIRST_IS_LARGE * [1.0, 10.0, 0.1, 1.0],
    10,
    lr=0.1,
    beta1=0.8,
    beta2=0.95,
    eps=1e-8,
)
# Gradients as small as eps show where eps stands.
SMALL = _inputs(2, 0.05, 6, lr=0.1, beta1=0.8, beta2=0.95, eps=0.05)
WHERE_NOT_ZERO = np.array(
    [[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
)
# A gradient of 1e-8 distinguishes a hard-coded eps of 1e-8 from none.
ZEROS = _inputs(
    3,
    WHERE_NOT_ZERO * [1.0, 1.0, 1e-8, 1.0],
    6,
    lr=0.1,
    beta1=0.8,
    beta2=0.95,
    eps=1e-3,
)
DECAYING = _inputs(4, 1.0, 4, lr=0.1, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.3)
# For beta2 = 0.999, (1 - beta2) * g**2 is rounded to zero for gradients below 5.5e-3.
IN_FLOAT16 = {"zero": 0.0, "small": 2e-3, "large": 1.0}


class Probe:
    """Run a program on inputs, and notice what it does to the arrays it is given."""

    def __init__(self, make: Make, decays: bool) -> None:
        self.make = make
        self.no_decay = {"weight_decay": 0.0} if decays else {}
        self.gradient_was_changed = False
        self.theta_was_changed = False

    def watch(self, inputs: Inputs, *, reuse_gradient: bool = False) -> Trace:
        """Return how a new program moves."""
        step = self.make(**{**self.no_decay, **inputs.settings})
        # One array for all steps: a program may recognise a parameter by its array.
        theta = np.empty(inputs.thetas.shape[1])
        given: list[Float64Array] = []
        moves = np.full(inputs.gradients.shape, np.nan)
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
            except ArithmeticError:
                return Trace(inputs, moves[: k + 1], raised=True)
            if not reuse_gradient:
                for before, now in zip(inputs.gradients, given, strict=False):
                    self.gradient_was_changed |= not np.array_equal(before, now)
        return Trace(inputs, moves, raised=False)

    def watch_beside_another(self, inputs: Inputs) -> Trace:
        """Return how a program moves while another one takes turns with it."""
        settings = {**self.no_decay, **inputs.settings}
        several = getattr(self.make, "several", None)
        several_step = several(**settings) if several else self._in_turn(settings)
        pair = [np.empty(inputs.thetas.shape[1]) for _ in range(2)]
        moves = np.full(inputs.gradients.shape, np.nan)
        # The watched one comes second, when the other has already left its traces.
        others = inputs.gradients[::-1]
        for k, place in enumerate(inputs.thetas):
            for theta in pair:
                theta[...] = place
            gradients = [others[k].copy(), inputs.gradients[k].copy()]
            try:
                moves[k] = several_step(pair, gradients)[1] - place
            except ArithmeticError:
                return Trace(inputs, moves[: k + 1], raised=True)
        return Trace(inputs, moves, raised=False)

    def _in_turn(self, settings: dict[str, float]) -> Callable[..., list[Array]]:
        """Return a step of two programs that were made one after the other."""
        steps = [self.make(**settings), self.make(**settings)]

        def step(thetas: list[Array], gradients: list[Array]) -> list[Array]:
            both = zip(steps, thetas, gradients, strict=True)
            return [
                self._after(step, theta, gradient) for step, theta, gradient in both
            ]

        return step

    def fails_in_float16(self) -> tuple[str, ...]:
        """Return which gradients do harm in float16, of "zero", "small" and "large"."""
        settings = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        try:
            step = self.make(**{**self.no_decay, **settings})
            gradient = np.array(list(IN_FLOAT16.values()), np.float16)
            after = self._after(step, np.ones(gradient.shape, np.float16), gradient)
        except (TypeError, ValueError, RuntimeError, ArithmeticError):
            return ()  # its own error says that it does not take float16
        return tuple(
            name
            for name, ok in zip(IN_FLOAT16, np.isfinite(after), strict=True)
            if not ok
        )

    def _after(self, step: Step, theta: Array, gradient: Array) -> Array:
        before = theta.copy()
        with np.errstate(all="ignore"):
            result = step(theta, gradient)
        changed = not np.array_equal(theta, before, equal_nan=True)
        self.theta_was_changed |= changed
        after = np.array(theta if result is None else result)
        if after.shape != theta.shape:
            raise ValueError(
                f"step must return theta with its shape {theta.shape}, got"
                f" {after.shape}"
            )
        return after


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
    """Return whether two traces agree, and end alike."""
    return (
        a.raised == b.raised
        and a.moves.shape == b.moves.shape
        and bool(agree(a.moves, b.moves).all())
    )
