"""Changes of the gradient before the rule sees it: clipping, scaling, penalties."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from adam_tutorial._types import Array, Float64Array
from adam_tutorial.checking.effect import Effect, after, effect, moves_of
from adam_tutorial.checking.inputs import Inputs
from adam_tutorial.checking.probes import Probe, Trace
from adam_tutorial.checking.programs import Start, Step

__all__ = ["effects_on_gradients"]

# Takes a gradient and theta, returns what the rule is given.
Given = Callable[[Array, Array], Array]

# With an eps much larger than the gradients, the first step is nearly proportional to
# the gradient, so it shows what the rule has been given.
REVEALING = Inputs(
    {"lr": 1.0, "beta1": 0.8, "beta2": 0.95, "eps": 1e3},
    np.array([[0.3, -3.0, 30.0, 300.0]]),
    np.zeros((1, 4)),
)
WITH_THETA = Inputs(REVEALING.settings, REVEALING.gradients, np.ones((1, 4)))


def effects_on_gradients(probe: Probe, start: Start) -> Iterator[Effect]:
    """Yield what could have been done to the gradient; ``start`` is right."""
    given = REVEALING.gradients[0]
    used = _used(probe, start, REVEALING)
    with_theta = _used(probe, start, WITH_THETA)
    if used is None or with_theta is None:
        return
    ratio = float(used[0] / given[0])
    penalty = float((with_theta - used)[0])
    largest = float(np.max(np.abs(used)))
    norm = float(np.linalg.norm(used))

    def scaled_to(g: Array, size: float, limit: float) -> Array:
        return np.asarray(
            g * min(size / float(np.linalg.norm(g)), limit) if g.any() else g
        )

    changes: tuple[tuple[str, str, Given], ...] = (
        (
            "gradient clipped",
            f"the gradient is clipped at {largest:.4g}, entry by entry",
            lambda g, _: np.clip(g, -largest, largest),
        ),
        (
            "gradient clipped",
            f"a tensor's gradient is scaled down to the norm {norm:.4g} where it is"
            " longer",
            lambda g, _: scaled_to(g, norm, 1.0),
        ),
        (
            "gradient clipped",
            "a tensor's gradient is scaled down to the root mean square"
            f" {norm / np.sqrt(given.size):.4g} where that is larger",
            lambda g, _: scaled_to(g, norm * np.sqrt(g.size / given.size), 1.0),
        ),
        (
            "gradient normalized",
            f"a tensor's gradient is scaled to the norm {norm:.4g}",
            lambda g, _: scaled_to(g, norm, np.inf),
        ),
        (
            "sign of the gradient",
            f"only the sign of the gradient is used, times {largest:.4g}",
            lambda g, _: np.asarray(largest * np.sign(g)),
        ),
        (
            "gradient scaled",
            f"the gradient is multiplied by {ratio:.6g}",
            lambda g, _: np.asarray(ratio * g),
        ),
        (
            "gradient centred",
            "the mean of the gradient is subtracted from it",
            lambda g, _: np.asarray(g - g.mean()),
        ),
        (
            "penalty that nobody asked for",
            f"{penalty:.6g} * theta is added to the gradient, without a weight decay",
            lambda g, theta: np.asarray(g + penalty * theta),
        ),
    )
    for name, seen, change in changes:
        yield effect(_given(start, change), name, seen)


def _given(start: Start, change: Given) -> Start:
    """Return right programs that are given other gradients."""

    def make(**settings: float) -> Step:
        step = start(**settings)
        return lambda theta, g: after(step, theta, change(g, theta))

    return make


def _used(probe: Probe, start: Start, inputs: Inputs) -> Float64Array | None:
    """Return the gradient with which the right program would move as this one does."""
    trace = probe.watch(inputs)
    if len(trace.moves) < 1 or not np.isfinite(trace.moves).all():
        return None
    eps, lr = inputs.settings["eps"], inputs.settings["lr"]
    # What is added to |g|: eps, or in the efficient order more.
    one = Trace(
        Inputs(inputs.settings, np.full((1, 1), eps), np.zeros((1, 1))),
        np.zeros((1, 1)),
    )
    part = float(abs(moves_of(start, one)[0, 0])) / lr
    added = eps * (1 / part - 1)
    moved = np.abs(trace.moves[0]) / lr
    if (moved >= 1).any():
        return None
    used: Float64Array = -np.sign(trace.moves[0]) * added * moved / (1 - moved)
    return used
