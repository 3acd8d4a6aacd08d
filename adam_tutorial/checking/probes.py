"""What a program is shown, and what is noticed about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adam_tutorial.checking.programs import Make, Step

Array = NDArray[Any]


@dataclass(frozen=True)
class Questions:
    """Settings, and the gradients and parameters that a program is shown: one row for each step."""

    settings: dict[str, float]
    gradients: NDArray[np.float64]
    thetas: NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """How far a program moved at each step; ``raised`` if it ended with an arithmetic error."""

    questions: Questions
    moves: NDArray[np.float64]
    raised: bool


def _questions(seed: int, scale: Any, steps: int, **settings: float) -> Questions:
    generator = np.random.default_rng(seed)
    gradients = scale * generator.standard_normal((steps, 4))
    return Questions(settings, gradients, generator.uniform(0.5, 1.5, (steps, 4)))


# Decay rates other than the usual, so that a program that ignores them is found out.
# The first gradient is large, so that a maximum shows.
FIRST_IS_LARGE = np.array([8.0] + 9 * [1.0])[:, None]
NUMBERS = _questions(
    1,
    FIRST_IS_LARGE * [1.0, 10.0, 0.1, 1.0],
    10,
    lr=0.1,
    beta1=0.8,
    beta2=0.95,
    eps=1e-8,
)
# Gradients as small as eps tell where eps stands.
SMALL = _questions(2, 0.05, 6, lr=0.1, beta1=0.8, beta2=0.95, eps=0.05)
WHERE_NOT_ZERO = np.array(
    [[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
)
# A gradient of 1e-8 tells an eps of 1e-8, which was not asked for, from none.
ZEROS = _questions(
    3,
    WHERE_NOT_ZERO * [1.0, 1.0, 1e-8, 1.0],
    6,
    lr=0.1,
    beta1=0.8,
    beta2=0.95,
    eps=1e-3,
)
DECAYING = _questions(
    4, 1.0, 4, lr=0.1, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.3
)
# For beta2 = 0.999, (1 - beta2) * g**2 is rounded to zero for gradients below 5.5e-3.
IN_FLOAT16 = {"zero": 0.0, "small": 2e-3, "large": 1.0}


class Probe:
    """Run a program on questions, and notice what it does to the arrays that it is given."""

    def __init__(self, make: Make, decays: bool) -> None:
        self.make = make
        self.none = {"weight_decay": 0.0} if decays else {}
        self.gradient_was_changed = False
        self.theta_was_changed = False

    def watch(self, questions: Questions, *, reuse_gradient: bool = False) -> Look:
        """Return how a new program moves."""
        step = self.make(**{**self.none, **questions.settings})
        # One array for all steps: a program may recognise a parameter by its array.
        theta = np.empty(questions.thetas.shape[1])
        shown: list[Array] = []
        moves = np.full(questions.gradients.shape, np.nan)
        for k, (g, place) in enumerate(
            zip(questions.gradients, questions.thetas, strict=True)
        ):
            theta[...] = place
            if reuse_gradient and shown:
                shown[0][...] = g
            else:
                shown.append(g.copy())
            try:
                moves[k] = self._after(step, theta, shown[-1]) - place
            except ArithmeticError:
                return Look(questions, moves[: k + 1], raised=True)
            if not reuse_gradient:
                for before, now in zip(questions.gradients, shown, strict=False):
                    self.gradient_was_changed |= not np.array_equal(before, now)
        return Look(questions, moves, raised=False)

    def watch_beside_another(self, questions: Questions) -> Look:
        """Return how a program moves while another one steps in turn with it."""
        settings = {**self.none, **questions.settings}
        several = getattr(self.make, "several", None)
        several_step = several(**settings) if several else self._in_turn(settings)
        pair = [np.empty(questions.thetas.shape[1]) for _ in range(2)]
        moves = np.full(questions.gradients.shape, np.nan)
        # The watched one comes second, when the other has already left its traces.
        others = questions.gradients[::-1]
        for k, place in enumerate(questions.thetas):
            for theta in pair:
                theta[...] = place
            gradients = [others[k].copy(), questions.gradients[k].copy()]
            try:
                moves[k] = several_step(pair, gradients)[1] - place
            except ArithmeticError:
                return Look(questions, moves[: k + 1], raised=True)
        return Look(questions, moves, raised=False)

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
        """Return which gradients do harm in float16: those that are "zero", "small" or "large"."""
        settings = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        try:
            step = self.make(**{**self.none, **settings})
            gradient = np.array(list(IN_FLOAT16.values()), np.float16)
            after = self._after(step, np.ones(gradient.shape, np.float16), gradient)
        except (TypeError, ValueError, RuntimeError, ArithmeticError):
            return ()  # it says itself that it does not take float16
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


def close(a: Array, b: Array) -> NDArray[np.bool_]:
    """Return which moves agree to five digits. Inf and NaN count as one: as not finite.

    They are differences of parameters near 1, which float32 knows to 6e-8.
    """
    with np.errstate(all="ignore"):
        near = np.abs(a - b) <= 3e-7 + 1e-5 * np.abs(b)
    return np.where(np.isfinite(a), np.isfinite(b) & near, ~np.isfinite(b))


def same(a: Array, b: Array) -> bool:
    """Return whether all moves agree."""
    return bool(close(a, b).all())


def equal(a: Look, b: Look) -> bool:
    """Return whether two looks at a program saw the same."""
    return (
        a.raised == b.raised
        and a.moves.shape == b.moves.shape
        and same(a.moves, b.moves)
    )
