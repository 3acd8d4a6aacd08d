"""How the learning rate must change with the batch size, if there is a warm-up.

The study of the batch sizes among the hyper-parameters has no warm-up, so a learning
rate can fail in it because of the first steps, at every batch size. Here each run has a
warm-up over its first tenth, ten seeds, and losses example by example, which paired
comparisons need. The test examples are not touched: nothing here is a final result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from adam_tutorial._types import Float64Array
from adam_tutorial.study.experiments.comparison import Task
from adam_tutorial.study.experiments.hyperparameters import (
    BATCH_EPOCHS,
    Setting,
    described,
    select,
    study_of,
    train,
)
from adam_tutorial.study.experiments.records import Row, short
from adam_tutorial.study.training import evaluate

__all__ = ["example_losses", "runs", "settings"]

NAME = "batch, warm-up"
SEEDS = tuple(range(10))

# From 64, kappa = 4: constant, square-root and linear rule carry 0.008, 0.016
# and 0.032 to points of the same grid.
SIZES = (64, 256)
RATES = tuple(0.008 * 2.0**k for k in range(5))


def settings(examples: int) -> list[Setting]:
    """Return the grid of learning rates for both batch sizes, with a warm-up.

    Parameters
    ----------
    examples : int
        Number of training examples, which says how long a tenth of a run is.
    """
    found = []
    for size in SIZES:
        total = BATCH_EPOCHS * (examples // size)
        found += [
            Setting(lr, batch_size=size, epochs=BATCH_EPOCHS, warmup=total // 10)
            for lr in RATES
        ]
    return found


def runs(tasks: Iterable[Task]) -> Iterator[tuple[str, Task, Setting, int]]:
    """Yield each run of the experiment: its study, task, setting and seed."""
    cnn = next(task for task in tasks if task.name == "cnn")
    for setting in settings(len(cnn.examples["train"][1])):
        for seed in SEEDS:
            yield NAME, cnn, setting, seed


def example_losses(
    rows: list[dict[str, Any]], batch_size: int, lr: float
) -> Float64Array:
    """Return the validation losses of a setting, example by example.

    Parameters
    ----------
    rows : list of dict
        The stored runs.
    batch_size, lr : int, float
        Which setting.

    Returns
    -------
    ndarray, shape (seeds, examples)
        In nats, to a thousandth; infinite or NaN where the run diverged.

    Raises
    ------
    ValueError
        There is no such run.
    """
    found = select(rows, NAME, batch_size=batch_size, lr=lr)
    if not found:
        raise ValueError(f"there is no run with batch_size={batch_size}, lr={lr}")
    by_seed = sorted(found, key=lambda row: row["seed"])
    return np.array([row["example_losses"].split() for row in by_seed], float) / 1000


def _row(study: str, task: Task, setting: Setting, seed: int) -> Row:
    model, history = train(task, setting, seed)
    result = evaluate(model, task.examples["validation"])
    return {
        **described(study, task, setting, seed, history),
        "validation_loss": short(result.loss),
        "validation_accuracy": round(result.accuracy, 4),
        # Thousandths of a nat, in a string: a list would be twice as long.
        "example_losses": " ".join(f"{1000 * x:.0f}" for x in result.losses.tolist()),
    }


STUDY = study_of("adam_tutorial.study.experiments.batch_size", runs, _row)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
