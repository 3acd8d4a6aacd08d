"""Adam against SGD over batch sizes: each tuned with the same budget."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch.optim import SGD

from adam_tutorial.optim import Adam
from adam_tutorial.study.experiments import crossover, stored_runs
from adam_tutorial.study.experiments.comparison import (
    Task,
    best_learning_rates,
)
from adam_tutorial.study.experiments.crossover import (
    EPOCHS,
    FINAL_SEEDS,
    RATES,
    SIZES,
    TUNING_SEEDS,
    optimizer_of,
)
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.experiments.study import in_order
from tests.study.experiments.stored import need_its_masks

from .toys import toy_model, toy_task


def test_each_optimizer_gets_the_same_number_of_runs_at_each_batch_size() -> None:
    plan = crossover.STUDY.stages["tuning"]({})
    for size in SIZES:
        for task in EPOCHS:
            some = [s for s in plan if (s["batch_size"], s["task"]) == (size, task)]
            counts = Counter(s["optimizer"] for s in some)
            assert set(counts) == set(RATES)
            assert set(counts.values()) == {18}
    assert not set(TUNING_SEEDS) & set(FINAL_SEEDS)


@pytest.mark.parametrize(
    ("size", "beta2"), [(64, 0.999), (8, 0.999**0.125), (128, 0.998001)]
)
def test_half_life_in_examples_is_that_of_the_base_batch_size(
    size: int, beta2: float
) -> None:
    model = toy_model()
    scaled = optimizer_of("Adam, half-life in examples", model, 0.1, size)
    assert scaled.param_groups[0]["betas"] == pytest.approx((0.9, beta2))
    fixed = optimizer_of("Adam", model, 0.1, size)
    assert fixed.param_groups[0]["betas"] == (0.9, 0.999)
    assert isinstance(fixed, Adam)
    descent = optimizer_of("SGD with momentum", model, 0.1, size)
    assert isinstance(descent, SGD)
    assert descent.defaults["momentum"] == 0.9


@pytest.mark.usefixtures("float64")
def test_learning_rate_warms_up_over_a_tenth_and_falls_to_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float] = []

    class Spy(SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(crossover, "SGD", Spy)
    settings = {"optimizer": "SGD with momentum", "lr": 0.5, "batch_size": 8, "seed": 0}
    crossover.train(replace(toy_task(), epochs=10), settings, ("train",))
    factors = [rate / 0.5 for rate in rates]
    assert len(factors) == 50
    assert factors[0] == pytest.approx(0.2, rel=0.01)
    assert max(factors) == factors[4]
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert factors[-1] < 0.01


@pytest.mark.usefixtures("float64")
def test_a_study_tunes_on_validation_and_tests_with_fresh_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = replace(toy_task(), epochs=2)
    monkeypatch.setattr(crossover, "tasks", lambda: {"toy": task})
    monkeypatch.setattr(crossover, "EPOCHS", {"toy": 2})
    monkeypatch.setattr(crossover, "SIZES", (4, 16))
    monkeypatch.setattr(crossover, "RATES", dict.fromkeys(RATES, (0.01, 0.1)))
    found = in_order(crossover.STUDY)["toy"]
    json.dumps(found, allow_nan=False)
    assert len(found["tuning"]) == 2 * 3 * 2 * 2
    assert len(found["final"]) == 2 * 3 * 3
    for row in found["final"]:
        tried: dict[float, list[float]] = {}
        for one in found["tuning"]:
            if all(one[key] == row[key] for key in ("batch_size", "optimizer")):
                tried.setdefault(one["lr"], []).append(one["validation_loss"])
        assert row["lr"] == min(tried, key=lambda lr: sum(tried[lr]))
        assert row["steps"] == 2 * (60 // row["batch_size"])
        assert len(row["predictions"]) == len(row["example_losses"].split()) == 30
        losses = [float(x) / 100 for x in row["example_losses"].split()]
        assert sum(losses) / 30 == pytest.approx(row["test_loss"], abs=5e-3)


# The stored results


@cache
def record() -> dict[str, Any]:
    return stored_runs("crossover")


@cache
def tasks() -> dict[str, Task]:
    torch.set_default_dtype(torch.float32)
    return crossover.tasks()


def results(task: str) -> dict[str, Any]:
    found: dict[str, Any] = record()["results"][task]
    return found


@pytest.mark.parametrize("task", EPOCHS)
def test_stored_runs_are_those_that_the_study_describes(task: str) -> None:
    keys = ("batch_size", "optimizer", "lr", "seed")
    plan = [s for s in crossover.STUDY.stages["tuning"]({}) if s["task"] == task]
    assert [[s[k] for k in keys] for s in plan] == [
        [row[k] for k in keys] for row in results(task)["tuning"]
    ]
    found = [[row[k] for k in keys] for row in results(task)["final"]]
    wanted = []
    for size in SIZES:
        best = best_learning_rates(matching(results(task)["tuning"], batch_size=size))
        assert list(best) == list(RATES)
        for name, lr in best.items():
            wanted += [[size, name, lr, seed] for seed in FINAL_SEEDS]
    assert found == wanted
    assert results(task)["epochs"] == EPOCHS[task]


@pytest.mark.parametrize("task", EPOCHS)
def test_stored_losses_of_the_examples_have_the_stored_mean(task: str) -> None:
    labels = tasks()[task].examples["test"][1]
    for row in results(task)["final"]:
        losses = [float(x) / 100 for x in row["example_losses"].split()]
        assert len(losses) == len(row["predictions"]) == len(labels)
        mean = sum(losses) / len(losses)
        assert mean == pytest.approx(row["test_loss"], abs=5e-3)
        right = [int(x) == y for x, y in zip(row["predictions"], labels, strict=True)]
        share = sum(right) / len(right)
        assert share == pytest.approx(row["test_accuracy"], abs=1e-4)


@pytest.mark.parametrize("task", EPOCHS)
@pytest.mark.parametrize("i", range(len(SIZES)), ids=map(str, SIZES))
def test_first_steps_of_the_stored_runs_are_repeated(task: str, i: int) -> None:
    need_its_masks(record())
    # Each size with one of the optimizers, and each of them at two sizes.
    name = list(RATES)[i % len(RATES)]
    (row,) = matching(
        results(task)["final"], batch_size=SIZES[i], optimizer=name, seed=0
    )
    stored = row["first_step_losses"]
    assert len(stored) == crossover.FIRST_STEPS
    assert all(map(math.isfinite, stored))
    torch.set_default_dtype(torch.float32)
    _, history = crossover.train(
        tasks()[task], row, ("train", "validation"), max_steps=len(stored)
    )
    assert history.step_losses == pytest.approx(stored, rel=1e-2)


def test_stored_results_say_how_they_were_made() -> None:
    assert record()["command"].startswith(
        "python -m adam_tutorial.study.experiments.crossover --out "
    )
    assert (record()["dtype"], record()["threads"]) == ("float32", 1)
    assert record()["batch_sizes"] == list(SIZES)
    assert {name: tuple(some) for name, some in record()["rates"].items()} == RATES
