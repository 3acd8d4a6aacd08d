"""The lines of ``plain_adam``, which the tests edit into mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adam_tutorial.checking import Report

Change = tuple[str, str]
Make = Callable[..., Any]

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


def without_decay(make: Make) -> Make:
    return lambda lr, beta1, beta2, eps: make(lr, beta1, beta2, eps)
