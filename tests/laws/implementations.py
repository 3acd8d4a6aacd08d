"""Run a rule in one of its implementations, whole or broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from adam_tutorial import reference
from adam_tutorial.reference.rule import takes_theta
from tests.optimizers import CASES, Case, is_optimizer

Array = NDArray[np.float64]
Gradient = Callable[[int, Array], ArrayLike]


@dataclass
class Run:
    """The points, shape (T + 1, d), and m, v and v_max after each step, (T, d)."""

    theta: Array
    m: Array
    v: Array
    v_max: Array
    resume: Any = None

    @property
    def updates(self) -> Array:
        return np.diff(self.theta, axis=0)


def whole(_t: int, u: Array, _theta: Array) -> Array:
    return u


@dataclass(frozen=True)
class Implementation:
    """An implementation of the rules; ``gradient(t, theta)`` has t from 1.

    The last three fields break it: they distort the gradient before the rule sees it,
    the update after it, and the settings. A law that a broken rule still obeys says
    nothing.
    """

    name: str
    distort_gradient: Callable[[int, Array], Array] = lambda _t, g: g
    distort_update: Callable[[int, Array, Array], Array] = whole
    override: Mapping[str, Any] = field(default_factory=dict)

    def run(
        self,
        rule: str,
        gradient: Gradient,
        theta: ArrayLike,
        steps: int,
        *,
        resume: Any = None,
        **settings: Any,
    ) -> Run:
        settings = {**settings, **self.override}
        rule = settings.pop("rule", rule)
        start = np.array(theta, dtype=np.float64)
        # A setting may be a schedule: a function of t.
        schedules = {key: value for key, value in settings.items() if callable(value)}
        stepper: Any
        if self.name == "reference":
            stepper = _Reference(rule)
        else:
            fixed = {k: value for k, value in settings.items() if k not in schedules}
            stepper = _Optim(rule, self.name, start, fixed)
        if resume is not None:
            stepper.load(resume)
        points, history = [start], []
        for t in range(1, steps + 1):
            g = np.broadcast_to(
                np.asarray(gradient(t, points[-1]), dtype=np.float64), start.shape
            )
            now = {key: value(t) for key, value in schedules.items()}
            moved = stepper.step(
                np.asarray(self.distort_gradient(t, g)), points[-1], {**settings, **now}
            )
            if self.distort_update is not whole:
                moved = points[-1] + self.distort_update(
                    t, moved - points[-1], points[-1]
                )
            points.append(np.asarray(moved))
            history.append(stepper.moments())
        m, v, v_max = (np.stack(column) for column in zip(*history, strict=True))
        return Run(np.stack(points), m, v, v_max, stepper.save())

    def follow(self, gradients: ArrayLike, rule: str = "adam", **settings: Any) -> Run:
        """Run from zero along given gradients, shape (T, d) or (T,)."""
        table = np.asarray(gradients, dtype=np.float64)
        start = np.zeros(table.shape[1:])
        return self.run(rule, lambda t, _: table[t - 1], start, len(table), **settings)


def as_three(moments: list[Array | None]) -> tuple[Array, Array, Array]:
    """Return m, v and v_max; the last that a rule has stands for those it lacks."""
    found = [np.asarray(moment) for moment in moments if moment is not None]
    m, v, v_max = (*found, found[-1], found[-1])[:3]
    return m, v, v_max


class _Reference:
    def __init__(self, rule: str) -> None:
        self.rule: Callable[..., Any] = getattr(reference, rule)
        self.takes_theta = takes_theta(self.rule)
        self.state: Any = None

    def step(self, g: Array, theta: Array, settings: Mapping[str, Any]) -> Array:
        extra = {"theta": theta} if self.takes_theta else {}
        self.state, update = self.rule(self.state, g, **extra, **settings)
        return np.asarray(theta + update)

    def moments(self) -> tuple[Array, Array, Array]:
        names = ("m", "v", "u", "v_max")
        return as_three([getattr(self.state, name, None) for name in names])

    def save(self) -> Any:
        return self.state

    def load(self, state: Any) -> None:
        self.state = state


CASE_OF: dict[str, Case] = {
    rule.__name__: case
    for case in CASES
    if is_optimizer(case)
    for rule in (case.rule, case.rule_with_decay)
    if rule is not None
}


class _Optim:
    def __init__(
        self, rule: str, backend: str, start: Array, settings: Mapping[str, Any]
    ) -> None:
        case = CASE_OF[rule].on(backend)
        self.parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
        self.optimizer = case.new([self.parameter], **case.unspelt(settings))
        self.names = list(case.moments_of(start.shape))

    def step(self, g: Array, theta: Array, settings: Mapping[str, Any]) -> Array:
        group = self.optimizer.param_groups[0]
        group.update({key: value for key, value in settings.items() if key in group})
        with torch.no_grad():
            self.parameter.copy_(torch.from_numpy(theta))
        self.parameter.grad = torch.from_numpy(g.copy())
        self.optimizer.step()
        return self.parameter.detach().numpy().copy()

    def moments(self) -> tuple[Array, Array, Array]:
        state = self.optimizer.state[self.parameter]
        return as_three([state[name].numpy().copy() for name in self.names])

    def save(self) -> Any:
        return self.optimizer.state_dict()

    def load(self, state: Any) -> None:
        self.optimizer.load_state_dict(state)


REFERENCE = Implementation("reference")
OPTIM = Implementation("plain")
FOREACH = Implementation("foreach")
