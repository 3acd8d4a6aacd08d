"""Whether rare words make the difference between Adam and SGD: their vectors frozen.

The small network for reviews, with all its word vectors trained; with those of rare
words frozen at their start; with those of frequent words frozen; and with all frozen.
Adam and SGD with momentum are tuned in each case with the same budget, at one batch
size of ``crossover``, with its epochs and its schedule; the first case is one of its
own. A word is rare if it occurs at most five times in the training sentences.

The final runs are evaluated on the test sentences as they are, and with each rare word
replaced by the unknown one: the difference is what a network has from its rare words.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.study.data import UNKNOWN
from adam_tutorial.study.experiments import crossover
from adam_tutorial.study.experiments.comparison import Task, best_with_seeds
from adam_tutorial.study.experiments.records import (
    Row,
    as_hundredths,
    short,
    shortened,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import TextCNN
from adam_tutorial.study.training import evaluate

__all__ = ["frozen_rows", "rare_words", "task_of", "without"]

FROZEN = ("none", "rare", "frequent", "all")
OPTIMIZERS = ("Adam", "SGD with momentum")
RATES = {name: crossover.RATES[name] for name in OPTIMIZERS}
BATCH_SIZE, RARE = 128, 5
TUNING_SEEDS = (100, 101)
FINAL_SEEDS = (0, 1, 2)
FIRST_STEPS = 5


@cache
def _task() -> Task:
    return crossover.tasks()["textcnn"]


def rare_words(task: Task) -> Tensor:
    """Return, for each row of the embedding, whether its word is rare.

    Parameters
    ----------
    task : Task
        Its training inputs are word numbers.

    Returns
    -------
    Tensor of bool, shape (words,)
        Padding and the unknown word are not rare.
    """
    words = len(task.model().get_parameter("embedding.weight"))
    counts = torch.bincount(task.examples["train"][0].flatten(), minlength=words)
    rare: Tensor = counts <= RARE
    rare[: UNKNOWN + 1] = False
    return rare


def frozen_rows(task: Task, frozen: str) -> Tensor:
    """Return, for each row of the embedding, whether it keeps its first values.

    Parameters
    ----------
    task : Task
        Its training inputs are word numbers.
    frozen : str
        One of ``FROZEN``.

    Raises
    ------
    ValueError
        ``frozen`` is something else.
    """
    if frozen not in FROZEN:
        raise ValueError(f"frozen must be one of {FROZEN}, got {frozen!r}")
    rare = rare_words(task)
    return {
        "none": torch.zeros_like(rare),
        "rare": rare,
        "frequent": ~rare,
        "all": torch.ones_like(rare),
    }[frozen]


def task_of(task: Task, frozen: str) -> Task:
    """Return the task with a network whose frozen word vectors have no gradient.

    Neither Adam nor SGD moves a coordinate that never had a gradient.

    Parameters
    ----------
    task : Task
        The task with all vectors trained.
    frozen : str
        One of ``FROZEN``.
    """
    moving = (~frozen_rows(task, frozen)).unsqueeze(1)

    def model() -> TextCNN:
        made = task.model()
        assert isinstance(made, TextCNN)
        made.embedding.weight.register_hook(lambda gradient: gradient * moving)
        return made

    return replace(task, model=model)


def without(inputs: Tensor, words: Tensor) -> Tensor:
    """Return sentences in which some words are replaced by the unknown one.

    Parameters
    ----------
    inputs : Tensor of int64, shape (n, length)
        Word numbers.
    words : Tensor of bool, shape (words,)
        Which are replaced.
    """
    return inputs.masked_fill(words[inputs], UNKNOWN)


def _tuning(_: Rows) -> list[Settings]:
    return [
        {
            "frozen": frozen,
            "batch_size": BATCH_SIZE,
            "optimizer": name,
            "lr": lr,
            "seed": seed,
        }
        for frozen in FROZEN
        for name, rates in RATES.items()
        for lr in rates
        for seed in TUNING_SEEDS
    ]


def _final(rows: Rows) -> list[Settings]:
    return best_with_seeds(rows["tuning"], ("frozen", "batch_size"), FINAL_SEEDS)


def _run(stage: str, settings: Settings) -> Row:
    task = task_of(_task(), settings["frozen"])
    if stage == "tuning":
        return crossover.tuning_row(task, settings)
    model, history = crossover.train(task, settings, ("train", "validation"))
    inputs, labels = task.examples["test"]
    found = evaluate(model, (inputs, labels))
    masked = evaluate(model, (without(inputs, rare_words(task)), labels))
    return {
        **settings,
        "train_loss": short(history.train_losses[-1]),
        "test_loss": short(found.loss),
        "test_accuracy": round(found.accuracy, 4),
        "test_loss_without_rare": short(masked.loss),
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "example_losses": as_hundredths(found.losses),
        "example_losses_without_rare": as_hundredths(masked.losses),
    }


def _results(rows: Rows) -> dict[str, Any]:
    return {"tuning": rows["tuning"], "final": rows["final"]}


STUDY = Study(
    "adam_tutorial.study.experiments.frozen_words",
    {"tuning": _tuning, "final": _final},
    _run,
    _results,
    dtype="float32",
    described={"rare": RARE, "batch_size": BATCH_SIZE, "rates": RATES},
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
