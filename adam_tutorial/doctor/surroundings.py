"""What is around an optimizer: its scheduler, and the rest of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from adam_tutorial.doctor.history import Record
from adam_tutorial.doctor.numbers import read, sampled

__all__ = ["look_at_schedule", "look_at_unheld", "steps_of"]


def steps_of(scheduler: Any) -> int | None:
    """Return how often a scheduler was stepped, None where it does not say."""
    inner = getattr(scheduler, "_schedulers", [None])[0]
    count = getattr(scheduler, "last_epoch", getattr(inner, "last_epoch", None))
    return None if count is None else int(count)


def look_at_schedule(record: Record, optimizer: Optimizer, scheduler: Any) -> None:
    """Compare a scheduler's learning rates with those of the groups."""
    theirs = getattr(scheduler, "optimizer", optimizer)
    # A wrapper around the optimizer has its groups.
    if getattr(theirs, "param_groups", None) is not optimizer.param_groups:
        record.foreign_schedule = type(scheduler).__name__
        return
    count = steps_of(scheduler)
    if count is None:
        return
    rates: list[Any] = getattr(scheduler, "get_last_lr", list)()
    ours = tuple(group.lr for group in record.groups)
    record.schedule.add((record.taken, count, tuple(map(float, rates)), ours))


def look_at_unheld(record: Record, parameters: Mapping[str, Tensor]) -> None:
    """See whether someone moves the parameters that the optimizer does not have."""
    for name, parameter in parameters.items():
        if parameter.grad is None:
            continue
        (value,) = read([sampled(parameter.detach()).double().sum()])
        count, first, moved = record.unheld.get(name, (0, value, False))
        record.unheld[name] = (count + 1, first, moved or value != first)
