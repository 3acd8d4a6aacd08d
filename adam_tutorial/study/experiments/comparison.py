"""Compare optimizers fairly: the same grid of learning rates, the same number of runs for each.

The best learning rate of an optimizer is the one with the lowest validation loss,
averaged over the tuning seeds. With it, the optimizer is trained anew on training and
validation examples together, with fresh seeds, and evaluated once on the test examples.
Where a task asks for it, this is done again with more epochs, to see who catches up.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from adam_tutorial import optim
from adam_tutorial.study.training import Evaluation, Examples, History, evaluate, fit

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

# Two values a decade: 1e-4, 3.2e-4, 1e-3 ... 10. Wide enough that no best value is at
# an end.
GRID = tuple(float(f"{10 ** (exponent / 2):.2g}") for exponent in range(-8, 3))

FIRST_STEPS = 10


@dataclass(frozen=True)
class Task:
    """What is learned, and how.

    Attributes
    ----------
    name : str
        Under which the results are stored.
    examples : dict of str to pair of Tensor
        Inputs and labels of the parts "train", "validation" and "test".
    model : function
        Returns a new model; called after torch's generator was seeded.
    transform : function or None
        Augmentation, given to :func:`adam_tutorial.study.training.fit`.
    epochs, batch_size : int
        Length of every run.
    long_epochs : int or None
        Length of the additional long runs, if there shall be any.
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
    """One training run: which optimizer, which learning rate, which seed."""

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
        What to do.
    parts : tuple of str
        Parts of the examples to train on.
    max_steps : int, optional
        Stop early, on the same path.
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
    """Return the mean validation loss of a learning rate; infinite if one of its runs diverged.

    Parameters
    ----------
    rows : list of dict
        The runs under ``tuning``, with the keys optimizer, lr and validation_loss (None
        where the run diverged).
    optimizer, lr : str, float
        Which of them.

    Raises
    ------
    ValueError
        There is no such run.
    """
    losses = [
        math.inf if row["validation_loss"] is None else row["validation_loss"]
        for row in rows
        if row["optimizer"] == optimizer and row["lr"] == lr
    ]
    if not losses:
        raise ValueError(f"no run of {optimizer!r} with lr={lr!r}")
    return float(np.mean(losses))


def column(rows: list[dict[str, Any]], optimizer: str, key: str) -> NDArray[Any]:
    """Return one quantity of all runs of an optimizer, one row per run.

    Parameters
    ----------
    rows : list of dict
        The runs under ``final`` or ``long``.
    optimizer, key : str
        Whose runs, and what of them, such as test_accuracy or train_losses.
    """
    return np.array([row[key] for row in rows if row["optimizer"] == optimizer])


def best_learning_rates(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the learning rate with the lowest mean validation loss, for each optimizer.

    Parameters
    ----------
    rows : list of dict
        As for :func:`tuning_loss`.
    """
    tried: dict[str, list[float]] = {}
    for row in rows:
        tried.setdefault(row["optimizer"], []).append(row["lr"])
    return {
        optimizer: min(rates, key=lambda lr: tuning_loss(rows, optimizer, lr))
        for optimizer, rates in tried.items()
    }


def compare(
    task: Task, *, tuning_seeds: Iterable[int], final_seeds: Iterable[int]
) -> dict[str, Any]:
    """Tune every optimizer on the grid, train it with its best learning rate, test it.

    Returns
    -------
    dict
        Ready for JSON: ``tuning``, ``final`` and ``long`` are lists with one row per
        run.
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
        tuning.append(asdict(run) | _scores("validation", result))
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
    """Run the comparison of every task from the command line and write the results.

    Parameters
    ----------
    module : str
        Name of the experiment's module, stored as part of the command.
    tasks : function
        Returns the tasks; called when one thread and float64 are set.
    seeds : dict
        Keyword arguments of ``run`` for each task, by name.
    run : function
        What is done with a task.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    out = parser.parse_args().out
    if not out.parent.is_dir():
        parser.error(f"--out: the folder {out.parent} does not exist")

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    started = time.monotonic()
    results = {task.name: run(task, **seeds[task.name]) for task in tasks()}
    record = {
        "command": f"python -m {module} --out {out}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "machine": (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
        ),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "dtype": "float64",
        "threads": 1,
        "results": results,
    }
    _write(out, record)
    print(f"wrote {out} after {record['minutes']} minutes", file=sys.stderr)


def _final_run(task: Task, run: Run) -> dict[str, Any]:
    model, history = train(task, run, parts=("train", "validation"))
    result = evaluate(model, task.examples["test"])
    return (
        asdict(run)
        | _scores("test", result)
        | {
            "train_losses": [_finite(loss) for loss in history.train_losses],
            "first_step_losses": [
                _finite(loss) for loss in history.step_losses[:FIRST_STEPS]
            ],
            # One digit per test example: a list would take a line each.
            "predictions": "".join(map(str, result.predictions.tolist())),
        }
    )


def _scores(part: str, result: Evaluation) -> dict[str, float | None]:
    return {f"{part}_loss": _finite(result.loss), f"{part}_accuracy": result.accuracy}


def _finite(loss: float) -> float | None:
    # JSON has no NaN: a run that diverged has no loss.
    return loss if math.isfinite(loss) else None


def _write(out: Path, record: dict[str, Any]) -> None:
    # Beside the target, then renamed: the old results stay until the new ones are
    # complete.
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        scratch.write_text(
            json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
        os.replace(scratch, out)
    finally:
        scratch.unlink(missing_ok=True)
