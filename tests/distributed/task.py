"""What every process trains: a small model, its batches, its optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from adam_tutorial import optim

RULES: list[str] = list(optim.__all__)
PROCESSES = 2
ROWS = 8
STEPS = 8
HALFWAY = 4
SPOILED = 3

# Without events of CPU streams, as in torch 2.6, fully_shard needs a GPU.
FULLY_SHARD_RUNS_ON_CPU = hasattr(torch.cpu.Stream, "record_event")


def new_model(seed: int = 0) -> nn.Sequential:
    """A model whose tensors do not divide evenly among two processes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1)
    ).double()


def new_optimizer(rule: Any, model: nn.Module, **settings: Any) -> Any:
    return rule(**in_groups(model), **settings)


def in_groups(model: nn.Module) -> dict[str, Any]:
    """Weights decay, biases do not."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    return {"params": [{"params": weights, "weight_decay": 0.1}, {"params": biases}]}


def batch(step: int, *, spoiled: bool = False) -> tuple[Tensor, Tensor]:
    """The rows of one step; if spoiled, one of the last process is NaN."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(ROWS, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(ROWS, 1, generator=generator, dtype=torch.float64)
    if spoiled:
        x[-1, 0] = torch.nan
    return x, y


def train(
    model: nn.Module,
    optimizer: Any,
    steps: Iterable[int] = range(STEPS),
    *,
    rank: int | None = None,
    spoiled: int | None = None,
) -> None:
    """Train on the whole batch of each step, or on the part of one process."""
    share = ROWS // PROCESSES
    rows = slice(None) if rank is None else slice(rank * share, (rank + 1) * share)
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = 0.02 / (1 + step)
        x, y = batch(step, spoiled=step == spoiled)
        optimizer.zero_grad()
        (model(x[rows]) - y[rows]).square().mean().backward()
        optimizer.step()
