from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import optim
from adam_tutorial.study.experiments import hyperparameters, stored_runs
from adam_tutorial.study.experiments.comparison import Task
from adam_tutorial.study.experiments.hyperparameters import (
    Setting,
    losses_by_rate,
    select,
)
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.training import evaluate
from adam_tutorial.theory import cosine_factor, sde_scaling
from tests.study.experiments.stored import need_its_masks

from .toys import toy_task

pytestmark = pytest.mark.usefixtures("float64")

stored = cache(stored_runs)


def small_tasks() -> list[Task]:
    return [replace(toy_task(name), batch_size=8) for name in ("cnn", "textcnn")]


def test_every_study_varies_what_its_name_says() -> None:
    usual = asdict(Setting(1.0))

    def varied(settings: list[Setting]) -> set[str]:
        return {
            key
            for s in settings
            for key, value in asdict(s).items()
            if value != usual[key]
        } - {"lr"}

    for task in hyperparameters.RATES:
        maps = hyperparameters.map_settings(task, batch_size=32)
        assert {name: varied(settings) for name, settings in maps.items()} == {
            "base": set(),
            "beta1": {"beta1"},
            "beta2": {"beta2"},
            "eps": {"eps"},
        }
    assert varied(hyperparameters.schedule_settings()) == {"schedule"}
    assert varied(hyperparameters.warmup_settings(300)) == {"warmup", "beta1", "beta2"}
    batch = hyperparameters.batch_settings()
    assert varied(batch["batch"]) == {"batch_size", "epochs"}
    assert varied(batch["batch-sde"]) == {
        "batch_size",
        "epochs",
        "beta1",
        "beta2",
        "eps",
    }
    searches = hyperparameters.random_settings()
    assert {name: varied(settings) for name, settings in searches.items()} == {
        "random: lr": set(),
        "random: lr, betas": {"beta1", "beta2"},
        "random: all": {"beta1", "beta2", "eps"},
    }


def test_base_row_is_part_of_no_map_twice() -> None:
    for task in hyperparameters.RATES:
        maps = hyperparameters.map_settings(task, batch_size=32)
        settings = [setting for rows in maps.values() for setting in rows]
        assert len(settings) == len(set(settings))


def test_warmup_lasts_a_tenth_of_the_run_or_two_over_one_minus_beta2() -> None:
    found = {(s.beta1, s.beta2, s.warmup) for s in hyperparameters.warmup_settings(327)}
    assert found == {
        (0.9, 0.999, 32),
        (0.0, 0.999, 32),
        (0.9, 0.999, 2000),
        (0.9, 0.99, 200),
    }


@pytest.mark.parametrize("size", hyperparameters.BATCH_SIZES)
def test_learning_rates_that_the_three_rules_prescribe_are_on_the_grid(
    size: int,
) -> None:
    kappa = size / hyperparameters.BATCH_BASE
    batch = hyperparameters.batch_settings()
    rates = [s.lr for s in batch["batch"] if s.batch_size == size]
    for power in (0, 0.5, 1):
        wanted = hyperparameters.BATCH_LR * kappa**power
        assert min(abs(lr / wanted - 1) for lr in rates) < 1e-3
    full = [s for s in batch["batch-sde"] if s.batch_size == size]
    if kappa == 1:
        assert full == []
    else:
        assert [(s.lr, s.beta1, s.beta2, s.eps) for s in full] == [
            sde_scaling(kappa, hyperparameters.BATCH_LR)
        ]


def test_random_settings_fill_their_ranges_and_nothing_else() -> None:
    settings = hyperparameters.random_settings()["random: all"]
    assert len(settings) == len(set(settings)) == hyperparameters.TRIALS
    for values, low, high in (
        ([s.lr for s in settings], 1e-4, 1),
        ([1 - s.beta1 for s in settings], 0.01, 1),
        ([1 - s.beta2 for s in settings], 1e-4, 0.1),
        ([s.eps for s in settings], 1e-10, 1e-2),
    ):
        logarithms = np.log(np.array(values) / low) / np.log(high / low)
        assert -1e-6 < logarithms.min() < 0.1
        assert 0.9 < logarithms.max() < 1 + 1e-6
        assert abs(logarithms.mean() - 0.5) < 0.1
    assert hyperparameters.random_settings() == hyperparameters.random_settings()


