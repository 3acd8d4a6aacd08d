"""Run a rule in one of its two implementations, whole or broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from adam_tutorial import optim, reference
from adam_tutorial._types import Array

Gradient = Callable[[int, Array], ArrayLike]


@dataclass
class Run:
    """What happened: points (T + 1, d), updates, m, v (and v_max) after each step, (T, d) each."""

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
    """A rule by its name, followed along a gradient; ``gradient(t, theta)`` with t from 1.

    The three last fields break it: they distort the gradient before the rule sees it,
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
        stepper: Any = STEPPERS[self.name](rule, start, settings)
        if resume is not None:
            stepper.load(resume)
        points, history = [start], []
        for t in range(1, steps + 1):
            g = np.broadcast_to(
                np.asarray(gradient(t, points[-1]), dtype=np.float64), start.shape
            )
            # A setting may be a schedule: a function of t.
            now = {
                key: value(t) if callable(value) else value
                for key, value in settings.items()
            }
            moved = stepper.step(
                np.asarray(self.distort_gradient(t, g)), points[-1], now
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


class _Reference:
    def __init__(self, rule: str, _start: Array, _settings: Mapping[str, Any]) -> None:
        self.rule: Callable[..., Any] = getattr(reference, rule)
        self.takes_theta = rule in ("adamw", "adam_l2", "lion")
        self.state: Any = None

    def step(self, g: Array, theta: Array, settings: Mapping[str, Any]) -> Array:
        extra = {"theta": theta} if self.takes_theta else {}
        self.state, update = self.rule(self.state, g, **extra, **settings)
        return np.asarray(theta + update)

    def moments(self) -> tuple[Array, Array, Array]:
        m = self.state.m
        v = getattr(self.state, "v", getattr(self.state, "u", m))
        return np.asarray(m), np.asarray(v), np.asarray(getattr(self.state, "v_max", v))

    def save(self) -> Any:
        return self.state

    def load(self, state: Any) -> None:
        self.state = state


class _Optim:
    CLASSES: ClassVar[dict[str, Any]] = {
        "adam": optim.Adam,
        "adam_l2": optim.Adam,
        "adamw": optim.AdamW,
        "amsgrad": optim.Adam,
        "adamax": optim.Adamax,
        "nadam": optim.NAdam,
        "radam": optim.RAdam,
        "adabelief": optim.AdaBelief,
        "lion": optim.Lion,
    }

    def __init__(self, rule: str, start: Array, settings: Mapping[str, Any]) -> None:
        self.parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
        given = {key: value for key, value in settings.items() if not callable(value)}
        make = self.CLASSES[rule]
        beta1, beta2 = given.pop("beta1", 0.9), given.pop("beta2", 0.999)
        if rule == "amsgrad":
            given["amsgrad"] = True
        self.optimizer = make([self.parameter], betas=(beta1, beta2), **given)

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
        m = state["exp_avg"]
        names = ("exp_avg_sq", "exp_inf", "exp_avg_var")
        v = next((state[name] for name in names if name in state), m)
        v_max = state.get("max_exp_avg_sq", v)
        return m.numpy().copy(), v.numpy().copy(), v_max.numpy().copy()

    def save(self) -> Any:
        return self.optimizer.state_dict()

    def load(self, state: Any) -> None:
        self.optimizer.load_state_dict(state)


STEPPERS: dict[str, Any] = {"reference": _Reference, "optim": _Optim}
REFERENCE = Implementation("reference")
OPTIM = Implementation("optim")
