"""Which of Adam's settings matter: maps over them, on the digits and on the reviews.

Hundreds of short runs in float32. Each belongs to a *study*: one of three maps, the
schedules, warm-up, the batch sizes, or one of three random searches. All are evaluated
on the validation and on the test examples; only validation scores are used to choose.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from adam_tutorial import optim
from adam_tutorial._types import Float64Array
from adam_tutorial.study.experiments import images, text
from adam_tutorial.study.experiments.comparison import Task, by_name
from adam_tutorial.study.experiments.records import (
    Row,
    matching,
    short,
    shortened,
    values_of,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import ImageCNN, TextCNN
from adam_tutorial.study.training import History, evaluate, fit
from adam_tutorial.theory import (
    cosine_factor,
    sde_scaling,
    untuned_warmup_steps,
    warmup_factor,
    wsd_factor,
)

__all__ = [
    "Setting",
    "batch_settings",
    "described",
    "factor",
    "losses_by_rate",
    "map_settings",
    "random_settings",
    "schedule_of",
    "schedule_settings",
    "select",
    "studies",
    "study_of",
    "tasks",
    "train",
    "warmup_settings",
]

SEEDS = (0, 1, 2)
FIRST_STEPS = 5
WSD_DECAY = 0.2

# Two values a decade, as in the comparison of optimizers.
RATES = {
    "cnn": (1e-3, 3.2e-3, 1e-2, 3.2e-2, 0.1, 0.32),
    "textcnn": (1e-3, 3.2e-3, 1e-2, 3.2e-2),
}
BETA1 = {"cnn": (0.0, 0.5, 0.9, 0.99), "textcnn": (0.0, 0.9, 0.99)}
BETA2 = {"cnn": (0.9, 0.99, 0.999, 0.9999), "textcnn": (0.9, 0.99, 0.999)}
# A large eps divides the step, so its rows lie at larger learning rates.
EPS: dict[str, dict[float, tuple[float, ...]]] = {
    "cnn": {
        1e-4: RATES["cnn"],
        1e-2: (*RATES["cnn"], 1.0),
        1.0: (1e-2, 3.2e-2, 0.1, 0.32, 1.0, 3.2, 10.0),
    },
    "textcnn": {
        1e-4: (1e-3, 3.2e-3, 1e-2, 3.2e-2, 0.1),
        1e-2: (3.2e-3, 1e-2, 3.2e-2, 0.1, 0.32),
    },
}

# The learning rate that the rules scale is near the best one for the base batch size.
BATCH_SIZES = (16, 32, 64, 128, 256, 512)
BATCH_BASE, BATCH_LR, BATCH_EPOCHS = 64, 0.008, 5
BATCH_GRID = tuple(BATCH_LR * 2.0**k for k in range(-2, 4))
TRIALS = 100


@dataclass(frozen=True)
class Setting:
    """Everything that distinguishes one run from another, except the seed.

    Attributes
    ----------
    lr, beta1, beta2, eps : float
        Adam's four settings.
    batch_size, epochs : int
        Examples in a step, and how often each of them is seen.
    schedule : {"cosine", "constant", "wsd"}
        What the learning rate does after the warm-up. "wsd" (warm-up, stable, decay)
        falls linearly over the last fifth of the run.
    warmup : int
        Number of steps of the linear warm-up, which multiplies the schedule.
    """

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    batch_size: int = 32
    epochs: int = 3
    schedule: str = "cosine"
    warmup: int = 0


def tasks() -> list[Task]:
    """Return two tasks with smaller networks and fewer epochs than the comparisons."""
    digits = next(task for task in images.tasks() if task.name == "cnn")
    reviews = text.tasks()[0]
    embedding = reviews.model().get_parameter("embedding.weight")
    return [
        replace(
            digits,
            model=partial(ImageCNN, (4, 8, 16), 32),
            transform=None,
            epochs=3,
            batch_size=32,
        ),
        replace(
            reviews,
            model=partial(TextCNN, len(embedding), 32, 32),
            epochs=3,
            batch_size=50,
            long_epochs=None,
        ),
    ]


def factor(setting: Setting, t: int, total: int) -> float:
    """Return the factor on the learning rate at step ``t`` of ``total``.

    Parameters
    ----------
    setting : Setting
        Gives the schedule and the warm-up.
    t, total : int
        Number of the step, counted from 1, and length of the run.

    Raises
    ------
    ValueError
        The schedule is unknown, or ``t`` is outside the run.
    """
    if setting.schedule == "cosine":
        decay = cosine_factor(t, total)
    elif setting.schedule == "constant":
        decay = 1.0
    elif setting.schedule == "wsd":
        decay = wsd_factor(t, total, max(1, round(WSD_DECAY * total)))
    else:
        raise ValueError(
            f"schedule must be 'cosine', 'constant' or 'wsd', got {setting.schedule!r}"
        )
    return warmup_factor(t, setting.warmup) * decay


def schedule_of(optimizer: Optimizer, setting: Setting, total: int) -> LambdaLR:
    """Return the schedule of a run of ``total`` steps.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate it sets.
    setting : Setting
        Gives the schedule and the warm-up.
    total : int
        Length of the run.
    """
    # The scheduler counts from 0, and once more after the last step.
    return LambdaLR(
        optimizer, lambda step: factor(setting, min(step + 1, total), total)
    )


def train(
    task: Task, setting: Setting, seed: int, *, max_steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train the task's model with Adam on its training examples.

    Parameters
    ----------
    task, setting : Task, Setting
        What to train, and how. Epochs and batch size are those of the setting.
    seed : int
        Seed of the initial weights and of the order of the examples.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    inputs, labels = task.examples["train"]
    torch.manual_seed(seed)
    model = task.model()
    optimizer = optim.Adam(
        model.parameters(), setting.lr, (setting.beta1, setting.beta2), setting.eps
    )
    total = setting.epochs * (len(labels) // setting.batch_size)
    schedule = schedule_of(optimizer, setting, total)
    history = fit(
        model,
        optimizer,
        (inputs, labels),
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        seed=seed,
        transform=task.transform,
        scheduler=schedule,
        max_steps=max_steps,
        progress=False,
    )
    return model, history


def map_settings(task: str, batch_size: int) -> dict[str, list[Setting]]:
    """Return the settings of the three maps: lr with beta1, with beta2, with eps.

    The row with the usual values belongs to all three maps. It is under "base" and is
    not repeated.
    """
    base = [Setting(lr, batch_size=batch_size) for lr in RATES[task]]
    usual = Setting(1.0)
    return {
        "base": base,
        "beta1": [
            replace(s, beta1=value)
            for value in BETA1[task]
            if value != usual.beta1
            for s in base
        ],
        "beta2": [
            replace(s, beta2=value)
            for value in BETA2[task]
            if value != usual.beta2
            for s in base
        ],
        "eps": [
            Setting(lr, eps=value, batch_size=batch_size)
            for value, rates in EPS[task].items()
            for lr in rates
        ],
    }


def warmup_settings(total: int) -> list[Setting]:
    """Return runs with a warm-up over a tenth of the run, and over 2/(1 - beta2) steps.

    The first kind also with beta1 = 0. The second kind with beta2 = 0.999, where the
    warm-up is longer than the run and needs larger learning rates, and with beta2 =
    0.99, where it ends within the run. The runs without a warm-up are in the maps.
    """
    tenth = Setting(1.0, warmup=total // 10)
    usual = Setting(1.0, warmup=round(untuned_warmup_steps(0.999)))
    short = Setting(1.0, beta2=0.99, warmup=round(untuned_warmup_steps(0.99)))
    return [
        replace(kind, lr=lr)
        for kind in (tenth, replace(tenth, beta1=0.0), usual, short)
        for lr in (*RATES["cnn"], *((1.0, 3.2) if kind == usual else ()))
    ]


def schedule_settings() -> list[Setting]:
    """Return runs with a constant learning rate, and with one that falls at the end."""
    return [
        Setting(lr, schedule=name)
        for name in ("constant", "wsd")
        for lr in RATES["cnn"]
    ]


def batch_settings() -> dict[str, list[Setting]]:
    """Return a grid of learning rates for six batch sizes, and the full root rule.

    The grid holds the learning rates that the constant and the linear rule predict from
    the base batch size. The one that the square-root rule predicts is added where it
    lies between two of the grid. The full square-root rule also scales both decay rates
    and eps.
    """
    grid, full = [], []
    for size in BATCH_SIZES:
        kappa = size / BATCH_BASE
        rates = sorted({*BATCH_GRID, float(f"{BATCH_LR * math.sqrt(kappa):.4g}")})
        grid += [Setting(lr, batch_size=size, epochs=BATCH_EPOCHS) for lr in rates]
        if kappa != 1:
            scaled = sde_scaling(kappa, BATCH_LR)
            full.append(Setting(*scaled, batch_size=size, epochs=BATCH_EPOCHS))
    return {"batch": grid, "batch-sde": full}


def random_settings() -> dict[str, list[Setting]]:
    """Return the settings of three random searches: over lr, lr and betas, all four.

    All are drawn log-uniformly: lr from 1e-4 to 1, 1 - beta1 from 0.01 to 1, 1 - beta2
    from 1e-4 to 0.1, eps from 1e-10 to 1e-2. What two searches both vary has the same
    values in both, trial by trial, so that they differ in what they vary and not in the
    luck of the draw.
    """
    rng = np.random.default_rng(0)

    def draw(low: float, high: float) -> float:
        # Three digits: easy to read, and enough to repeat the run.
        return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.3g}")

    found: dict[str, list[Setting]] = {
        "random: lr": [],
        "random: lr, betas": [],
        "random: all": [],
    }
    for _ in range(TRIALS):
        lr = Setting(draw(1e-4, 1))
        beta1, beta2 = round(1 - draw(0.01, 1), 6), round(1 - draw(1e-4, 0.1), 8)
        betas = replace(lr, beta1=beta1, beta2=beta2)
        for rows, setting in zip(
            found.values(),
            (lr, betas, replace(betas, eps=draw(1e-10, 1e-2))),
            strict=True,
        ):
            rows.append(setting)
    return found


def studies(tasks: Iterable[Task]) -> Iterator[tuple[str, Task, Setting, int]]:
    """Yield each run of the experiment: its study, task, setting and seed."""
    by_name = {task.name: task for task in tasks}
    cnn = by_name["cnn"]
    total = cnn.epochs * (len(cnn.examples["train"][1]) // cnn.batch_size)
    maps = [
        (study, by_name[name], settings)
        for name in ("cnn", "textcnn")
        for study, settings in map_settings(name, by_name[name].batch_size).items()
    ]
    others = {
        "schedule": schedule_settings(),
        "warm-up": warmup_settings(total),
        **batch_settings(),
    }
    for study, task, settings in [
        *maps,
        *((name, cnn, rows) for name, rows in others.items()),
    ]:
        for setting in settings:
            for seed in SEEDS:
                yield study, task, setting, seed
    for study, settings in random_settings().items():
        for trial, setting in enumerate(settings):
            yield study, cnn, setting, 1000 + trial


def select(
    rows: list[dict[str, Any]],
    studies: str | tuple[str, ...],
    task: str = "cnn",
    **values: Any,
) -> list[dict[str, Any]]:
    """Return the runs of some studies of a task that have the given settings.

    Parameters
    ----------
    rows : list of dict
        The stored runs.
    studies : str or tuple of str
        One study or several.
    task : str
        "cnn" or "textcnn".
    **values
        Fields of :class:`Setting`, such as ``beta1=0.5``.
    """
    names = (studies,) if isinstance(studies, str) else studies
    return [row for row in matching(rows, task=task, **values) if row["study"] in names]


def losses_by_rate(
    rows: list[dict[str, Any]], key: str = "validation_loss"
) -> dict[float, Float64Array]:
    """Return the losses of each learning rate, one per seed; infinite if diverged.

    Parameters
    ----------
    rows : list of dict
        Runs that differ only in learning rate and seed.
    key : str
        Which loss.

    Raises
    ------
    ValueError
        There are no runs, or they differ in something else too.
    """
    if not rows:
        raise ValueError("there are no such runs")
    fields = [field for field in asdict(Setting(1.0)) if field != "lr"]
    kinds = {tuple(row[field] for field in ("task", *fields)) for row in rows}
    if len(kinds) > 1:
        raise ValueError(
            f"the runs must differ in lr and seed alone, got {sorted(kinds)}"
        )
    by_seed = sorted(rows, key=lambda row: row["seed"])
    return {
        lr: np.array(values_of(matching(by_seed, lr=lr), key))
        for lr in sorted({row["lr"] for row in rows})
    }


def study_of(
    module: str,
    runs: Callable[[list[Task]], Iterable[tuple[str, Task, Setting, int]]],
    row: Callable[[str, Task, Setting, int], Row],
) -> Study:
    """Return a study of one stage, in float32, whose results are one row a run.

    Parameters
    ----------
    module : str
        Full name of the module that will hold the study.
    runs : function
        Takes the tasks and yields study, task, setting and seed of each run.
    row : function
        Takes these, does the run and returns its row.
    """
    # Looked up when it is called, so that a test can give other tasks.
    made = by_name(lambda: tasks())

    def plan(_: Rows) -> list[Settings]:
        return [
            {"study": study, "task": task.name, **asdict(setting), "seed": seed}
            for study, task, setting, seed in runs(list(made().values()))
        ]

    def run(_: str, settings: Settings) -> Row:
        task = made()[settings["task"]]
        fields = Setting.__dataclass_fields__
        setting = Setting(**{key: settings[key] for key in fields})
        return row(settings["study"], task, setting, settings["seed"])

    return Study(
        module,
        {"runs": plan},
        run,
        lambda rows: rows["runs"],
        dtype="float32",
        encode=_one_row_a_line,
    )


def _row(study: str, task: Task, setting: Setting, seed: int) -> Row:
    model, history = train(task, setting, seed)
    row = described(study, task, setting, seed, history)
    for part in ("validation", "test"):
        result = evaluate(model, task.examples[part])
        row[f"{part}_loss"] = short(result.loss)
        row[f"{part}_accuracy"] = round(result.accuracy, 4)
    return row


def described(
    study: str, task: Task, setting: Setting, seed: int, history: History
) -> dict[str, Any]:
    """Return the row of a run without its scores.

    Parameters
    ----------
    study, task, setting, seed : str, Task, Setting, int
        Which run it was.
    history : History
        What training recorded.
    """
    return {
        "study": study,
        "task": task.name,
        **asdict(setting),
        "seed": seed,
        "train_loss": short(history.train_losses[-1]),
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
    }


def _one_row_a_line(record: dict[str, Any]) -> str:
    # A thousand runs stay readable, and a diff shows which of them changed.
    rows = ",\n".join(
        "  " + json.dumps(row, allow_nan=False) for row in record["results"]
    )
    head = json.dumps({**record, "results": []}, indent=1, allow_nan=False)
    return head.replace('"results": []', f'"results": [\n{rows}\n ]') + "\n"


STUDY = study_of("adam_tutorial.study.experiments.hyperparameters", studies, _row)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
