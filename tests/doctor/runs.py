"""Short training runs on the data of the chapters, watched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from adam_tutorial.doctor import Doctor, Report, watch
from adam_tutorial.study.experiments import hyperparameters, images
from adam_tutorial.study.experiments.comparison import Task
from adam_tutorial.study.models import DenseNet, ImageCNN

Make = Callable[..., Optimizer]


@functools.cache
def tasks() -> dict[str, Task]:
    """The digits for a dense network and a CNN, and the reviews, in float32."""
    dense = next(task for task in images.tasks() if task.name == "dense")
    small = {task.name: task for task in hyperparameters.tasks()}
    return {"dense": dense, **small}


def new_model(name: str, seed: int = 0) -> nn.Module:
    task = tasks()[name]  # draws random numbers, when it is first called
    torch.manual_seed(seed)
    return task.model()


def batches(name: str, steps: int, seed: int = 0, size: int = 50) -> Any:
    """Yield batches of a task's training examples, epoch after epoch."""
    inputs, labels = tasks()[name].examples["train"]
    generator = torch.Generator().manual_seed(seed)
    while steps > 0:
        for rows in torch.randperm(len(labels), generator=generator).split(size)[:-1]:
            if steps > 0:
                yield inputs[rows], labels[rows]
                steps -= 1


@dataclass
class Loop:
    """A plain training loop; every part of it can be replaced.

    ``loss`` is computed from logits and labels; ``between`` is called between the
    backward pass and the step, ``after`` behind the step.
    """

    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    between: Callable[[nn.Module, int], None] = lambda _model, _step: None
    after: Callable[[int], None] = lambda _step: None
    scheduler: Any = None
    scaler: Any = None

    def run(
        self, model: nn.Module, optimizer: Optimizer, name: str, steps: int, **more: Any
    ) -> None:
        kind = next(p.dtype for p in model.parameters() if p.is_floating_point())
        for step, (inputs, labels) in enumerate(batches(name, steps, **more), start=1):
            optimizer.zero_grad()
            x = inputs.to(kind) if inputs.is_floating_point() else inputs
            loss = self.loss(model(x), labels)
            if self.scaler is None:
                loss.backward()
                self.between(model, step)
                optimizer.step()
            else:
                self.scaler.scale(loss).backward()
                self.between(model, step)
                self.scaler.step(optimizer)
                self.scaler.update()
            if self.scheduler is not None:
                self.scheduler.step()
            self.after(step)


def watched(
    name: str,
    make: Make,
    steps: int = 60,
    *,
    loop: Loop | None = None,
    model: nn.Module | None = None,
    prepare: Callable[[nn.Module], object] = lambda _model: None,
    named: bool = True,
    **asked: Any,
) -> Report:
    """Train, and return what the doctor says."""
    model = new_model(name) if model is None else model
    prepare(model)
    optimizer = make(model.parameters())
    with watch(optimizer, model if named else None, **asked) as doctor:
        (loop or Loop()).run(model, optimizer, name, steps)
    return doctor.report()


def found(report: Report) -> list[str]:
    return [finding.name for finding in report.findings]


def follow(
    gradient: Callable[[Any], Any], start: Any, make: Make, steps: int
) -> Report:
    """Descend a function of the plane."""
    theta = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = make([theta])
    doctor = watch(optimizer)
    for _ in range(steps):
        theta.grad = torch.from_numpy(np.asarray(gradient(theta.detach().numpy())))
        optimizer.step()
    doctor.close()
    return doctor.report()


__all__ = [
    "DenseNet",
    "Doctor",
    "ImageCNN",
    "Loop",
    "batches",
    "follow",
    "found",
    "new_model",
    "tasks",
    "watched",
]
