"""What every process trains: a small model, its batches, its optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tests.optimizers import ADAM, CHOICES, SMALL, Case, cases, is_optimizer

REPLICATED = cases(is_optimizer, backends=tuple(CHOICES))
# A sum over a tensor is not the sum over a shard of it.
SHARDED = cases(is_optimizer, lambda case: case.elementwise)
RESUMED = [case for case in SHARDED if case.backend == "plain"]
RESUMED_FROM_TORCH = [case for case in RESUMED if case.torch is not None]
# Their numbers are rounded by their place in a shard, and not as one process does.
IN_FEWER_BITS = [ADAM.on(form) for form in SMALL]

SHAPES = ((3, 5), (5, 3), (3, 1))
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
    layers = [nn.Linear(*shape, dtype=torch.float64) for shape in SHAPES]
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


def digits_of(case: Case) -> float:
    """Return how far a run may be from PyTorch's: its NAdam has a number in float32."""
    return 1e-6 if case.numbers else 1e-12


def new_optimizer(make: Any, model: nn.Module, **settings: Any) -> Any:
    return make(**in_groups(model), **settings)


def in_groups(model: nn.Module) -> dict[str, Any]:
    """Let the weights decay, and not the biases."""
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
