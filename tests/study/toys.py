"""Examples in the plane, and a small network for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial.study.training import Examples, History, fit


def examples(count: int = 23) -> Examples:
    """Return points of three classes; the third input is the number of the point."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    labels = (points[:, 0] > 0).long() + (points[:, 1] > 0).long()
    return (
        torch.cat([points, torch.arange(float(count)).unsqueeze(1) / count], dim=1),
        labels,
    )


def new_model(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(3, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3)
    )


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def fit_toy(
    model: nn.Module, optimizer: Optimizer, train: Examples | None = None, **more: Any
) -> History:
    """Fit for an epoch of four batches, unless said otherwise."""
    usual = {"epochs": 1, "batch_size": 5, "seed": 0}
    return fit(model, optimizer, train or examples(), **(usual | more))
