"""A study of a moment: tuning, and final runs that depend on it."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import torch

from adam_tutorial.study.experiments.records import best_setting, matching
from adam_tutorial.study.experiments.runner import main
from adam_tutorial.study.experiments.study import Rows, Settings, Study

MODULE = "tests.study.experiments.toy_study"


def tuning(_: Rows) -> list[Settings]:
    return [{"lr": lr, "seed": seed} for lr in (0.1, 0.2, 0.3) for seed in range(4)]


def final(rows: Rows) -> list[Settings]:
    (lr,) = best_setting(rows["tuning"], "loss", ("lr",))
    return [{"lr": lr, "seed": 10 + seed} for seed in range(6)]


def run(stage: str, settings: Settings) -> dict[str, Any]:
    """Return a number that needs torch's random numbers, and note that it was made."""
    if log := os.environ.get("TOY_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{stage} {settings['lr']} {settings['seed']}\n")
    if os.environ.get("TOY_FAILS") == stage and settings["seed"] == 12:
        raise RuntimeError("this run was told to fail")
    time.sleep(random.uniform(0, 0.1))
    torch.manual_seed(settings["seed"])
    loss = (torch.randn(3).square().sum() * (settings["lr"] - 0.21) ** 2).item()
    return {**settings, "loss": loss, "threads": torch.get_num_threads()}


def results(rows: Rows) -> Any:
    return {"tuning": rows["tuning"], "final": matching(rows["final"])}


STUDY = Study(
    MODULE,
    {"tuning": tuning, "final": final},
    run,
    results,
    described={"grid": (0.1, 0.2, 0.3)},
)

if __name__ == "__main__":
    main(MODULE)
