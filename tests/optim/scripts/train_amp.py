"""Train a small convolutional network on the handwritten digits of scikit-learn.

bfloat16 autocast, accumulated and clipped gradients, no decay of biases and norms, a
one-cycle schedule, an average of the weights, and a stop half-way: the run resumes from
its checkpoint.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 4
BATCH = 50
ACCUMULATE = 2
TRAINED = 1500


def load_data() -> tuple[TensorDataset, TensorDataset]:
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    y = torch.tensor(digits.target, dtype=torch.long)
    return TensorDataset(x[:TRAINED], y[:TRAINED]), TensorDataset(
        x[TRAINED:], y[TRAINED:]
    )


def new_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


class Run:
    """All that changes during training, and goes into a checkpoint."""

    def __init__(self) -> None:
        self.model = new_model()
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        no_decay = [p for p in self.model.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decay, "weight_decay": 0.05},
            {"params": no_decay, "weight_decay": 0.0},
        ]
        self.optimizer = AdamW(groups, lr=4e-3, betas=(0.9, 0.99), fused=True)
        steps = EPOCHS * TRAINED // (BATCH * ACCUMULATE)
        self.schedule = OneCycleLR(self.optimizer, max_lr=4e-3, total_steps=steps)
        self.average = AveragedModel(
            self.model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True
        )
        self.step = 0

    def parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "average": self.average,
        }

    def save(self, file: Path) -> None:
        states = {name: part.state_dict() for name, part in self.parts().items()}
        torch.save({**states, "step": self.step, "random": torch.get_rng_state()}, file)

    def load(self, file: Path) -> None:
        saved = torch.load(file, weights_only=True)
        for name, part in self.parts().items():
            part.load_state_dict(saved[name])
        self.step = saved["step"]
        torch.set_rng_state(saved["random"])


def train_epoch(run: Run, data: TensorDataset) -> None:
    run.model.train()
    total = 0.0
    for count, (x, y) in enumerate(DataLoader(data, BATCH, shuffle=True), start=1):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(run.model(x), y) / ACCUMULATE
        loss.backward()
        total += loss.item()
        if count % ACCUMULATE == 0:
            norm = nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
            lr = run.schedule.get_last_lr()[0]
            run.optimizer.step()
            run.optimizer.zero_grad(set_to_none=True)
            run.schedule.step()
            run.average.update_parameters(run.model)
            run.step += 1
            print(f"step {run.step:3d}  loss {total:.6f}  norm {norm:.4f}  lr {lr:.6f}")
            total = 0.0


@torch.no_grad()
def accuracy(model: nn.Module, data: TensorDataset) -> float:
    model.eval()
    x, y = data.tensors
    right: Tensor = model(x).argmax(dim=1) == y
    return right.float().mean().item()


def main() -> None:
    torch.manual_seed(0)
    train, test = load_data()
    run = Run()
    for _ in range(EPOCHS // 2):
        train_epoch(run, train)
    with tempfile.TemporaryDirectory() as folder:
        run.save(Path(folder) / "checkpoint.pt")
        run = Run()
        run.load(Path(folder) / "checkpoint.pt")
    for _ in range(EPOCHS - EPOCHS // 2):
        train_epoch(run, train)
    print(f"accuracy {accuracy(run.model, test):.4f}")
    print(f"accuracy of the averaged weights {accuracy(run.average, test):.4f}")


if __name__ == "__main__":
    main()
