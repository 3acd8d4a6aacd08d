"""A task small enough to be learned in a moment, and models for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from adam_tutorial.study.experiments.comparison import Task
from adam_tutorial.study.experiments.study import Study, in_order
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.training import Examples


def toy_examples(count: int, seed: int) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return inputs, (inputs[:, 0] > 0).long()


def jitter(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch + 0.1 * torch.randn(
        batch.shape, generator=generator, dtype=batch.dtype
    )


def toy_model() -> nn.Module:
    return nn.Sequential(DenseNet((2, 6, 2)), nn.Dropout(0.1))


class Broken(nn.Module):
    """Trains, and returns NaN when it is evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 2))

    def forward(self, batch: Tensor) -> Tensor:
        return batch @ self.weight * (1.0 if self.training else math.nan)


def toy_task(name: str = "toy") -> Task:
    sizes = {"train": 40, "validation": 20, "test": 30}
    examples = {part: toy_examples(size, size) for part, size in sizes.items()}
    return Task(name, examples, toy_model, jitter, epochs=3, batch_size=7)


def broken_task() -> Task:
    return Task("toy", toy_task().examples, Broken, None, epochs=1, batch_size=10)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def compared(
    study_of: Callable[..., Study], task: Task, **seeds: tuple[int, ...]
) -> dict[str, Any]:
    """Do the study of one task here, and return its results."""
    found: dict[str, dict[str, Any]] = in_order(
        study_of("toy", lambda: [task], {task.name: seeds})
    )
    return found[task.name]
