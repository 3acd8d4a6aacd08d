"""Adam and lazy Adam on the text network: what the steps without a gradient are worth.

Adam moves every word vector in every step, for its first moment remembers gradients of
earlier batches. ``torch.optim.SparseAdam`` moves the vectors of the batch's words only,
and lets the moments of the others rest. Here it trains the word vectors, and Adam the
rest of the network. Each way gets five learning rates; the one with the lowest
validation loss is trained with fresh seeds on training and validation examples, and
evaluated once on the test examples.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer, SparseAdam
from torch.optim.lr_scheduler import CosineAnnealingLR

from adam_tutorial import optim
from adam_tutorial.study.experiments import text
from adam_tutorial.study.experiments.comparison import Task, best_learning_rates
from adam_tutorial.study.experiments.records import Row, as_digits, short, shortened
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import TextCNN
from adam_tutorial.study.training import History, evaluate, fit

__all__ = ["Together", "optimizer_of", "task", "train"]

WAYS = ("Adam", "lazy Adam")
RATES = (3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2)
TUNING_SEEDS = (100,)
FINAL_SEEDS = (0, 1, 2)
FIRST_STEPS = 5


class Together(Optimizer):
    """Optimizers that step together, each with parameters of its own.

    Parameters
    ----------
    *optimizers : Optimizer
        Their groups are those of this one, so that a schedule reaches them.
    """

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = optimizers
        groups = [group for one in optimizers for group in one.param_groups]
        super().__init__(groups, {})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Do a step of each; there must be no closure, which each would evaluate."""
        assert closure is None
        for one in self.optimizers:
            one.step()


@cache
def task() -> Task:
    """Return the task, in torch's default type."""
    (found,) = text.tasks()
    return found


def optimizer_of(way: str, model: TextCNN, lr: float) -> Optimizer:
    """Return the optimizer of a network, whose embedding it sets to what it needs.

    Parameters
    ----------
    way : {"Adam", "lazy Adam"}
        Whether word vectors move in every step, or when their word is in the batch.
    model : TextCNN
        What to train.
    lr : float
        Learning rate of all parameters.
    """
    if way == "Adam":
        return optim.Adam(model.parameters(), lr=lr)
    model.embedding.sparse = True
    vectors = model.embedding.weight
    others = [p for p in model.parameters() if p is not vectors]
    return Together(SparseAdam([vectors], lr=lr), optim.Adam(others, lr=lr))


def train(
    settings: Settings, parts: tuple[str, ...], *, max_steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train one network; the learning rate falls to 0 along half a cosine.

    Parameters
    ----------
    settings : dict
        "way", "lr" and "seed".
    parts : tuple of str
        Parts of the examples to train on.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    what = task()
    inputs, labels = what.together(parts)
    torch.manual_seed(settings["seed"])
    model = what.model()
    assert isinstance(model, TextCNN)
    optimizer = optimizer_of(settings["way"], model, settings["lr"])
    steps = what.epochs * (len(labels) // what.batch_size)
    history = fit(
        model,
        optimizer,
        (inputs, labels),
        epochs=what.epochs,
        batch_size=what.batch_size,
        seed=settings["seed"],
        transform=what.transform,
        scheduler=CosineAnnealingLR(optimizer, T_max=steps),
        max_steps=max_steps,
        progress=False,
    )
    return model, history


def _tuning(_: Rows) -> list[Settings]:
    return [
        {"way": way, "lr": lr, "seed": seed}
        for way in WAYS
        for lr in RATES
        for seed in TUNING_SEEDS
    ]


def _final(rows: Rows) -> list[Settings]:
    best = best_learning_rates(rows["tuning"], of="way")
    return [
        {"way": way, "lr": lr, "seed": seed}
        for way, lr in best.items()
        for seed in FINAL_SEEDS
    ]


def _run(stage: str, settings: Settings) -> Row:
    if stage == "tuning":
        model, _ = train(settings, ("train",))
        found = evaluate(model, task().examples["validation"])
        return {**settings, "validation_loss": short(found.loss)}
    model, history = train(settings, ("train", "validation"))
    found = evaluate(model, task().examples["test"])
    return {
        **settings,
        "test_loss": short(found.loss),
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "predictions": as_digits(found.predictions),
    }


def _results(rows: Rows) -> dict[str, Any]:
    return {
        "chosen": best_learning_rates(rows["tuning"], of="way"),
        "tuning": rows["tuning"],
        "final": rows["final"],
    }


STUDY = Study(
    "adam_tutorial.study.experiments.lazy_adam",
    {"tuning": _tuning, "final": _final},
    _run,
    _results,
    dtype="float32",
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
