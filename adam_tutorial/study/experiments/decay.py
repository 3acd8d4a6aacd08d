"""Adam without decay, with an L2 penalty and with decoupled decay, on few handwritten digits.

``python -m adam_tutorial.study.experiments.decay --out adam_tutorial/study/results/decay.json``

Each of the three is tried with the same number of settings: six learning rates times
seven strengths, or 42 learning rates where there is no strength. Two of them are chosen
by the mean over the tuning seeds, one by the validation loss and one by the validation
accuracy. Both are trained anew with fresh seeds and evaluated once on the test
examples. The number of training examples stays the same, because the best strength
depends on the number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from adam_tutorial import optim
from adam_tutorial.study.data import load_digits, rescale, split
from adam_tutorial.study.experiments.comparison import FIRST_STEPS, Task, main
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.training import Evaluation, History, evaluate, fit

__all__ = [
    "CRITERIA",
    "KINDS",
    "SEEDS",
    "SIZES",
    "DecayRun",
    "best_settings",
    "compare_decay",
    "mean_score",
    "settings_of",
    "tasks",
    "train_decay",
]

SIZES = {"train": 1000, "validation": 1000, "test": 3000}
SEEDS = {"dense": {"tuning_seeds": (100, 101), "final_seeds": tuple(range(8))}}

LEARNING_RATES = (3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1)
# Two values a decade. The two coefficients live on different scales, so each has a
# range of its own, with the same number of values.
KINDS: dict[str, tuple[float, ...]] = {
    "none": (0.0,),
    "L2": (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1),
    "decoupled": (1e-2, 3.2e-2, 1e-1, 3.2e-1, 1.0, 3.2, 10.0),
}
# What a setting is chosen by, and where it is found in a row.
CRITERIA = {"loss": "validation_loss", "accuracy": "validation_accuracy"}


@dataclass(frozen=True)
class DecayRun:
    """One training run: which kind of decay, learning rate, strength of the decay, seed."""

    kind: str
    lr: float
    weight_decay: float
    seed: int


def settings_of(kind: str) -> list[tuple[float, float]]:
    """Return the 42 pairs of learning rate and strength that a kind of decay is tried with.

    Parameters
    ----------
    kind : {"none", "L2", "decoupled"}
        Without decay, the range of the learning rates is divided more finely instead.
    """
    count = len(LEARNING_RATES) * max(map(len, KINDS.values()))
    if kind == "none":
        rates = np.geomspace(LEARNING_RATES[0], LEARNING_RATES[-1], count)
        return [(float(f"{lr:.3g}"), 0.0) for lr in rates]
    return [(lr, decay) for lr in LEARNING_RATES for decay in KINDS[kind]]


def train_decay(
    task: Task, run: DecayRun, *, max_steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train one model on the training examples; the learning rate falls to 0 along half a cosine.

    Parameters
    ----------
    task, run : Task, DecayRun
        What to do. Every parameter decays, the biases too.
    max_steps : int, optional
        Stop early, on the same path.

    Raises
    ------
    ValueError
        There is no such kind of decay.
    """
    if run.kind not in KINDS:
        raise ValueError(f"kind must be one of {sorted(KINDS)}, got {run.kind!r}")
    torch.manual_seed(run.seed)
    model = task.model()
    optimizer = optim.Adam(
        model.parameters(),
        lr=run.lr,
        weight_decay=run.weight_decay,
        decoupled_weight_decay=run.kind == "decoupled",
    )
    examples = task.examples["train"]
    steps = task.epochs * (len(examples[1]) // task.batch_size)
    history = fit(
        model,
        optimizer,
        examples,
        epochs=task.epochs,
        batch_size=task.batch_size,
        seed=run.seed,
        scheduler=CosineAnnealingLR(optimizer, T_max=steps),
        max_steps=max_steps,
        progress=False,
    )
    return model, history


def mean_score(
    rows: list[dict[str, Any]],
    kind: str,
    lr: float,
    weight_decay: float,
    by: str = "loss",
) -> float:
    """Return the mean of a setting's validation scores; an infinite loss if one run diverged.

    Parameters
    ----------
    rows : list of dict
        The runs under ``tuning``.
    kind, lr, weight_decay
        Which of them.
    by : {"loss", "accuracy"}
        Which score.

    Raises
    ------
    ValueError
        There is no such run, or no such score.
    """
    if by not in CRITERIA:
        raise ValueError(f"by must be one of {sorted(CRITERIA)}, got {by!r}")
    scores = [
        math.inf if row[CRITERIA[by]] is None else row[CRITERIA[by]]
        for row in rows
        if (row["kind"], row["lr"], row["weight_decay"]) == (kind, lr, weight_decay)
    ]
    if not scores:
        raise ValueError(
            f"no run of {kind!r} with lr={lr!r} and weight_decay={weight_decay!r}"
        )
    return float(np.mean(scores))


def best_settings(
    rows: list[dict[str, Any]], by: str = "loss"
) -> dict[str, tuple[float, float]]:
    """Return the best learning rate and strength for each kind of decay.

    Parameters
    ----------
    rows, by
        As for :func:`mean_score`. Of equals, the one that was tried first.
    """
    tried: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        tried.setdefault(row["kind"], []).append((row["lr"], row["weight_decay"]))
    sign = 1 if by == "loss" else -1
    return {
        kind: min(
            pairs, key=lambda pair: sign * mean_score(rows, kind, pair[0], pair[1], by)
        )
        for kind, pairs in tried.items()
    }


def compare_decay(
    task: Task, *, tuning_seeds: Iterable[int], final_seeds: Iterable[int]
) -> dict[str, Any]:
    """Tune each kind of decay, train it with its best setting, test it.

    Returns
    -------
    dict
        Ready for JSON: ``tuning`` and ``final`` are lists with one row per run.
    """
    tuning_seeds, final_seeds = tuple(tuning_seeds), tuple(final_seeds)
    runs = [
        DecayRun(kind, lr, decay, seed)
        for kind in KINDS
        for lr, decay in settings_of(kind)
        for seed in tuning_seeds
    ]
    tuning = []
    for run in tqdm(runs, desc=f"{task.name}: tuning", unit="run"):
        model, history = train_decay(task, run)
        scores = _scores("validation", evaluate(model, task.examples["validation"]))
        tuning.append(
            asdict(run) | scores | {"train_loss": _finite(history.train_losses[-1])}
        )
    chosen = {by: best_settings(tuning, by) for by in CRITERIA}

    final = []
    plan = [
        (by, DecayRun(kind, *chosen[by][kind], seed))
        for by in CRITERIA
        for kind in KINDS
        for seed in final_seeds
    ]
    for by, run in tqdm(plan, desc=f"{task.name}: final", unit="run"):
        model, history = train_decay(task, run)
        final.append(
            {"chosen_by": by}
            | asdict(run)
            | _scores("test", evaluate(model, task.examples["test"]))
            | {
                "train_loss": _finite(history.train_losses[-1]),
                "weight_rms": _finite(_rms(model)),
                "first_step_losses": [
                    _finite(x) for x in history.step_losses[:FIRST_STEPS]
                ],
            }
        )
    return {
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "chosen": {
            by: {
                kind: {"lr": lr, "weight_decay": decay}
                for kind, (lr, decay) in best.items()
            }
            for by, best in chosen.items()
        },
        "tuning": tuning,
        "final": final,
    }


def tasks() -> list[Task]:
    """Return the one task: a dense network and 1,000 digits, few enough to learn by heart."""
    digits = load_digits()
    parts = split(digits.labels, SIZES, seed=0)
    examples = {
        part: (rescale(digits.pixels[rows]), torch.from_numpy(digits.labels[rows]))
        for part, rows in parts.items()
    }
    return [Task("dense", examples, DenseNet, None, epochs=40, batch_size=50)]


def _rms(model: nn.Module) -> float:
    weights = [p.detach().flatten() for p in model.parameters() if p.ndim > 1]
    return torch.cat(weights).square().mean().sqrt().item()


def _scores(part: str, result: Evaluation) -> dict[str, float | None]:
    return {f"{part}_loss": _finite(result.loss), f"{part}_accuracy": result.accuracy}


def _finite(value: float) -> float | None:
    # JSON has no NaN: a run that diverged has no loss.
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main("adam_tutorial.study.experiments.decay", tasks, SEEDS, run=compare_decay)
