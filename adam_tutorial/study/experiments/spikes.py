"""Six guards against spikes of the loss, on digits among which are rare bad batches.

A bad batch comes in the wrong units: its pixels run from 0 to 255, as they are stored,
and not from 0 to 1. In the mean, one step of 150 has one, after the first 100. What is
scored is the loss on clean validation images, after every step. Each guard is tuned
over twelve settings, four of its own at three learning rates, and chosen by the mean of
that loss over the second half of the run; without a guard, there are twelve learning
rates. The best setting runs again with fresh seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adam_tutorial import optim
from adam_tutorial.study import guards
from adam_tutorial.study.experiments.images import digit_examples
from adam_tutorial.study.experiments.records import (
    Row,
    best_setting,
    finite,
    matching,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.spike_score import WINDOW, spike_score, spike_steps
from adam_tutorial.study.training import Examples, evaluate

__all__ = ["Step", "bad_steps", "examples", "first_losses", "run", "settings_of"]

SIZES = {"train": 3500, "validation": 300, "test": 1000}
TUNING_SEEDS = (100, 101)
FINAL_SEEDS = tuple(range(10))
STEPS, BATCH = 1200, 50
RARITY, FACTOR = 150, 255.0
FIRST_STEPS = 10

RATES = (1e-3, 3.2e-3, 1e-2)
Setting = dict[str, float]
METHODS: dict[str, tuple[Callable[..., guards.Guard], tuple[Setting, ...]]] = {
    "none": (guards.NoGuard, ()),
    "global clip": (
        guards.GlobalClip,
        tuple({"limit": x} for x in (0.32, 1.0, 3.2, 10.0)),
    ),
    "StableAdamW": (
        guards.UpdateClip,
        tuple({"limit": x} for x in (0.5, 1.0, 2.0, 4.0)),
    ),
    "AdaGC": (
        guards.AdaptiveClip,
        tuple({"relative": x} for x in (1.05, 2.0, 4.0, 8.0)),
    ),
    "SPAM": (
        guards.MomentumReset,
        tuple({"interval": n, "threshold": x} for n in (250, 500) for x in (50, 5000)),
    ),
    "skip": (guards.Skip, tuple({"factor": x} for x in (2.0, 3.0, 5.0, 10.0))),
}


@dataclass(frozen=True)
class Step:
    """What is known after a step.

    Attributes
    ----------
    loss : float
        On the clean validation images.
    bad : bool
        Whether the batch was a bad one.
    taken : bool
        Whether the guard let the step pass.
    model : DenseNet
        The network.
    """

    loss: float
    bad: bool
    taken: bool
    model: DenseNet


@cache
def examples() -> dict[str, Examples]:
    """Return the digits of each part, in float64."""
    return {
        part: (inputs.double(), labels)
        for part, (inputs, labels) in digit_examples(SIZES).items()
    }


def settings_of(method: str) -> list[Setting]:
    """Return the twelve settings to try for a method, learning rates among them.

    Parameters
    ----------
    method : str
        A key of ``METHODS``.
    """
    _, choices = METHODS[method]
    if choices:
        return [{"lr": lr, **choice} for lr in RATES for choice in choices]
    rates = np.geomspace(1e-4, 1e-2, 12)
    return [{"lr": float(f"{lr:.2g}")} for lr in rates]


def bad_steps(seed: int, steps: int = STEPS) -> list[int]:
    """Return the numbers of the steps that get a bad batch, from 1.

    Parameters
    ----------
    seed : int
        Seed of the run.
    steps : int
        Length of the run.
    """
    draws = np.random.default_rng([seed, 1]).random(steps)
    bad = np.flatnonzero(draws < 1 / RARITY) + 1
    # Before that neither the guards nor the score have anything to compare with.
    return [int(t) for t in bad if t > WINDOW]


def run(method: str, setting: Setting, seed: int) -> Iterator[Step]:
    """Train a dense network on the digits, with Adam at its defaults but for the rate.

    Parameters
    ----------
    method : str
        A key of ``METHODS``.
    setting : dict
        Learning rate and the settings of the guard.
    seed : int
        Seed of the weights, the batches and the bad ones among them; they are the same
        for every method.
    """
    rest = {name: value for name, value in setting.items() if name != "lr"}
    guard = METHODS[method][0](**rest)
    torch.manual_seed(seed)
    model = DenseNet().double()
    # A group for each tensor, since one of the guards sets their rates one by one.
    groups = [{"params": [parameter]} for parameter in model.parameters()]
    optimizer = optim.Adam(groups, lr=setting["lr"])
    inputs, labels = examples()["train"]
    validation = examples()["validation"]
    generator, bad = torch.Generator().manual_seed(seed), set(bad_steps(seed))
    for t in range(1, STEPS + 1):
        rows = torch.randint(len(labels), (BATCH,), generator=generator)
        batch = inputs[rows] * (FACTOR if t in bad else 1.0)
        optimizer.zero_grad()
        functional.cross_entropy(model(batch), labels[rows]).backward()
        taken = guard(optimizer)
        if taken:
            optimizer.step()
        yield Step(_loss(model, validation), t in bad, taken, model)


@torch.no_grad()
def _loss(model: DenseNet, of: tuple[Tensor, Tensor]) -> float:
    return functional.cross_entropy(model(of[0]), of[1]).item()


def _row(method: str, setting: Setting, seed: int) -> Row:
    steps = list(run(method, setting, seed))
    losses = [step.loss for step in steps]
    spikes = spike_steps(losses)
    return {
        "method": method,
        "setting": _named(setting),
        "seed": seed,
        # What a setting is chosen by.
        "mean_loss": finite(float(np.mean(losses[STEPS // 2 :]))),
        "spike_score": spike_score(losses),
        "spikes": spikes,
        "worst_loss": finite(max(losses[WINDOW:])),
        "last_loss": finite(float(np.mean(losses[-WINDOW:]))),
        "skipped": [t for t, step in enumerate(steps, 1) if not step.taken],
        "test_accuracy": evaluate(steps[-1].model, examples()["test"]).accuracy,
        "first_losses": [finite(loss) for loss in losses[:FIRST_STEPS]],
        "losses": [float(f"{loss:.4g}") for loss in losses],
    }


def _named(setting: Setting) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in setting.items())


def _tuning(_: Rows) -> list[Settings]:
    return [
        {"method": method, "setting": setting, "seed": seed}
        for method in METHODS
        for setting in settings_of(method)
        for seed in TUNING_SEEDS
    ]


def _chosen(rows: Rows) -> dict[str, Setting]:
    chosen = {}
    for method in METHODS:
        tuned = matching(rows["tuning"], method=method)
        (name,) = best_setting(tuned, "mean_loss", ("setting",))
        chosen[method] = next(s for s in settings_of(method) if _named(s) == name)
    return chosen


def _final(rows: Rows) -> list[Settings]:
    return [
        {"method": method, "setting": setting, "seed": seed}
        for method, setting in _chosen(rows).items()
        for seed in FINAL_SEEDS
    ]


def _run(stage: str, settings: Settings) -> Row:
    row = _row(settings["method"], settings["setting"], settings["seed"])
    if stage == "final":
        return row
    keys = ("method", "setting", "seed", "mean_loss", "spike_score")
    return {key: row[key] for key in keys}


def _results(rows: Rows) -> dict[str, Any]:
    shown = matching(rows["final"], seed=FINAL_SEEDS[0])
    return {
        "chosen": _chosen(rows),
        "tuning": rows["tuning"],
        # Whole curves take much room: of one seed.
        "curves": {row["method"]: row["losses"] for row in shown},
        "final": [
            {key: value for key, value in row.items() if key != "losses"}
            for row in rows["final"]
        ],
    }


def first_losses(method: str, setting: Setting, seed: int) -> list[float]:
    """Return the first losses of a run, as they are stored.

    Parameters
    ----------
    method, setting, seed : str, dict, int
        As for :func:`run`.
    """
    return [step.loss for step in islice(run(method, setting, seed), FIRST_STEPS)]


STUDY = Study(
    "adam_tutorial.study.experiments.spikes",
    {"tuning": _tuning, "final": _final},
    _run,
    _results,
    described={"tuning_seeds": TUNING_SEEDS, "final_seeds": FINAL_SEEDS},
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
