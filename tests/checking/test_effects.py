"""Programs that do more than Algorithm 1, or less: each is named, and nothing else."""

# Programs are called with more than each of them uses.
# ruff: noqa: ARG001, ARG005

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adam_tutorial.checking import check_optimizer, plain_adam
from tests.checking.lines import Make, names, on_update, only_finding

Array = Any


def on_gradient(change: Callable[[Array, Array], Array]) -> Make:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam = plain_adam(lr, beta1, beta2, eps)
        return lambda theta, g: adam(theta, change(g, theta))

    return make


def size(x: Array) -> float:
    return float(np.linalg.norm(x)) or 1.0


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


def own_theta(u: Array, theta: Array, g: Array, t: int, memory: Any, lr: float) -> Any:
    memory["theta"] = memory.get("theta", theta) + u
    return memory["theta"]


def averaged(u: Array, theta: Array, g: Array, t: int, memory: Any, lr: float) -> Any:
    memory["mean"] = 0.9 * memory.get("mean", theta) + 0.1 * (theta + u)
    return memory["mean"]


def averaged_later(
    u: Array, theta: Array, g: Array, t: int, memory: Any, lr: float
) -> Any:
    now = theta + u
    memory["mean"] = 0.8 * memory["mean"] + 0.2 * now if memory else now
    return memory["mean"]


def lookahead(every: int, rate: float) -> Make:
    def change(u: Array, theta: Array, g: Array, t: int, memory: Any, lr: float) -> Any:
        slow = memory.setdefault("slow", theta.copy())
        if t % every:
            return theta + u
        memory["slow"] = slow + rate * (theta + u - slow)
        return memory["slow"]

    return on_update(change)


def accumulating(every: int, share: float) -> Make:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam = plain_adam(lr, beta1, beta2, eps)
        gathered: list[Array] = []

        def step(theta: Array, g: Array) -> Array:
            gathered.append(share * g)
            if len(gathered) < every:
                return theta
            total = sum(gathered)
            gathered.clear()
            return adam(theta, np.asarray(total))

        return step

    return make