def test_random_searches_share_what_they_both_vary() -> None:
    only_lr, betas, everything = hyperparameters.random_settings().values()
    assert only_lr == [Setting(s.lr) for s in betas]
    assert betas == [Setting(s.lr, s.beta1, s.beta2) for s in everything]


@pytest.mark.parametrize("schedule", ["cosine", "constant", "wsd"])
def test_factor_is_warmup_times_schedule(schedule: str) -> None:
    setting = Setting(0.1, schedule=schedule, warmup=5)
    found = [hyperparameters.factor(setting, t, 20) for t in range(1, 21)]
    plain = [
        hyperparameters.factor(replace(setting, warmup=0), t, 20) for t in range(1, 21)
    ]
    assert found == pytest.approx([min(1, t / 5) * plain[t - 1] for t in range(1, 21)])
    assert plain[0] == 1.0
    assert (
        plain[-1]
        == {"cosine": cosine_factor(20, 20), "constant": 1.0, "wsd": 0.25}[schedule]
    )


def test_unknown_schedule_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"schedule must be .*got 'step'"):
        hyperparameters.factor(Setting(0.1, schedule="step"), 1, 10)


def test_learning_rates_of_a_run_are_those_of_its_schedule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float] = []

    class Spy(optim.Adam):
        def step(self, closure: Any = None) -> Any:
            group = self.param_groups[0]
            rates.append(group["lr"])
            assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-4)
            return super().step(closure)

    monkeypatch.setattr(optim, "Adam", Spy)
    setting = Setting(
        0.2, 0.8, 0.95, 1e-4, batch_size=10, epochs=2, schedule="wsd", warmup=3
    )
    hyperparameters.train(toy_task(), setting, seed=0)
    assert rates == pytest.approx(
        [0.2 * hyperparameters.factor(setting, t, 8) for t in range(1, 9)]
    )


