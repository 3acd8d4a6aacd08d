"""The four pains of gradient descent on the digits, and five rules against them.

``python -m adam_tutorial.study.experiments.pains --out adam_tutorial/study/results/pains.json``

A ravine (every step sees all digits, so the only enemy is the shape of the loss), noise
(small batches, some labels wrong), and units (the left half of every picture written
down in numbers 10 or 100 times as large). Every rule is tried with the same learning
rates and the same seeds, and trained anew with its best one and fresh seeds. What
counts is the loss on the digits it was trained on: the question is who goes down
fastest, not who reads best.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from adam_tutorial import reference
from adam_tutorial.study import networks
from adam_tutorial.study.data import load_digits, split
from adam_tutorial.study.experiments.comparison import _finite, _write
from adam_tutorial.study.networks import Array, Step

__all__ = [
    "FINAL_SEEDS",
    "GRID",
    "PAINS",
    "RULES",
    "TUNING_SEEDS",
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

RULES: dict[str, Callable[..., tuple[Any, NDArray[np.floating[Any]]]]] = {
    "gradient descent": reference.gradient_descent,
    "momentum": reference.momentum,
    "AdaGrad": reference.adagrad,
    "RMSProp": reference.rmsprop,
    "Adam": reference.adam,
}

# Two values a decade: 1e-6, 3.2e-6, 1e-5 ... 10. Wide enough that no best value is at
# an end.
GRID = tuple(float(f"{10 ** (exponent / 2):.2g}") for exponent in range(-12, 3))
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
        How many of the 4,000 digits to learn from, the first ones.
    steps : int
        Number of steps.
    batch_size : int or None
        Images in a step; None for all.
    wrong_labels : float
        Share of the labels that is replaced at random, anew in every step.
    factor : float
        By which the numbers of the left half of every picture are multiplied.
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


def digits_of(images: int = 4000) -> tuple[Array, NDArray[np.int64]]:
    """Return the first of the 4,000 training digits: pixels from 0 to 1, and labels.

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
def _all_digits() -> tuple[Array, NDArray[np.int64]]:
    digits = load_digits()
    rows = split(digits.labels, {"train": 4000, "held out": 1000})["train"]
    return digits.pixels[rows].reshape(-1, 784) / 255.0, digits.labels[rows]


def in_other_units(
    x: Array, parameters: list[Array], factor: float
) -> tuple[Array, list[Array]]:
    """Multiply the left half of every picture, and divide the weights it meets, by the same factor.

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
        New ones. The network computes what it computed before.
    """
    left = np.arange(784) % 28 < 14
    scale = np.where(left, factor, 1.0)
    return x * scale, [parameters[0] / scale[:, None], *parameters[1:]]


def beginning(pain: Pain, seed: int) -> tuple[Array, NDArray[np.int64], list[Array]]:
    """Return the images, the labels, and the dense network before its first step.

    Parameters
    ----------
    pain : Pain
        The task.
    seed : int
        Of the random weights.
    """
    x, y = digits_of(pain.images)
    start = networks.initialise((784, 64, 10), np.random.default_rng(seed))
    x, start = in_other_units(x, start, pain.factor)
    return x, y, start


def score(pain: Pain, parameters: list[Array], x: Array, y: NDArray[np.int64]) -> float:
    """Return the loss over all images of a task, and over all draws of wrong labels, in nats."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = networks.logits(parameters, x)
        return networks.expected_cross_entropy(z, y, pain.wrong_labels)


def run(
    pain: Pain, rule: str, lr: float, seed: int, *, steps: int | None = None
) -> Iterator[Step]:
    """Train on a task; the seed decides on the weights, on the order and on the wrong labels.

    Parameters
    ----------
    pain, rule, lr, seed : Pain, str, float, int
        What to do. The rule's other settings are its defaults.
    steps : int, optional
        Stop early, on the same path.
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


def _row(
    pain: Pain, rule: str, lr: float, seed: int, checkpoints: int = 1
) -> dict[str, Any]:
    x, y, _ = beginning(pain, seed)
    first, curve, taken = [], [], 0
    for step in run(pain, rule, lr, seed):
        taken += 1
        if taken <= FIRST_STEPS:
            first.append(_finite(step.loss))
        if taken % (pain.steps // checkpoints) == 0:
            curve.append(_finite(score(pain, step.parameters, x, y)))
    # A run that ended early has diverged: what it would have come to is not known.
    finished = taken == pain.steps
    return {
        "rule": rule,
        "lr": lr,
        "seed": seed,
        "loss": curve[-1] if finished else None,
        "curve": curve,
        "first_step_losses": first,
    }


def tuned_loss(rows: list[dict[str, Any]], rule: str, lr: float) -> float:
    """Return the mean loss of a learning rate; infinite if one of its runs diverged.

    Parameters
    ----------
    rows : list of dict
        With the keys rule, lr and loss (None where a run diverged).
    rule, lr : str, float
        Which of them.

    Raises
    ------
    ValueError
        There is no such run.
    """
    losses = [
        math.inf if row["loss"] is None else row["loss"]
        for row in rows
        if row["rule"] == rule and row["lr"] == lr
    ]
    if not losses:
        raise ValueError(f"no run of {rule!r} with lr={lr!r}")
    return float(np.mean(losses))


def best_rate(rows: list[dict[str, Any]], rule: str) -> float:
    """Return the learning rate with the lowest mean loss.

    Parameters
    ----------
    rows : list of dict
        As for :func:`tuned_loss`.
    rule : str
        Whose learning rate.
    """
    rates = sorted({row["lr"] for row in rows if row["rule"] == rule})
    return float(min(rates, key=lambda lr: tuned_loss(rows, rule, lr)))


def final_losses(rows: list[dict[str, Any]], rule: str) -> Array:
    """Return the losses of the runs of a rule, one for each seed; infinite where it diverged."""
    return np.array(
        [
            math.inf if row["loss"] is None else row["loss"]
            for row in rows
            if row["rule"] == rule
        ]
    )


def _compare(name: str, pain: Pain) -> dict[str, Any]:
    runs = [(rule, lr, seed) for rule in RULES for lr in GRID for seed in TUNING_SEEDS]
    tuning = [
        _row(pain, *one) for one in tqdm(runs, desc=f"{name}: tuning", unit="run")
    ]
    chosen = {rule: best_rate(tuning, rule) for rule in RULES}
    runs = [(rule, lr, seed) for rule, lr in chosen.items() for seed in FINAL_SEEDS]
    final = [
        _row(pain, rule, lr, seed, checkpoints=CHECKPOINTS)
        for rule, lr, seed in tqdm(runs, desc=f"{name}: final", unit="run")
    ]
    keys = ("rule", "lr", "seed", "loss")
    return {
        "pain": asdict(pain),
        "chosen": chosen,
        "tuning": [{key: row[key] for key in keys} for row in tuning],
        "final": final,
    }


def main() -> None:
    """Run everything from the command line and write the results."""
    module = "adam_tutorial.study.experiments.pains"
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    out = parser.parse_args().out
    if not out.parent.is_dir():
        parser.error(f"--out: the folder {out.parent} does not exist")
    started = time.monotonic()
    results = {name: _compare(name, pain) for name, pain in PAINS.items()}
    record = {
        "command": f"python -m {module} --out {out}",
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "machine": (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
        ),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "dtype": "float64",
        "grid": GRID,
        "tuning_seeds": TUNING_SEEDS,
        "final_seeds": FINAL_SEEDS,
        "results": results,
    }
    _write(out, record)
    print(f"wrote {out} after {record['minutes']} minutes", file=sys.stderr)


if __name__ == "__main__":
    main()
