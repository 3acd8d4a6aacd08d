"""The callbacks on the page of checkpoints, as they stand there, in real trainers."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from adam_tutorial import checkpoint
from adam_tutorial.optim import AdamW

PAGE = Path(__file__).parents[2] / "book/reference/api/package/checkpoints.md"
STEPS, STOP, EVERY = 25, 17, 3


def callback(library: Any, heading: str) -> Any:
    """Return the class that stands under a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    names = {
        "contextlib": contextlib,
        "checkpoint": checkpoint,
        library.__name__: library,
    }
    exec(found.group(1), names)  # noqa: S102
    return names["Checkpoints"]


def batches_of(data: Any) -> tuple[checkpoint.ShuffledBatches, DataLoader[Any]]:
    sampler = checkpoint.ShuffledBatches(data, 4, seed=3)
    loader = DataLoader(data, batch_sampler=sampler, generator=torch.Generator())
    return sampler, loader


def examples() -> list[tuple[Tensor, int]]:
    inputs = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    return [(row, int(row[:3].argmax())) for row in inputs]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(), nn.Linear(16, 3))


def lightning_run(folder: Path, stop: int) -> list[float]:
    """Train to a step and return the losses from each step of this call."""
    lightning = pytest.importorskip("lightning")
    sampler, loader = batches_of(examples())
    losses: list[float] = []

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = network()

        def training_step(self, batch: Any, _: int) -> Tensor:
            loss = functional.cross_entropy(self.model(batch[0]), batch[1])
            losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = AdamW(self.parameters(), lr=1e-2)
            schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
            each = {"scheduler": schedule, "interval": "step"}
            return {"optimizer": optimizer, "lr_scheduler": each}

    trainer = lightning.Trainer(
        max_steps=stop,
        callbacks=[callback(lightning, "Lightning")(folder, sampler, EVERY)],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
    )
    trainer.fit(Module(), loader)
    return losses


def transformers_run(folder: Path, stop: int) -> list[float]:
    """Train to a step and return the losses from each step of this call."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    data = [{"inputs": row, "labels": label} for row, label in examples()]
    sampler, loader = batches_of(data)
    losses: list[float] = []

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network()
            self.config = SimpleNamespace(to_dict=dict)

        def forward(self, inputs: Tensor, labels: Tensor) -> Any:
            loss = functional.cross_entropy(self.model(inputs), labels)
            losses.append(loss.item())
            return {"loss": loss}

    class Stop(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_end(self, _: Any, state: Any, control: Any, **_more: Any) -> None:
            control.should_training_stop = state.global_step >= stop

    class Trainer(transformers.Trainer):  # type: ignore[misc, name-defined]
        def get_train_dataloader(self) -> Any:
            return self.accelerator.prepare(loader)

    trainer = Trainer(
        model=Model(),
        args=transformers.TrainingArguments(
            output_dir=str(folder / "of the trainer"),
            max_steps=STEPS,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            lr_scheduler_type="linear",
        ),
        train_dataset=data,
        optimizer_cls_and_kwargs=(AdamW, {"lr": 1e-2}),
        callbacks=[
            callback(transformers, "The Trainer")(folder, sampler, EVERY),
            Stop(),
        ],
    )
    trainer.train()
    return losses


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("run", [lightning_run, transformers_run])
def test_a_trainer_resumes_in_the_middle_of_an_epoch_to_the_last_bit(
    run: Any, tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole", STEPS)
    assert len(whole) == STEPS
    first = run(tmp_path / "run", STOP)
    assert first == whole[:STOP]
    torch.manual_seed(99)
    saved = STOP // EVERY * EVERY
    assert run(tmp_path / "run", STEPS) == whole[saved:]
