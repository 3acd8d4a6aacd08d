"""The steps without a framework: lists, textbook NumPy, NumPy in place, in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch.nn import Parameter

from adam_tutorial._types import Array
from adam_tutorial.reference import AdamState, adam, adam_blocked
from adam_tutorial.theory import bias_correction

__all__ = ["blocked", "in_place", "loop", "textbook"]

Step = Callable[[], None]


def _arrays(parameters: list[Parameter]) -> list[tuple[Array, Array]]:
    """Return parameters and gradients as arrays, in the memory of the tensors."""
    return [
        (p.detach().numpy(), p.grad.numpy()) for p in parameters if p.grad is not None
    ]


def loop(parameters: list[Parameter]) -> Step:
    """Return a step that a Python loop takes, element by element."""
    beta1, beta2, lr, eps = 0.9, 0.999, 1e-3, 1e-8
    theta = [x for p, _ in _arrays(parameters) for x in p.reshape(-1).tolist()]
    gradient = [x for _, g in _arrays(parameters) for x in g.reshape(-1).tolist()]
    m, v = [0.0] * len(theta), [0.0] * len(theta)
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        of_m, of_v = bias_correction(beta1, t), bias_correction(beta2, t)
        for i, g in enumerate(gradient):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            theta[i] -= lr * (m[i] / of_m) / (math.sqrt(v[i] / of_v) + eps)

    return step


def textbook(parameters: list[Parameter]) -> Step:
    """Return a step by the rule of the reference, which makes a new array each time."""
    thetas, gradients = zip(*_arrays(parameters), strict=True)
    held: list[Any] = [(theta, None) for theta in thetas]

    def step() -> None:
        for i, g in enumerate(gradients):
            theta, state = held[i]
            state, update = adam(state, g)
            held[i] = theta + update, state

    return step


def in_place(parameters: list[Parameter]) -> Step:
    """Return a step in place that goes through each whole array twelve times."""
    return blocked(parameters, block=max(p.numel() for p in parameters))


def blocked(parameters: list[Parameter], **settings: int) -> Step:
    """Return a step in place, block by block."""
    arrays = _arrays(parameters)
    states: list[AdamState | None] = [None] * len(arrays)

    def step() -> None:
        for i, (theta, g) in enumerate(arrays):
            states[i] = adam_blocked(theta, g, states[i], **settings)

    return step
