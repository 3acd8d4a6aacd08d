"""Adam with no decay, an L2 penalty and decoupled decay, on few handwritten digits.

Each of the three is tuned over the same number of settings: six learning rates times
seven strengths, or 42 learning rates where there is no strength. Two settings are then
chosen by their means over the tuning seeds, one by validation loss and one by
validation accuracy, trained again with fresh seeds and evaluated once on the test
examples. The number of training examples stays the same, because the best strength
depends on the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from adam_tutorial import optim
from adam_tutorial.study.experiments.comparison import FIRST_STEPS, Task, by_name
from adam_tutorial.study.experiments.images import digit_examples
from adam_tutorial.study.experiments.records import (
    Row,
    best_setting,
    finite,
    matching,
    mean_of,
    part_of,
    scores,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.training import History, evaluate, fit

__all__ = [
    "DecayRun",
    "best_settings",
    "mean_score",
    "settings_of",
    "study_of",
    "tasks",
    "train_decay",
]

SIZES = {"train": 1000, "validation": 1000, "test": 3000}
SEEDS = {"dense": {"tuning_seeds": (100, 101), "final_seeds": tuple(range(8))}}

LEARNING_RATES = (3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1)
# The two coefficients live on different scales, so each has a range of its own, with
# the same number of values.
KINDS: dict[str, tuple[float, ...]] = {
    "none": (0.0,),
    "L2": (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1),
    "decoupled": (1e-2, 3.2e-2, 1e-1, 3.2e-1, 1.0, 3.2, 10.0),
}
# What a setting can be chosen by, and the name of that score in a row.
CRITERIA = {"loss": "validation_loss", "accuracy": "validation_accuracy"}


@dataclass(frozen=True)
class DecayRun:
    """One training run: kind of decay, learning rate, strength of the decay, seed."""

    kind: str
    lr: float
    weight_decay: float
    seed: int


def settings_of(kind: str) -> list[tuple[float, float]]:
    """Return the 42 pairs of learning rate and strength to try for a kind of decay.

    Parameters
    ----------
    kind : {"none", "L2", "decoupled"}
        With no decay there is no strength to vary; the range of the learning rates is
        divided more finely instead.
    """
    count = len(LEARNING_RATES) * max(map(len, KINDS.values()))
    if kind == "none":
        rates = np.geomspace(LEARNING_RATES[0], LEARNING_RATES[-1], count)
        return [(float(f"{lr:.3g}"), 0.0) for lr in rates]
    return [(lr, decay) for lr in LEARNING_RATES for decay in KINDS[kind]]


def train_decay(
    task: Task, run: DecayRun, *, max_steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train one model; the learning rate falls to 0 along half a cosine.

    Parameters
    ----------
    task, run : Task, DecayRun
        What to train, and how. Every parameter decays, biases included.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.

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
    """Return the mean validation score of a setting; infinite if a run diverged.

    Parameters
    ----------
    rows : list of dict
        The runs under ``tuning``.
    kind, lr, weight_decay : str, float, float
        Which of them.
    by : {"loss", "accuracy"}
        Which score.

    Raises
    ------
    ValueError
        There is no such run, or no such score.
    """
    return mean_of(rows, _key(by), kind=kind, lr=lr, weight_decay=weight_decay)


def best_settings(
    rows: list[dict[str, Any]], by: str = "loss"
) -> dict[str, tuple[float, float]]:
    """Return the best learning rate and strength for each kind of decay.

    Parameters
    ----------
    rows, by : list of dict, str
        As for :func:`mean_score`. Of equals, the setting tried first is chosen.
    """
    best = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        lr, weight_decay = best_setting(
            matching(rows, kind=kind),
            _key(by),
            ("lr", "weight_decay"),
            largest=by == "accuracy",
        )
        best[kind] = lr, weight_decay
    return best


def _key(by: str) -> str:
    if by not in CRITERIA:
        raise ValueError(f"by must be one of {sorted(CRITERIA)}, got {by!r}")
    return CRITERIA[by]


def study_of(
    module: str,
    tasks: Callable[[], list[Task]],
    seeds: Mapping[str, Mapping[str, tuple[int, ...]]],
) -> Study:
    """Return the study that tunes each kind of decay, trains with the best, and tests.

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
        Its results have an entry for each task: ``tuning`` and ``final`` are lists with
        one row for each run.
    """
    made = by_name(tasks)

    def tuning(_: Rows) -> list[Settings]:
        return [
            {"task": name, **asdict(DecayRun(kind, lr, decay, seed))}
            for name in seeds
            for kind in KINDS
            for lr, decay in settings_of(kind)
            for seed in seeds[name]["tuning_seeds"]
        ]

    def final(rows: Rows) -> list[Settings]:
        return [
            {
                "task": name,
                "chosen_by": by,
                **asdict(DecayRun(kind, *best, seed)),
            }
            for name in seeds
            for by in CRITERIA
            for kind, best in chosen(rows, name, by).items()
            for seed in seeds[name]["final_seeds"]
        ]

    def chosen(rows: Rows, name: str, by: str) -> dict[str, tuple[float, float]]:
        return best_settings(part_of(rows["tuning"], task=name), by)

    def run(stage: str, settings: Settings) -> Row:
        task = made()[settings["task"]]
        fields = DecayRun.__dataclass_fields__
        one = DecayRun(**{key: settings[key] for key in fields})
        model, history = train_decay(task, one)
        part = "validation" if stage == "tuning" else "test"
        row = settings | scores(part, evaluate(model, task.examples[part]))
        row["train_loss"] = finite(history.train_losses[-1])
        if stage == "final":
            row["weight_rms"] = finite(_rms(model))
            first = history.step_losses[:FIRST_STEPS]
            row["first_step_losses"] = [finite(loss) for loss in first]
        return row

    def results(rows: Rows) -> dict[str, Any]:
        return {
            name: {
                "epochs": task.epochs,
                "batch_size": task.batch_size,
                "chosen": {
                    by: {
                        kind: {"lr": lr, "weight_decay": decay}
                        for kind, (lr, decay) in chosen(rows, name, by).items()
                    }
                    for by in CRITERIA
                },
                "tuning": part_of(rows["tuning"], task=name),
                "final": part_of(rows["final"], task=name),
            }
            for name, task in made().items()
        }

    return Study(module, {"tuning": tuning, "final": final}, run, results)


def tasks() -> list[Task]:
    """Return the only task: a dense network, and few enough digits to memorise."""
    examples = digit_examples(SIZES)
    return [Task("dense", examples, DenseNet, None, epochs=40, batch_size=50)]


def _rms(model: nn.Module) -> float:
    weights = [p.detach().flatten() for p in model.parameters() if p.ndim > 1]
    return torch.cat(weights).square().mean().sqrt().item()


STUDY = study_of("adam_tutorial.study.experiments.decay", tasks, SEEDS)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