@pytest.mark.parametrize("steps", [1, 6])
def test_stopped_hyperparameter_run_is_the_beginning_of_the_whole_run(
    steps: int,
) -> None:
    setting = Setting(0.05, batch_size=10, epochs=2)
    _, whole = hyperparameters.train(toy_task(), setting, seed=3)
    _, beginning = hyperparameters.train(toy_task(), setting, seed=3, max_steps=steps)
    assert beginning.step_losses == whole.step_losses[:steps]
    assert len(whole.step_losses) == 2 * (40 // 10)


def stored_row(
    study: str, lr: float, seed: int, loss: float | None, **more: Any
) -> dict[str, Any]:
    setting = asdict(replace(Setting(lr), **more))
    return {
        "study": study,
        "task": "cnn",
        **setting,
        "seed": seed,
        "validation_loss": loss,
    }


def test_select_finds_runs_by_study_and_by_value() -> None:
    rows = [
        stored_row("base", 0.1, 0, 1.0),
        stored_row("beta1", 0.1, 0, 2.0, beta1=0.5),
        stored_row("beta1", 0.1, 0, 3.0, beta1=0.0),
    ]
    assert select(rows, "beta1") == rows[1:]
    assert select(rows, ("base", "beta1"), beta1=0.5) == [rows[1]]
    assert select(rows, "base", task="textcnn") == []


def test_losses_by_rate_has_a_row_for_each_rate_and_infinity_for_divergence() -> None:
    rows = [
        stored_row("base", 0.1, 1, None),
        stored_row("base", 0.01, 0, 2.0),
        stored_row("base", 0.1, 0, 4.0),
    ]
    found = losses_by_rate(rows)
    assert list(found) == [0.01, 0.1]
    np.testing.assert_array_equal(found[0.1], [4.0, math.inf])


def test_losses_by_rate_of_unlike_runs_or_of_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such runs"):
        losses_by_rate([])
    rows = [stored_row("beta1", 0.1, 0, 2.0, beta1=beta1) for beta1 in (0.0, 0.5)]
    with pytest.raises(ValueError, match="must differ in lr and seed alone"):
        losses_by_rate(rows)


@pytest.mark.usefixtures("float64")
def test_study_has_one_row_and_writes_one_line_for_each_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def runs(tasks: list[Task]) -> Iterator[tuple[str, Task, Setting, int]]:
        for seed in range(3):
            lr = 1e300 if seed == 1 else 0.05
            yield "base", tasks[0], Setting(lr, batch_size=10, epochs=1), seed

    monkeypatch.setattr(hyperparameters, "tasks", small_tasks)
    study = hyperparameters.study_of("toy", runs, hyperparameters._row)
    rows = in_order(study)
    text = study.encode({"results": rows})
    assert json.loads(text)["results"] == rows
    assert sum('"study": "base"' in line for line in text.splitlines()) == 3
    assert rows[0].keys() == stored("hyperparameters")["results"][0].keys()
    assert rows[1]["validation_loss"] is None
    first = rows[0]
    model, history = hyperparameters.train(
        small_tasks()[0], Setting(0.05, batch_size=10, epochs=1), seed=0
    )
    assert first["first_step_losses"] == pytest.approx(
        history.step_losses[:5], rel=1e-6
    )
    assert first["train_loss"] == pytest.approx(history.train_losses[-1], rel=1e-6)
    expected = evaluate(model, small_tasks()[0].examples["test"])
    assert first["test_loss"] == pytest.approx(expected.loss, rel=1e-6)
    assert first["test_accuracy"] == pytest.approx(expected.accuracy, abs=1e-4)


@cache
def hyperparameter_tasks() -> dict[str, Task]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        return {task.name: task for task in hyperparameters.tasks()}
    finally:
        torch.set_default_dtype(before)


def test_stored_hyperparameter_runs_are_those_that_the_experiment_describes() -> None:
    rows = stored("hyperparameters")["results"]
    keys = ("study", "task", *asdict(Setting(1.0)), "seed")
    assert [{key: row[key] for key in keys} for row in rows] == [
        {"study": study, "task": task.name, **asdict(setting), "seed": seed}
        for study, task, setting, seed in hyperparameters.studies(
            hyperparameter_tasks().values()
        )
    ]


def test_first_steps_of_stored_hyperparameter_runs_are_repeated() -> None:
    tasks = hyperparameter_tasks()
    need_its_masks(stored("hyperparameters"))
    torch.set_default_dtype(torch.float32)
    rows = stored("hyperparameters")["results"]
    runs = list(hyperparameters.studies(tasks.values()))
    # Every seventh: some of each study, and every seed.
    for row, (_, task, setting, seed) in list(zip(rows, runs, strict=True))[::7]:
        _, history = hyperparameters.train(
            task, setting, seed, max_steps=hyperparameters.FIRST_STEPS
        )
        # float32, and large learning rates magnify what another processor rounds
        # differently.
        assert len(row["first_step_losses"]) == hyperparameters.FIRST_STEPS
        assert history.step_losses[:2] == pytest.approx(
            row["first_step_losses"][:2], rel=1e-3
        )
        if setting.lr <= 0.1:
            assert history.step_losses == pytest.approx(
                row["first_step_losses"], rel=1e-2
            )


def test_stored_hyperparameters_say_how_they_were_made() -> None:
    record = stored("hyperparameters")
    module = hyperparameters.__name__
    assert (
        record["command"]
        == f"python -m {module} --out adam_tutorial/study/results/hyperparameters.json"
    )
    assert set(record["versions"]) == {"python", "torch", "numpy"}
    assert (record["dtype"], record["threads"]) == ("float32", 1)
