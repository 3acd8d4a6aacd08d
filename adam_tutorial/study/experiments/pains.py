"""The four pains of gradient descent, on the digits, and five rules against them.

A ravine: every step sees all the digits, so the shape of the loss is the only
difficulty. Noise: small batches, and some labels are wrong. Units: the left half of
every image is given in numbers 10 or 100 times as large. Each rule is tuned over the
same learning rates and seeds, and trained again with its best rate and fresh seeds.
The score is the loss on the digits it was trained on, because the question is which
rule descends fastest, not which one generalises best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adam_tutorial import reference
from adam_tutorial._types import Array, Float64Array
from adam_tutorial.study import networks
from adam_tutorial.study.data import load_digits, split
from adam_tutorial.study.experiments.records import (
    Row,
    best_setting,
    finite,
    matching,
    mean_of,
    part_of,
    two_a_decade,
    values_of,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.networks import Step

__all__ = [
    "Pain",
    "beginning",
    "best_rate",
    "digits_of",
    "final_losses",
    "in_other_units",
    "run",
    "score",
    "tuned_loss",
]

RULES: dict[str, Callable[..., tuple[Any, Array]]] = {
    "gradient descent": reference.gradient_descent,
    "momentum": reference.momentum,
    "AdaGrad": reference.adagrad,
    "RMSProp": reference.rmsprop,
    "Adam": reference.adam,
}

# From 1e-6 to 10: wide enough that no best value is at an end.
GRID = two_a_decade(-6, 1)
TUNING_SEEDS = (100, 101)
FINAL_SEEDS = (0, 1, 2)

FIRST_STEPS = 10
CHECKPOINTS = 20


@dataclass(frozen=True)
class Pain:
    """A task that hurts in one way.

    Attributes
    ----------
    images : int
        How many of the 4,000 digits to learn from: the first ones.
    steps : int
        Number of steps.
    batch_size : int or None
        Images in a step; None for all.
    wrong_labels : float
        Share of the labels to replace at random, drawn again for every step.
    factor : float
        Multiplies the left half of every image.
    """

    images: int
    steps: int
    batch_size: int | None
    wrong_labels: float = 0.0
    factor: float = 1.0


PAINS: dict[str, Pain] = {
    "ravine": Pain(images=1000, steps=100, batch_size=None),
    "noise": Pain(images=1000, steps=1200, batch_size=20, wrong_labels=0.2),
    "units": Pain(images=4000, steps=400, batch_size=50),
    "units x 10": Pain(images=4000, steps=400, batch_size=50, factor=10.0),
    "units x 100": Pain(images=4000, steps=400, batch_size=50, factor=100.0),
}


def digits_of(images: int = 4000) -> tuple[Float64Array, NDArray[np.int64]]:
    """Return the first of 4,000 digits to train on: pixels from 0 to 1, and labels.

    Parameters
    ----------
    images : int
        How many.

    Returns
    -------
    x : ndarray, shape (images, 784)
    y : ndarray of int, shape (images,)
    """
    x, y = _all_digits()
    return x[:images], y[:images]


@cache
def _all_digits() -> tuple[Float64Array, NDArray[np.int64]]:
    digits = load_digits()
    rows = split(digits.labels, {"train": 4000, "held out": 1000})["train"]
    return digits.pixels[rows].reshape(-1, 784) / 255.0, digits.labels[rows]


def in_other_units(
    x: Float64Array, parameters: list[Float64Array], factor: float
) -> tuple[Float64Array, list[Float64Array]]:
    """Multiply the left half of every image, and divide its weights, by a factor.

    Parameters
    ----------
    x : ndarray, shape (n, 784)
    parameters : list of ndarray
        ``[W1, b1, ...]``, the first of shape (784, features).
    factor : float
        Not 0.

    Returns
    -------
    x, parameters : ndarray, list of ndarray
        Copies, with which the network computes what it computed before.
    """
    left = np.arange(784) % 28 < 14
    scale = np.where(left, factor, 1.0)
    return x * scale, [parameters[0] / scale[:, None], *parameters[1:]]


def beginning(
    pain: Pain, seed: int
) -> tuple[Float64Array, NDArray[np.int64], list[Float64Array]]:
    """Return the images and labels of a task, and a network before its first step.

    Parameters
    ----------
    pain : Pain
        The task.
    seed : int
        Seed of the random weights.
    """
    x, y = digits_of(pain.images)
    start = networks.initialise((784, 64, 10), np.random.default_rng(seed))
    x, start = in_other_units(x, start, pain.factor)
    return x, y, start


def score(
    pain: Pain, parameters: list[Float64Array], x: Float64Array, y: NDArray[np.int64]
) -> float:
    """Return the expected loss on all images of a task, over wrong labels, in nats."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = networks.logits(parameters, x)
        return networks.expected_cross_entropy(z, y, pain.wrong_labels)


