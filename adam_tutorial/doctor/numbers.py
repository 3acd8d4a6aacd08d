"""The numbers of one parameter at one step.

Everything here is computed where the parameter is, and read at once for all parameters:
each reading waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.doctor.roster import Hyperparameters
from adam_tutorial.optim.low_precision import code_of, decoded, real_numbers

__all__ = ["Before", "before", "measure", "moment", "norms", "read", "sampled"]

LIMIT = 2**18
"""Of a larger parameter, about so many elements are looked at."""

HALF = (torch.float16, torch.bfloat16)
# Elements whose update is less than a hundredth of a learning rate say nothing about
# rounding: an average of gradients that have ended becomes as small as one likes.
ACTIVE = 1e-4


@dataclass
class Before:
    """What must be seen before a step.

    Parameters
    ----------
    weights : Tensor
        A copy, of the elements that are looked at.
    largest, zeros : Tensor or None
        Largest size of an element of the gradient; share of zeros.
    idle : Tensor of bool, shape (rows,), or None
        The rows whose gradient is zero, where rows are looked at.
    """

    weights: Tensor
    largest: Tensor | None = None
    zeros: Tensor | None = None
    idle: Tensor | None = None

    def see(self, gradient: Tensor, *, rows: bool) -> None:
        """Look at the gradient, and row by row if that is wanted."""
        g = sampled(gradient)
        self.largest = g.abs().amax()
        self.zeros = (g == 0).sum(dtype=torch.float32) / g.numel()
        self.idle = (g == 0).all(dim=1) if rows and g.dim() == 2 else None


def before(parameter: Tensor) -> Before:
    """Return a copy of what will be compared after the step."""
    return Before(sampled(parameter.detach()).clone())


def sampled(tensor: Tensor) -> Tensor:
    """Return at most about :data:`LIMIT` real numbers of a tensor, evenly spaced.

    Rows stay whole where there are enough of them.
    """
    numbers = real_numbers(tensor)
    every = -(-numbers.numel() // LIMIT)
    if every <= 1:
        return numbers
    if numbers.dim() > 1 and numbers.shape[0] >= every:
        return numbers[::every]
    return numbers.reshape(-1)[::every]


def norms(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Return the norm of each gradient, on its device.

    Half precision is summed in float32: a norm of 65,520 would be infinite in float16.
    """
    if any(g.dtype in HALF for g in gradients):
        return [
            torch.linalg.vector_norm(
                g, dtype=torch.float32 if g.dtype in HALF else None
            )
            for g in gradients
        ]
    return list(torch._foreach_norm(list(gradients)))


def measure(
    parameter: Tensor,
    was: Before,
    state: Mapping[str, Any],
    group: Hyperparameters,
    *,
    first: bool,
) -> dict[str, Tensor | float]:
    """Return the numbers of a parameter after a step.

    Parameters
    ----------
    parameter : Tensor
    was : Before
        Seen before the step.
    state : mapping
        The parameter's state, after the step.
    group : Hyperparameters
        What the step was taken with.
    first : bool
        Whether to compare the moments with those of a first step.

    Returns
    -------
    dict
        ``t``; root mean squares of the weights, of the update (the decay is not in it)
        and of the whole change; the longest update; how many elements have a v that is
        not 0, a root below eps, an update that should show, and one that does not;
        sums of the squares of m_hat and of v_hat; and what was seen of the gradient.
    """
    old = _widened(was.weights)
    change = _widened(sampled(parameter.detach())) - old
    shrunk = group.lr * group.decay if group.decoupled else 0.0
    update = torch.add(change, old, alpha=shrunk) if shrunk else change
    m, v = moment(state, "exp_avg"), moment(state, "exp_avg_sq")
    name = "max_exp_avg_sq"
    root = moment(state, name) if name in state or code_of(name) in state else v
    t = _number(state["step"])
    c1, c2 = 1 - group.beta1**t, 1 - group.beta2**t
    limit = group.eps**2 * c2
    square = m * m
    alive, above = root > 0, root >= limit
    active = (square > ACTIVE * root) & above
    found: dict[str, Tensor | float] = {
        "t": t,
        "weight": _rms(old),
        "update": _rms(update),
        "change": _rms(change),
        "longest": update.abs().amax(),
        "alive": _count(alive),
        "below": _count(alive & ~above),
        "active": _count(active),
        "still": _count(active & (change == 0)),
        "signal": square.sum() / (c1 * c1),
        "noise": root.sum() / c2,
        "v": v.sum(),
        "size": float(old.numel()),
    }
    if was.largest is not None and was.zeros is not None:
        found |= {"largest": was.largest, "zeros": was.zeros}
    if first:
        # After one step from zero this is m**2 / v, whatever the gradient was.
        start = (1 - group.beta1) ** 2 / (1 - group.beta2) * v
        found["first"] = _count((square > start / 2) & (square < start * 2) & (v > 0))
        found["moved"] = _count(v > 0)
    if was.idle is not None and group.beta1**2 < group.beta2:
        found["drift"] = _drift(old, update, was.idle, group)
    return found


def _drift(old: Tensor, update: Tensor, idle: Tensor, group: Hyperparameters) -> Tensor:
    """Return how far rows without gradient will go, over their own size.

    The steps shrink by one factor from now on, so this is a geometric series. It is the
    largest tenth that counts: those that had their gradient last.
    """
    ratio = group.beta1 / math.sqrt(group.beta2)
    ahead = torch.linalg.vector_norm(update, dim=1) / (1 - ratio)
    size = torch.linalg.vector_norm(old, dim=1)
    moving = idle & (ahead > 0) & (size > 0)
    relative = torch.where(moving, ahead / size, math.nan)
    return torch.nanquantile(relative, 0.9).nan_to_num(0.0)


def read(numbers: Iterable[Tensor | float]) -> list[float]:
    """Return numbers of any device as floats; waits for each device once."""
    items = list(numbers)
    waiting: dict[torch.device, list[int]] = {}
    for place, item in enumerate(items):
        if isinstance(item, Tensor) and item.device.type != "cpu":
            waiting.setdefault(item.device, []).append(place)
    for places in waiting.values():
        tensors = [torch.as_tensor(items[place]).float() for place in places]
        for place, value in zip(places, torch.stack(tensors).tolist(), strict=True):
            items[place] = value
    return [float(item) for item in items]


def moment(state: Mapping[str, Any], name: str) -> Tensor:
    """Return the elements that are looked at of an entry of the state."""
    if code_of(name) in state:
        # The first moments alone have a sign.
        numbers = decoded(state, name, torch.float32, signed=name == "exp_avg")
        return sampled(numbers)
    return _widened(sampled(state[name]))


def _number(step: Any) -> Any:
    on_device = isinstance(step, Tensor) and step.device.type != "cpu"
    return step if on_device else float(step)


def _widened(numbers: Tensor) -> Tensor:
    return numbers.float() if numbers.dtype in HALF else numbers


def _rms(numbers: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(numbers)
    return length / math.sqrt(max(numbers.numel(), 1))


def _count(these: Tensor) -> Tensor:
    return these.sum(dtype=torch.float32)
