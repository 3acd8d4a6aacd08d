"""Compare optimizers fairly: one grid of learning rates, equally many runs for each.

The best learning rate of an optimizer is the one with the lowest validation loss,
averaged over the tuning seeds. With it, the optimizer is trained again on training and
validation examples together, with fresh seeds, and evaluated once on the test examples.
A task can ask for the same with more epochs, to see which optimizers catch up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from adam_tutorial import optim
from adam_tutorial.study.experiments.records import (
    best_setting,
    finite,
    matching,
    mean_of,
    run_and_write,
    scores,
    two_a_decade,
)
from adam_tutorial.study.training import Examples, History, evaluate, fit

__all__ = [
    "GRID",
    "OPTIMIZERS",
    "Run",
    "Task",
    "best_learning_rates",
    "column",
    "compare",
    "main",
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
    inputs = torch.cat([task.examples[part][0] for part in parts])
    labels = torch.cat([task.examples[part][1] for part in parts])
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


def best_learning_rates(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the learning rate with the lowest mean validation loss of each optimizer.

    Parameters
    ----------
    rows : list of dict
        As for :func:`tuning_loss`.
    """
    return {
        name: best_setting(matching(rows, optimizer=name), "validation_loss", ("lr",))[
            0
        ]
        for name in dict.fromkeys(row["optimizer"] for row in rows)
    }


def compare(
    task: Task, *, tuning_seeds: Iterable[int], final_seeds: Iterable[int]
) -> dict[str, Any]:
    """Tune every optimizer on the grid, train it with its best rate, and test it.

    Returns
    -------
    dict
        Ready for JSON. ``tuning``, ``final`` and ``long`` are lists with one row for
        each run.
    """
    tuning_seeds, final_seeds = tuple(tuning_seeds), tuple(final_seeds)
    runs = [
        Run(name, lr, seed)
        for name in OPTIMIZERS
        for lr in GRID
        for seed in tuning_seeds
    ]
    tuning = []
    for run in tqdm(runs, desc=f"{task.name}: tuning", unit="run"):
        model, _ = train(task, run, parts=("train",))
        result = evaluate(model, task.examples["validation"])
        tuning.append(asdict(run) | scores("validation", result))
    chosen = best_learning_rates(tuning)

    runs = [Run(name, lr, seed) for name, lr in chosen.items() for seed in final_seeds]
    final = [
        _final_run(task, run)
        for run in tqdm(runs, desc=f"{task.name}: final", unit="run")
    ]
    long = []
    if task.long_epochs is not None:
        longer = replace(task, epochs=task.long_epochs)
        bar = tqdm(runs, desc=f"{task.name}: long", unit="run")
        long = [_final_run(longer, run) for run in bar]
    return {
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "grid": GRID,
        "chosen": chosen,
        "tuning": tuning,
        "final": final,
        "long_epochs": task.long_epochs,
        "long": long,
    }


def main(
    module: str,
    tasks: Callable[[], list[Task]],
    seeds: dict[str, dict[str, Any]],
    *,
    run: Callable[..., dict[str, Any]] = compare,
) -> None:
    """Run an experiment from the command line: do every task, write the results.

    Parameters
    ----------
    module : str
        Name of the experiment's module, stored as part of the command.
    tasks : function
        Returns the tasks; called once one thread and float64 are set.
    seeds : dict
        Keyword arguments of ``run``, for each task by its name.
    run : function
        What to do with a task.
    """

    def work() -> dict[str, Any]:
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        return {task.name: run(task, **seeds[task.name]) for task in tasks()}

    run_and_write(module, work, dtype="float64", threads=1)


def _final_run(task: Task, run: Run) -> dict[str, Any]:
    model, history = train(task, run, parts=("train", "validation"))
    result = evaluate(model, task.examples["test"])
    return (
        asdict(run)
        | scores("test", result)
        | {
            "train_losses": [finite(loss) for loss in history.train_losses],
            "first_step_losses": [
                finite(loss) for loss in history.step_losses[:FIRST_STEPS]
            ],
            # One digit per test example: a list would take a line each.
            "predictions": "".join(map(str, result.predictions.tolist())),
        }
    )