def run(
    pain: Pain, rule: str, lr: float, seed: int, *, steps: int | None = None
) -> Iterator[Step]:
    """Train on a task; the seed fixes the weights, the order and the wrong labels.

    Parameters
    ----------
    pain : Pain
        The task.
    rule : str
        A key of ``RULES``; its other settings are the defaults.
    lr : float
        Learning rate.
    seed : int
        Seed of everything that is random.
    steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    x, y, start = beginning(pain, seed)
    return networks.train(
        start,
        RULES[rule],
        x,
        y,
        steps=pain.steps if steps is None else steps,
        batch_size=pain.batch_size,
        seed=seed,
        wrong_labels=pain.wrong_labels,
        lr=lr,
    )


def _row(pain: Pain, rule: str, lr: float, seed: int, checkpoints: int) -> Row:
    x, y, _ = beginning(pain, seed)
    first, curve, taken = [], [], 0
    for step in run(pain, rule, lr, seed):
        taken += 1
        if taken <= FIRST_STEPS:
            first.append(finite(step.loss))
        if taken % (pain.steps // checkpoints) == 0:
            curve.append(finite(score(pain, step.parameters, x, y)))
    # A run that ended early has diverged.
    loss = curve[-1] if taken == pain.steps else None
    return {"loss": loss, "curve": curve, "first_step_losses": first}


def tuned_loss(rows: list[dict[str, Any]], rule: str, lr: float) -> float:
    """Return the mean loss of a learning rate; infinite if one of its runs diverged.

    Parameters
    ----------
    rows : list of dict
        The runs under ``tuning``.
    rule, lr : str, float
        Which of them.

    Raises
    ------
    ValueError
        There is no such run.
    """
    return mean_of(rows, "loss", rule=rule, lr=lr)


def best_rate(rows: list[dict[str, Any]], rule: str) -> float:
    """Return the learning rate with the lowest mean loss.

    Parameters
    ----------
    rows : list of dict
        As for :func:`tuned_loss`.
    rule : str
        Whose learning rate.
    """
    return float(best_setting(matching(rows, rule=rule), "loss", ("lr",))[0])


def final_losses(rows: list[dict[str, Any]], rule: str) -> Float64Array:
    """Return the losses of a rule, one for each seed; infinite where a run diverged."""
    return np.array(values_of(matching(rows, rule=rule), "loss"))


def _tuning(_: Rows) -> list[Settings]:
    return [
        {"pain": name, "rule": rule, "lr": lr, "seed": seed}
        for name in PAINS
        for rule in RULES
        for lr in GRID
        for seed in TUNING_SEEDS
    ]


def _chosen(rows: Rows, name: str) -> dict[str, float]:
    tuning = matching(rows["tuning"], pain=name)
    return {rule: best_rate(tuning, rule) for rule in RULES}


def _final(rows: Rows) -> list[Settings]:
    return [
        {"pain": name, "rule": rule, "lr": lr, "seed": seed}
        for name in PAINS
        for rule, lr in _chosen(rows, name).items()
        for seed in FINAL_SEEDS
    ]


def _run(stage: str, settings: Settings) -> Row:
    rule, lr, seed = settings["rule"], settings["lr"], settings["seed"]
    count = 1 if stage == "tuning" else CHECKPOINTS
    row = _row(PAINS[settings["pain"]], rule, lr, seed, count)
    return settings | ({"loss": row["loss"]} if stage == "tuning" else row)


def _results(rows: Rows) -> dict[str, Any]:
    return {
        name: {
            "pain": asdict(pain),
            "chosen": _chosen(rows, name),
            "tuning": part_of(rows["tuning"], pain=name),
            "final": part_of(rows["final"], pain=name),
        }
        for name, pain in PAINS.items()
    }


STUDY = Study(
    "adam_tutorial.study.experiments.pains",
    {"tuning": _tuning, "final": _final},
    _run,
    _results,
    described={
        "grid": GRID,
        "tuning_seeds": TUNING_SEEDS,
        "final_seeds": FINAL_SEEDS,
    },
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
