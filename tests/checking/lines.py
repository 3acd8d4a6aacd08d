"""The lines of ``plain_adam``, which the tests edit into mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adam_tutorial.checking import Finding, Report, plain_adam

Change = tuple[str, str]
Make = Callable[..., Any]
Array = Any

START = "t, m, v = 0, np.zeros(()), np.zeros(())"
COUNT = "t = t + 1"
GATHER_M, GATHER_V = (
    "beta1 * m + (1 - beta1) * gradient\n",
    "beta2 * v + (1 - beta2) * gradient**2",
)
M_HAT, V_HAT = "m_hat = m / (1 - beta1**t)", "v_hat = v / (1 - beta2**t)"
DECAY = "theta = theta - lr * weight_decay * theta"
RETURN, FRACTION = "return theta - lr * m_hat", "m_hat / (np.sqrt(v_hat) + eps)"
ROOT = "(np.sqrt(v_hat) + eps)"


def names(report: Report) -> list[str]:
    return [finding.name for finding in report.findings]


def only_finding(report: Report, name: str, seen: str) -> Finding:
    """Return the one finding; it must have this in its name and in what was seen."""
    (finding,) = report.findings
    assert name in finding.name
    assert seen in finding.seen
    assert not report.ok
    return finding


def without_decay(make: Make) -> Make:
    return lambda lr, beta1, beta2, eps: make(lr, beta1, beta2, eps)


def on_update(change: Callable[..., Array]) -> Make:
    """Return Adam whose step is ``change(update, theta, gradient, t, memory, lr)``."""

    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        memory: dict[str, Array] = {}
        adam, t = plain_adam(lr, beta1, beta2, eps), 0

        def step(theta: Array, g: Array) -> Array:
            nonlocal t
            t += 1
            update = np.asarray(adam(theta, g)) - theta
            return change(update, theta, g, t, memory, lr)

        return step

    return make