PROGRAMS: list[tuple[str, Make, str, str]] = [
    (
        "first",
        on_update(lambda u, x, g, t, *_: x + (t == 1) * u),
        "left out",
        "step 1;",
    ),
    (
        "third",
        on_update(lambda u, x, g, t, *_: x + (t <= 3) * u),
        "left out",
        "1 to 3;",
    ),
    (
        "odd",
        on_update(lambda u, x, g, t, *_: x + (t % 2) * u),
        "left out",
        "1, 3, 5, ...; m and v gather every",
    ),
    (
        "every third",
        on_update(lambda u, x, g, t, *_: x + (t % 3 == 0) * u),
        "left out",
        "3, 6, 9",
    ),
    ("mean of 4", accumulating(4, 0.25), "left out", "accumulated, and each step has"),
    ("sum of 2", accumulating(2, 1.0), "left out", "the sum of 2"),
    ("constant", on_update(lambda u, x, *_: x - 0.01), "independent", "-0.01"),
    (
        "constant lr",
        on_update(lambda u, x, g, t, m, lr: x - lr),
        "independent",
        "lr * -1 at",
    ),
    ("plus", on_update(lambda u, x, *_: x + u + 0.01), "constant added", "0.01"),
    (
        "plus lr",
        on_update(lambda u, x, g, t, m, lr: x + u + 0.2 * lr),
        "constant added",
        "lr * 0.2 is added",
    ),
    ("half", on_update(lambda u, x, *_: x + u / 2), "every step scaled", "0.5 times"),
    (
        "warm-up",
        on_update(lambda u, x, g, t, *_: x + u * min(1, t / 10)),
        "factor that changes with t",
        "0.1, 0.2, 0.3",
    ),
    (
        "clipped at lr",
        on_update(lambda u, x, g, t, m, lr: x + np.clip(u, -lr, lr)),
        "update clipped",
        "no entry moves farther than 1 * lr",
    ),
    (
        "clipped",
        on_update(lambda u, x, *_: x + np.clip(u, -0.03, 0.03)),
        "update clipped",
        "no entry moves farther than 0.03",
    ),
    (
        "clipped norm",
        on_update(lambda u, x, g, t, m, lr: x + u * min(1, lr / size(u))),
        "update clipped",
        "the norm of a tensor's update is at most 1 * lr",
    ),
    (
        "clipped rms",
        on_update(lambda u, x, g, t, m, lr: x + u / max(1, rms(u / lr))),
        "update clipped",
        "the root mean square of a tensor's update is at most 1 * lr",
    ),
    (
        "normalized",
        on_update(lambda u, x, g, t, m, lr: x + u / size(u) * lr),
        "update normalized",
        "norm of a tensor's update is always 1 * lr",
    ),
    (
        "LAMB",
        on_update(lambda u, x, g, t, m, lr: x + u / size(u) * lr * size(x)),
        "trust ratio",
        "by the norm of theta divided",
    ),
    (
        "LAMB, limited",
        on_update(
            lambda u, x, g, t, m, lr: x + u * min(10, lr * size(x) / size(u)),
        ),
        "trust ratio",
        "at most 10",
    ),
    (
        "LARS",
        on_update(lambda u, x, g, t, m, lr: x + u * 0.02 * lr * size(x) / size(u)),
        "trust ratio",
        "0.02 times the norm",
    ),
    (
        "box",
        on_update(lambda u, x, *_: np.clip(x + u, -1, 1)),
        "parameters clipped",
        "no entry of theta is larger than 1 ",
    ),
    (
        "ball",
        on_update(lambda u, x, *_: (x + u) * min(1, 1 / size(x + u))),
        "parameters clipped",
        "the norm of theta is at most 1 ",
    ),
    (
        "shrinks",
        on_update(lambda u, x, g, t, m, lr: x + u - lr * 0.01 * x),
        "decay that nobody",
        "lr * 0.01 of theta",
    ),
    ("own theta", on_update(own_theta), "theta of its own", "ignores the theta"),
    ("averaged", on_update(averaged), "averaged parameters", "rate 0.9"),
    ("averaged later", on_update(averaged_later), "averaged parameters", "rate 0.8"),
    ("lookahead", lookahead(5, 0.5), "slow parameters", "every 5 steps"),
    ("lookahead 6", lookahead(6, 0.8), "slow parameters", "0.8 of the way"),
    (
        "gradient clipped",
        on_gradient(lambda g, _: np.clip(g, -1, 1)),
        "gradient clipped",
        "at 1, entry by entry",
    ),
    (
        "gradient norm",
        on_gradient(lambda g, _: g * min(1, 1 / size(g))),
        "gradient clipped",
        "to the norm 1 where",
    ),
    (
        "gradient rms",
        on_gradient(lambda g, _: g * min(1, 0.5 / (rms(g) or 1))),
        "gradient clipped",
        "root mean square 0.5 where",
    ),
    (
        "gradient normalized",
        on_gradient(lambda g, _: g / size(g)),
        "gradient normalized",
        "to the norm 1",
    ),
    (
        "gradient sign",
        on_gradient(lambda g, _: np.sign(g)),
        "sign of the gradient",
        "times 1",
    ),
    ("scaled", on_gradient(lambda g, _: g / 8), "gradient scaled", "by 0.125"),
    (
        "centred",
        on_gradient(lambda g, _: g - g.mean()),
        "gradient centred",
        "mean of the gradient",
    ),
    (
        "penalty",
        on_gradient(lambda g, x: g + 0.01 * x),
        "penalty that nobody",
        "0.01 * theta",
    ),
]


@pytest.mark.parametrize(
    ("make", "name", "seen"),
    [row[1:] for row in PROGRAMS],
    ids=[p[0] for p in PROGRAMS],
)
def test_what_was_added_is_named_and_nothing_else(
    make: Make, name: str, seen: str
) -> None:
    report = check_optimizer(make)
    assert only_finding(report, name, seen).kind == "difference"
    assert report.verdict == "1 difference; otherwise it agrees with Algorithm 1"


def test_threshold_that_is_not_the_same_in_all_runs_is_no_clipping() -> None:
    # The limit grows with t, as nothing known does.
    make = on_update(
        lambda u, x, g, t, m, lr: x + np.clip(u, -lr * t / 30, lr * t / 30)
    )
    report = check_optimizer(make)
    assert names(report) == ["not a known mistake"]


def test_steps_too_short_to_compare_are_called_scaled_and_not_clipped() -> None:
    # Both fit: all moves are below the tolerance. The simplest is tried first.
    report = check_optimizer(
        lambda lr, beta1, beta2, eps: lambda theta, g: theta - 1e-12 * lr * g,
        rule="gradient descent",
    )
    assert names(report) == ["every step scaled"]
