"""The programs on the page *Use it in*, which shows their files."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from adam_tutorial.optim import AdamW

# They warn of each other's releases.
pytestmark = pytest.mark.filterwarnings("ignore")


def examples() -> list[tuple[Tensor, int]]:
    inputs = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    return [(row, int(row[:3].argmax())) for row in inputs]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 3))


def loss_of(model: nn.Module) -> float:
    inputs, labels = zip(*examples(), strict=True)
    with torch.no_grad():
        found = functional.cross_entropy(
            model(torch.stack(inputs)), torch.tensor(labels)
        )
    return found.item()


class ForTheTrainer(nn.Module):
    """A model as the Trainer wants it: it returns its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.model = network()
        self.config = SimpleNamespace(to_dict=dict)

    def forward(self, inputs: Tensor, labels: Tensor) -> Any:
        return {"loss": functional.cross_entropy(self.model(inputs), labels)}


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("accelerate")
    found = pytest.importorskip("transformers")
    # The loss falls on any device; here it is compared on the CPU.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return found


def snippet(name: str) -> Any:
    return importlib.import_module(f"tests.clients.snippets.{name}")


@pytest.mark.usefixtures("transformers")
def test_the_trainer_trains_with_the_class_and_with_its_own_schedule_and_groups(
    tmp_path: Path,
) -> None:
    data = [{"inputs": row, "labels": label} for row, label in examples()]
    model = ForTheTrainer()
    before = loss_of(model.model)
    trainer = snippet("trainer").train(model, data, str(tmp_path))
    assert loss_of(model.model.cpu()) < 0.9 * before
    optimizer = trainer.optimizer.optimizer
    assert type(optimizer) is AdamW
    assert {group["initial_lr"] for group in optimizer.param_groups} == {1e-3}
    assert max(group["lr"] for group in optimizer.param_groups) < 1e-5
    decayed, others = (group for group in optimizer.param_groups)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim == 2 for p in decayed["params"])
    assert all(p.ndim == 1 for p in others["params"])
    assert trainer.args.get_warmup_steps(40) == 4


def test_the_trainer_does_not_read_its_learning_rate_for_a_class_of_your_own(
    transformers: Any, tmp_path: Path
) -> None:
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), learning_rate=0.5, adam_beta1=0.5
    )
    for settings, rate in (({"lr": 2e-3}, 2e-3), ({}, 1e-3)):
        trainer = transformers.Trainer(
            ForTheTrainer(), arguments, optimizer_cls_and_kwargs=(AdamW, settings)
        )
        groups = trainer.create_optimizer().param_groups
        assert {group["lr"] for group in groups} == {rate}
        assert {group["betas"] for group in groups} == {(0.9, 0.999)}


def test_lightning_trains_with_the_class_and_moves_the_schedule_in_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lightning = pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    model = network()
    before = loss_of(model)
    loader: DataLoader[Any] = DataLoader(cast(Any, examples()), 8)
    rates: list[float] = []
    program = snippet("lightning_module")

    class Watched(program.Classifier):  # type: ignore[misc, name-defined]
        def on_train_batch_start(self, *_: Any) -> None:
            rates.append(self.optimizers().param_groups[0]["lr"])

    monkeypatch.setattr(program, "Classifier", Watched)
    trainer = program.train(model, loader)
    assert isinstance(trainer, lightning.Trainer)
    assert loss_of(model.cpu()) < 0.9 * before
    assert type(trainer.optimizers[0]) is AdamW
    assert trainer.gradient_clip_val == 1.0
    # Forty steps: up for a tenth of them, then down.
    assert len(rates) == 40
    assert 2 <= rates.index(max(rates)) <= 4
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-5
