"""Adam with moments in fewer bits: a CNN on digits and a CNN on words, ten seeds each.

All states start from the same weights and see the same batches in the same order, seed
by seed, so two of them are compared by the differences between their runs. The settings
are Adam's defaults. The network is trained on training and validation examples together
and evaluated once on the test examples.

Beside what the optimizers offer stand two states that are rounded to the nearest level
instead of at random. They show what goes wrong then.

Training is in float32, as it is when memory matters. Another machine gets the same
first digits of the first steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from adam_tutorial.optim import Adam
from adam_tutorial.optim.low_precision import (
    BLOCK,
    code_of,
    decoded,
    encode,
    scale_of,
)
from adam_tutorial.study.experiments import images, text
from adam_tutorial.study.experiments.comparison import FIRST_STEPS, Task, by_name
from adam_tutorial.study.experiments.records import Row, part_of, scores
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.training import History, evaluate, fit

__all__ = ["tasks", "train"]

SEEDS = range(10)
TASKS = ("cnn", "textcnn")

# What the optimizer is asked for, and the format to whose nearest level its moments are
# rounded after each step.
STATES: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    "float32": (torch.float32, None),
    "bfloat16": (torch.bfloat16, None),
    "8 bits": (torch.uint8, None),
    "bfloat16, to the nearest": (torch.float32, torch.bfloat16),
    "8 bits, to the nearest": (torch.float32, torch.uint8),
}

MOMENTS = (("exp_avg", True), ("exp_avg_sq", False))


def tasks() -> list[Task]:
    """Return the two tasks, with tensors of torch's default type."""
    return [task for task in (*images.tasks(), *text.tasks()) if task.name in TASKS]


def nearest(value: Tensor, dtype: torch.dtype, *, signed: bool) -> Tensor:
    """Return numbers, each as the nearest level of a format of the state.

    Parameters
    ----------
    value : Tensor of float32
        What to round.
    dtype : {torch.bfloat16, torch.uint8}
        The format.
    signed : bool
        Whether the 8-bit format is that of averages of gradients.
    """
    if dtype == torch.bfloat16:
        return value.bfloat16().float()
    stored = {
        code_of("value"): torch.empty_like(value, dtype=dtype),
        scale_of("value"): torch.empty(-(-value.numel() // BLOCK)),
    }
    encode(stored, "value", value, None, signed=signed)
    return decoded(stored, "value", torch.float32, signed=signed)


def round_after_each_step(optimizer: Optimizer, dtype: torch.dtype) -> None:
    """Let an optimizer with a float32 state keep it in a coarser format."""

    def hook(*_: Any) -> None:
        for entry in optimizer.state.values():
            for name, signed in MOMENTS:
                entry[name].copy_(nearest(entry[name], dtype, signed=signed))

    optimizer.register_step_post_hook(hook)


def train(
    task: Task, state: str, seed: int, *, max_steps: int | None = None
) -> tuple[torch.nn.Module, History]:
    """Train one model.

    Parameters
    ----------
    task : Task
        What to train.
    state : str
        A name in ``STATES``.
    seed : int
        Of the weights, the order of the examples and dropout.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    inputs, labels = task.together(("train", "validation"))
    torch.manual_seed(seed)
    model = task.model()
    dtype, rounded_to = STATES[state]
    optimizer = Adam(model.parameters(), state_dtype=dtype)
    optimizer.rounding_seed = seed
    if rounded_to is not None:
        round_after_each_step(optimizer, rounded_to)
    history = fit(
        model,
        optimizer,
        (inputs, labels),
        epochs=task.epochs,
        batch_size=task.batch_size,
        seed=seed,
        transform=task.transform,
        max_steps=max_steps,
        progress=False,
    )
    return model, history


def _plan(_: Rows) -> list[Settings]:
    return [
        {"task": task, "state": state, "seed": seed}
        for task in TASKS
        for seed in SEEDS
        for state in STATES
    ]


_named = by_name(tasks)


def _run(_: str, settings: Settings) -> Row:
    task = _named()[settings["task"]]
    model, history = train(task, settings["state"], settings["seed"])
    return {
        **settings,
        "train_loss": history.train_losses[-1],
        **scores("test", evaluate(model, task.examples["test"])),
        "first_step_losses": history.step_losses[:FIRST_STEPS],
    }


def _results(rows: Rows) -> dict[str, Any]:
    return {
        name: {
            "epochs": task.epochs,
            "batch_size": task.batch_size,
            "runs": part_of(rows["runs"], task=name),
        }
        for name, task in _named().items()
    }


STUDY = Study(
    "adam_tutorial.study.experiments.state_dtypes",
    {"runs": _plan},
    _run,
    _results,
    dtype="float32",
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
