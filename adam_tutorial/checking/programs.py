"""Programs in NumPy that the checker takes, and the adapter for pure functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adam_tutorial._types import Array

__all__ = [
    "SETTINGS",
    "FunctionProgram",
    "RuleProgram",
    "Start",
    "Step",
    "from_rule",
    "plain_adam",
]

# A program may be typed for one precision.
Step = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any] | None]
# Takes settings by name, returns a step.
Start = Callable[..., Step]
SETTINGS = ("lr", "beta1", "beta2", "eps")

# What rules with fewer settings call them.
NAMES = {
    "lr": ("lr",),
    "beta1": ("beta1", "beta"),
    "beta2": ("beta2", "rho"),
    "eps": ("eps", "eps_hat"),
    "weight_decay": ("weight_decay",),
}


def plain_adam(
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0
) -> Step:
    """Adam as a function that makes a step: the simplest program to check.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As for :func:`adam_tutorial.reference.adam`.
    weight_decay : float
        Each step multiplies the parameters by ``1 - lr * weight_decay``.

    Returns
    -------
    function
        Takes ``(theta, gradient)``, returns the new ``theta``.

    Examples
    --------
    >>> step = plain_adam(lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8)
    >>> step(np.array([1.0, 2.0]), np.array([5.0, -0.001])).round(4).tolist()
    [0.9, 2.1]
    """
    t, m, v = 0, np.zeros(()), np.zeros(())

    def step(theta: Array, gradient: Array) -> Array:
        nonlocal t, m, v
        t = t + 1
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - lr * weight_decay * theta
        return theta - lr * m_hat / (np.sqrt(v_hat) + eps)

    return step


class FunctionProgram:
    """A function ``make`` with the settings it takes; see ``check_optimizer``.

    Raises
    ------
    TypeError
        It lacks a setting, or returns nothing that can be stepped.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        parameters = inspect.signature(make).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        missing = [name for name in SETTINGS if name not in parameters]
        if missing and not takes_all:
            raise TypeError(
                "make must take lr, beta1, beta2 and eps by name; it has no"
                f" {', '.join(missing)}"
            )
        self.make = make
        self.takes = {*SETTINGS, *({"weight_decay"} & set(parameters))}

    def __call__(self, **settings: float) -> Step:
        """Return a new step, or the method ``step`` or ``update`` of a new object."""
        made = self.make(**settings)
        for step in (
            made,
            getattr(made, "step", None),
            getattr(made, "update", None),
        ):
            if callable(step):
                found: Step = step
                return found
        raise TypeError(
            "make must return a function step(theta, gradient); it returned"
            f" {'None: a return is missing' if made is None else repr(made)}"
        )


class RuleProgram:
    """What :func:`from_rule` returns."""

    def __init__(
        self, rule: Callable[..., tuple[Any, Array]], fixed: dict[str, Any]
    ) -> None:
        self.rule, self.fixed = rule, fixed
        parameters = inspect.signature(rule).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self.needs_theta = "theta" in parameters
        self.called = {
            setting: next(iter(found))
            for setting, names in NAMES.items()
            if (found := [name for name in names if name in parameters])
            # Adafactor has two of them, and they are no number to set.
            and not isinstance(parameters[found[0]].default, tuple)
        }
        if takes_all:
            self.called = {name: name for name in SETTINGS} | self.called
        self.takes = set(self.called)

    def __call__(self, **settings: float) -> Step:
        """Return a step that keeps the state of the rule."""
        known = {
            called: settings[name]
            for name, called in self.called.items()
            if name in settings
        }
        given = {**known, **self.fixed}
        state = None

        def step(theta: Array, gradient: Array) -> Array:
            nonlocal state
            needed = {"theta": theta} if self.needs_theta else {}
            state, update = self.rule(state, gradient, **needed, **given)
            return np.asarray(theta + update)

        return step


def from_rule(rule: Callable[..., tuple[Any, Array]], **fixed: Any) -> RuleProgram:
    """Adapt a pure function ``(state, gradient) -> (state, update)`` to the checker.

    Parameters
    ----------
    rule : function
        Takes ``(state, gradient, *, lr, beta1, beta2, eps)``; ``eps`` may be called
        ``eps_hat``. It is given ``theta`` and ``weight_decay`` if it takes them, and
        keeps its default for a setting that it does not take.
    **fixed
        Other arguments of the rule.

    Returns
    -------
    RuleProgram
        What :func:`~adam_tutorial.checking.check_optimizer` takes.

    Examples
    --------
    >>> from adam_tutorial import reference
    >>> from adam_tutorial.checking import check_optimizer
    >>> check_optimizer(from_rule(reference.adam_efficient)).verdict
    'agrees with the efficient order (eps-hat)'
    """
    return RuleProgram(rule, fixed)
