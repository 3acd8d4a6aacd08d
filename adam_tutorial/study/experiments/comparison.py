"""Compare optimizers fairly: one grid of learning rates, equally many runs for each.

The best learning rate of an optimizer is the one with the lowest validation loss,
averaged over the tuning seeds. With it, the optimizer is trained again on training and
validation examples together, with fresh seeds, and evaluated once on the test examples.
A task can ask for the same with more epochs, to see which optimizers catch up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from adam_tutorial import optim
from adam_tutorial.study.experiments.records import (
    Row,
    as_digits,
    best_setting,
    finite,
    matching,
    mean_of,
    part_of,
    scores,
    two_a_decade,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.training import Examples, History, evaluate, fit

__all__ = [
    "Run",
    "Task",
    "best_learning_rates",
    "best_with_seeds",
    "by_name",
    "column",
    "study_of",
    "train",
    "tuning_loss",
]

OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], float], Optimizer]] = {
    "SGD": lambda parameters, lr: SGD(parameters, lr=lr),
    "SGD with momentum": lambda parameters, lr: SGD(parameters, lr=lr, momentum=0.9),
    "Adam": lambda parameters, lr: optim.Adam(parameters, lr=lr),
}

# From 1e-4 to 10: wide enough that no best value is at an end.
GRID = two_a_decade(-4, 1)

FIRST_STEPS = 10


@dataclass(frozen=True)
class Task:
    """What is learned, and how.

    Attributes
    ----------
    name : str
        The results are stored under it.
    examples : dict of str to pair of Tensor
        Inputs and labels of the parts "train", "validation" and "test".
    model : function
        Returns a new model; called after torch's generator was seeded.
    transform : function or None
        Augmentation, passed to :func:`adam_tutorial.study.training.fit`.
    epochs, batch_size : int
        Of every run.
    long_epochs : int or None
        Epochs of the additional long runs; None for no such runs.
    """

    name: str
    examples: dict[str, Examples]
    model: Callable[[], nn.Module]
    transform: Callable[[Tensor, torch.Generator], Tensor] | None
    epochs: int
    batch_size: int
    long_epochs: int | None = None

    def together(self, parts: Iterable[str]) -> Examples:
        """Return inputs and labels of some parts, one after the other."""
        inputs, labels = zip(*(self.examples[part] for part in parts), strict=True)
        return torch.cat(inputs), torch.cat(labels)


@dataclass(frozen=True)
class Run:
    """One training run: optimizer, learning rate and seed."""

    optimizer: str
    lr: float
    seed: int


def train(
    task: Task, run: Run, *, parts: tuple[str, ...], max_steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train one model; the learning rate falls to 0 along half a cosine.

    Parameters
    ----------
    task, run : Task, Run
        What to train, and how.
    parts : tuple of str
        Parts of the examples to train on.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    inputs, labels = task.together(parts)
    torch.manual_seed(run.seed)
    model = task.model()
    optimizer = OPTIMIZERS[run.optimizer](model.parameters(), run.lr)
    steps = task.epochs * (len(labels) // task.batch_size)
    history = fit(
        model,
        optimizer,
        (inputs, labels),
        epochs=task.epochs,
        batch_size=task.batch_size,
        seed=run.seed,
        transform=task.transform,
        scheduler=CosineAnnealingLR(optimizer, T_max=steps),
        max_steps=max_steps,
        progress=False,
    )
    return model, history


def tuning_loss(rows: list[dict[str, Any]], optimizer: str, lr: float) -> float:
    """Return the mean validation loss of a learning rate; infinite if a run diverged.

    Parameters
    ----------
    rows : list of dict
        The runs under ``tuning``.
    optimizer, lr : str, float
        Which of them.

    Raises
    ------
    ValueError
        There is no such run.
    """
    return mean_of(rows, "validation_loss", optimizer=optimizer, lr=lr)


def column(rows: list[dict[str, Any]], optimizer: str, key: str) -> NDArray[Any]:
    """Return one quantity of all runs of an optimizer, one row per run.

    Parameters
    ----------
    rows : list of dict
        The runs under ``final`` or ``long``.
    optimizer : str
        Whose runs.
    key : str
        Which quantity, such as ``"test_accuracy"`` or ``"train_losses"``.
    """
    return np.array([row[key] for row in matching(rows, optimizer=optimizer)])


def best_learning_rates(
    rows: list[dict[str, Any]], of: str = "optimizer"
) -> dict[str, float]:
    """Return the learning rate with the lowest mean validation loss of each optimizer.

    Parameters
    ----------
    rows : list of dict
        As for :func:`tuning_loss`.
    of : str
        The field that names what has a rate of its own.
    """
    best = {}
    for name in dict.fromkeys(row[of] for row in rows):
        tried = matching(rows, **{of: name})
        (best[name],) = best_setting(tried, "validation_loss", ("lr",))
    return best


def best_with_seeds(
    rows: list[Row], by: tuple[str, ...], seeds: tuple[int, ...]
) -> list[Settings]:
    """Return each optimizer with its best learning rate in each group, once a seed.

    Parameters
    ----------
    rows : list of dict
        As for :func:`tuning_loss`.
    by : tuple of str
        The fields that a group has in common, such as the batch size.
    seeds : tuple of int
        Seeds of the runs.

    Returns
    -------
    list of dict
        With the fields of the group, "optimizer", "lr" and "seed".
    """
    groups = dict.fromkeys(tuple(row[field] for field in by) for row in rows)
    return [
        {**group, "optimizer": name, "lr": lr, "seed": seed}
        for group in (dict(zip(by, values, strict=True)) for values in groups)
        for name, lr in best_learning_rates(matching(rows, **group)).items()
        for seed in seeds
    ]


def by_name(tasks: Callable[[], Iterable[Task]]) -> Callable[[], dict[str, Task]]:
    """Return a function that makes tasks when it is first called, and keeps them.

    Parameters
    ----------
    tasks : function
        Returns the tasks, with tensors of torch's default type.
    """
    return cache(lambda: {task.name: task for task in tasks()})


def study_of(
    module: str,
    tasks: Callable[[], list[Task]],
    seeds: Mapping[str, Mapping[str, tuple[int, ...]]],
) -> Study:
    """Return the study that tunes every optimizer, trains it with its best rate, tests.

    Parameters
    ----------
    module : str
        Full name of the module that will hold the study.
    tasks : function
        Returns the tasks, with tensors of torch's default type.
    seeds : dict
        For each task, "tuning_seeds" and "final_seeds".

    Returns
    -------
    Study
        Its results have an entry for each task: ``tuning``, ``final`` and ``long`` are
        lists with one row for each run.
    """
    made = by_name(tasks)

    def tuning(_: Rows) -> list[Settings]:
        return [
            {"task": name, "optimizer": optimizer, "lr": lr, "seed": seed}
            for name in seeds
            for optimizer in OPTIMIZERS
            for lr in GRID
            for seed in seeds[name]["tuning_seeds"]
        ]

    def chosen(rows: Rows, name: str) -> dict[str, float]:
        return best_learning_rates(part_of(rows["tuning"], task=name))

    def final(rows: Rows) -> list[Settings]:
        return [
            {"task": name, "optimizer": optimizer, "lr": lr, "seed": seed}
            for name in seeds
            for optimizer, lr in chosen(rows, name).items()
            for seed in seeds[name]["final_seeds"]
        ]

    def long(rows: Rows) -> list[Settings]:
        longer = {name for name, task in made().items() if task.long_epochs is not None}
        return [settings for settings in final(rows) if settings["task"] in longer]

    def run(stage: str, settings: Settings) -> Row:
        task = made()[settings["task"]]
        one = Run(settings["optimizer"], settings["lr"], settings["seed"])
        if stage == "tuning":
            model, _ = train(task, one, parts=("train",))
            found = evaluate(model, task.examples["validation"])
            return settings | scores("validation", found)
        if stage == "long":
            assert task.long_epochs is not None
            task = replace(task, epochs=task.long_epochs)
        return settings | _final_row(task, one)

    def results(rows: Rows) -> dict[str, Any]:
        return {
            name: {
                "epochs": task.epochs,
                "batch_size": task.batch_size,
                "grid": GRID,
                "chosen": chosen(rows, name),
                "tuning": part_of(rows["tuning"], task=name),
                "final": part_of(rows["final"], task=name),
                "long_epochs": task.long_epochs,
                "long": part_of(rows["long"], task=name),
            }
            for name, task in made().items()
        }

    stages = {"tuning": tuning, "final": final, "long": long}
    return Study(module, stages, run, results)


def _final_row(task: Task, run: Run) -> Row:
    model, history = train(task, run, parts=("train", "validation"))
    result = evaluate(model, task.examples["test"])
    return scores("test", result) | {
        "train_losses": [finite(loss) for loss in history.train_losses],
        "first_step_losses": [
            finite(loss) for loss in history.step_losses[:FIRST_STEPS]
        ],
        "predictions": as_digits(result.predictions),
    }
