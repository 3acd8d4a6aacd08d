"""Train a small convolutional network on handwritten digits, as a project of somebody else does.

bfloat16 autocast, gradient accumulation, clipping, warm-up and cosine, two parameter groups, and a
checkpoint from which the run is resumed half-way.
"""

from __future__ import annotations

import io
import itertools
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

EPOCHS, BATCH, ACCUMULATE = 6, 32, 2


def new_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )


def new_optimizer(model: nn.Module) -> tuple[torch.optim.Optimizer, SequentialLR]:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05, foreach=True)
    steps = EPOCHS * (1500 // (BATCH * ACCUMULATE))
    schedule = SequentialLR(
        optimizer,
        [LinearLR(optimizer, 0.1, total_iters=10), CosineAnnealingLR(optimizer, steps - 10)],
        milestones=[10],
    )
    return optimizer, schedule


def main() -> tuple[list[float], float]:
    """Return the loss of every step and the accuracy on the digits that were held out."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target)
    model = new_model()
    optimizer, schedule = new_optimizer(model)
    losses = []
    for epoch in range(EPOCHS):
        if epoch == EPOCHS // 2:
            # Stop, and go on from what was saved.
            file = io.BytesIO()
            parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
            torch.save({name: part.state_dict() for name, part in parts.items()}, file)
            file.seek(0)
            saved = torch.load(file, weights_only=True)
            model = new_model()
            optimizer, schedule = new_optimizer(model)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            schedule.load_state_dict(saved["schedule"])
        batches = torch.randperm(1500).split(BATCH)
        for first, second in itertools.pairwise(batches[:-1]):
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for batch in (first, second):
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    logits = model(x[batch])
                loss = nn.functional.cross_entropy(logits.float(), y[batch]) / ACCUMULATE
                loss.backward()
                total += loss.item()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(total)
    model.eval()
    with torch.no_grad():
        accuracy = (model(x[1500:]).argmax(dim=1) == y[1500:]).float().mean().item()
    return losses, accuracy


if __name__ == "__main__":
    _, held_out = main()
    print(f"held-out accuracy {held_out:.3f}")
