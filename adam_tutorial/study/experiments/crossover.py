"""At which batch size Adam begins to win: Adam and SGD with momentum, each tuned anew.

Six batch sizes from 8 to 2,048, on the small networks for digits and for reviews. All
runs of a task see the same number of examples, warm up over their first tenth, and then
follow half a cosine. Adam is run twice: with beta2 as it is, and with beta2 changed so
that its half-life in examples is that of 0.999 at the base batch size.

Each optimizer gets nine learning rates at each batch size, and two tuning seeds. The
rate with the lowest mean validation loss is trained with fresh seeds, on training and
validation examples together, and evaluated once on the test examples, example by
example. What is compared is what batches do to optimizers at equal numbers of examples;
large batches take few steps here, and that is part of the question.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Optimizer

from adam_tutorial import optim
from adam_tutorial.study.experiments import hyperparameters
from adam_tutorial.study.experiments.comparison import Task, best_with_seeds
from adam_tutorial.study.experiments.hyperparameters import Setting, schedule_of
from adam_tutorial.study.experiments.records import (
    Row,
    as_digits,
    as_hundredths,
    part_of,
    short,
    shortened,
    two_a_decade,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.training import History, evaluate, fit
from adam_tutorial.theory import rescaled_decay_rate

__all__ = ["optimizer_of", "tasks", "train", "tuning_row"]

SIZES = (8, 32, 128, 512, 1024, 2048)
EPOCHS = {"cnn": 15, "textcnn": 5}
TUNING_SEEDS = (100, 101)
FINAL_SEEDS = (0, 1, 2)
FIRST_STEPS = 5

# At this batch size the half-life of beta2 = 0.999 is what it is in the second Adam.
BASE, BETA2 = 64, 0.999
RATES = {
    "SGD with momentum": two_a_decade(-3, 1),
    "Adam": two_a_decade(-4, 0),
    "Adam, half-life in examples": two_a_decade(-4, 0),
}


@cache
def tasks() -> dict[str, Task]:
    """Return the tasks by name, in torch's default type."""
    return {
        task.name: replace(task, epochs=EPOCHS[task.name])
        for task in hyperparameters.tasks()
    }


def optimizer_of(name: str, model: nn.Module, lr: float, batch_size: int) -> Optimizer:
    """Return an optimizer as the study names it.

    Parameters
    ----------
    name : str
        A key of ``RATES``.
    model : Module
        Whose parameters it gets.
    lr : float
        Learning rate.
    batch_size : int
        On which beta2 depends in one of them.
    """
    if name == "SGD with momentum":
        return SGD(model.parameters(), lr=lr, momentum=0.9)
    beta2 = BETA2
    if name == "Adam, half-life in examples":
        beta2 = rescaled_decay_rate(BETA2, batch_size / BASE)
    return optim.Adam(model.parameters(), lr=lr, betas=(0.9, beta2))


def train(
    task: Task,
    settings: Settings,
    parts: tuple[str, ...],
    *,
    max_steps: int | None = None,
) -> tuple[nn.Module, History]:
    """Train one model.

    Parameters
    ----------
    task : Task
        What to train.
    settings : dict
        "optimizer", "lr", "batch_size" and "seed".
    parts : tuple of str
        Parts of the examples to train on.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    size, seed = settings["batch_size"], settings["seed"]
    inputs, labels = task.together(parts)
    torch.manual_seed(seed)
    model = task.model()
    optimizer = optimizer_of(settings["optimizer"], model, settings["lr"], size)
    total = task.epochs * (len(labels) // size)
    tenth = Setting(settings["lr"], warmup=total // 10)
    history = fit(
        model,
        optimizer,
        (inputs, labels),
        epochs=task.epochs,
        batch_size=size,
        seed=seed,
        transform=task.transform,
        scheduler=schedule_of(optimizer, tenth, total),
        max_steps=max_steps,
        progress=False,
    )
    return model, history


def _tuning(_: Rows) -> list[Settings]:
    return [
        {"task": task, "batch_size": size, "optimizer": name, "lr": lr, "seed": seed}
        for task in EPOCHS
        for size in SIZES
        for name, rates in RATES.items()
        for lr in rates
        for seed in TUNING_SEEDS
    ]


def _final(rows: Rows) -> list[Settings]:
    return best_with_seeds(rows["tuning"], ("task", "batch_size"), FINAL_SEEDS)


def tuning_row(task: Task, settings: Settings) -> Row:
    """Return a run's row with the scores on the validation part."""
    model, _ = train(task, settings, ("train",))
    found = evaluate(model, task.examples["validation"])
    return {
        **settings,
        "validation_loss": short(found.loss),
        "validation_accuracy": round(found.accuracy, 4),
    }


def _run(stage: str, settings: Settings) -> Row:
    task = tasks()[settings["task"]]
    if stage == "tuning":
        return tuning_row(task, settings)
    model, history = train(task, settings, ("train", "validation"))
    found = evaluate(model, task.examples["test"])
    return {
        **settings,
        "test_loss": short(found.loss),
        "test_accuracy": round(found.accuracy, 4),
        "steps": len(history.step_losses),
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "example_losses": as_hundredths(found.losses),
        "predictions": as_digits(found.predictions),
    }


def _results(rows: Rows) -> dict[str, Any]:
    return {
        task: {
            "epochs": epochs,
            "tuning": part_of(rows["tuning"], task=task),
            "final": part_of(rows["final"], task=task),
        }
        for task, epochs in EPOCHS.items()
    }


STUDY = Study(
    "adam_tutorial.study.experiments.crossover",
    {"tuning": _tuning, "final": _final},
    _run,
    _results,
    dtype="float32",
    described={"batch_sizes": SIZES, "base": BASE, "beta2": BETA2, "rates": RATES},
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
