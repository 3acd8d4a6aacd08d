"""A training run with everything that a checkpoint holds, and what is left of it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from adam_tutorial.checkpoint import ShuffledBatches
from adam_tutorial.checkpoint.encoding import Encoder
from adam_tutorial.optim import AdamW

__all__ = ["Run", "digest_of", "new_run"]


@dataclass
class Run:
    """A small classifier in training, which draws from three generators."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    sampler: ShuffledBatches
    loader: DataLoader[Any]
    step: int = 0

    def parts(self) -> dict[str, Any]:
        """Return what is saved and loaded, by name."""
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "sampler": self.sampler,
        }

    def train(self, steps: int) -> None:
        """Take steps until there were this many in all."""
        while self.step < steps:
            for inputs, labels in self.loader:
                self.update(inputs, labels)
                if self.step == steps:
                    break

    def update(self, inputs: Tensor, labels: Tensor) -> None:
        """Take one step."""
        noise = random.gauss(0, 0.1) + np.random.normal(0, 0.1)  # noqa: NPY002
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.model(inputs + noise), labels)
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.sampler.advance()
        self.step += 1

    def digest(self) -> str:
        """Return a digest of parameters, moments, rates and the place in the data."""
        return digest_of(
            {name: part.state_dict() for name, part in self.parts().items()}
        )


def new_run(seed: int = 0, workers: int = 0, size: int = 40) -> Run:
    """Return a run of 10 batches an epoch before its first step."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    inputs = torch.randn(size, 6, dtype=torch.float64)
    data = TensorDataset(inputs, inputs[:, :3].argmax(dim=1))
    layers = (
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(8, 3),
    )
    model = nn.Sequential(*layers).double()
    # All backends give the same bits; this one is not compiled first.
    optimizer = AdamW(model.parameters(), lr=0.01, fused=False)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=1000)
    sampler = ShuffledBatches(data, 4, seed=seed)
    loader = DataLoader(
        data,
        batch_sampler=sampler,
        num_workers=workers,
        generator=torch.Generator(),
        persistent_workers=False,
    )
    return Run(model, optimizer, scheduler, sampler, loader)


def digest_of(state: Any) -> str:
    """Return a digest of all types, numbers and bits of a state."""
    encoder = Encoder()
    digest = hashlib.sha256(repr(encoder.encode(state, "state")).encode())
    for tensor in encoder.tensors.values():
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
