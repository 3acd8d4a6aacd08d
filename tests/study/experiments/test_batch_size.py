from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn import functional

from adam_tutorial.study.experiments import batch_size, hyperparameters, stored_runs
from adam_tutorial.study.experiments.comparison import Task
from adam_tutorial.study.experiments.hyperparameters import Setting
from tests.study.experiments.stored import need_its_masks

from .toys import toy_task

pytestmark = pytest.mark.usefixtures("float64")

stored = cache(stored_runs)


@cache
def cnn() -> Task:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        return next(task for task in hyperparameters.tasks() if task.name == "cnn")
    finally:
        torch.set_default_dtype(before)


def test_every_run_warms_up_over_its_first_tenth_and_is_otherwise_usual() -> None:
    for setting in batch_size.settings(3500):
        total = setting.epochs * (3500 // setting.batch_size)
        assert setting.warmup == total // 10
        assert setting == Setting(
            setting.lr,
            batch_size=setting.batch_size,
            epochs=hyperparameters.BATCH_EPOCHS,
            warmup=setting.warmup,
        )


def test_the_three_rules_lead_from_three_rates_at_64_to_rates_of_the_grid() -> None:
    small, large = batch_size.SIZES
    kappa = large / small
    for base in batch_size.RATES[:3]:
        for power in (0, 0.5, 1):
            assert any(
                rate == pytest.approx(base * kappa**power) for rate in batch_size.RATES
            )


def test_stored_batch_runs_are_those_that_the_experiment_describes() -> None:
    rows = stored("batch_size")["results"]
    keys = ("study", "task", *asdict(Setting(1.0)), "seed")
    assert [{key: row[key] for key in keys} for row in rows] == [
        {"study": study, "task": task.name, **asdict(setting), "seed": seed}
        for study, task, setting, seed in batch_size.runs([cnn()])
    ]
    assert len(batch_size.SEEDS) >= 10


def test_first_steps_of_stored_batch_runs_are_repeated() -> None:
    need_its_masks(stored("batch_size"))
    torch.set_default_dtype(torch.float32)
    rows = stored("batch_size")["results"]
    runs = list(batch_size.runs([cnn()]))
    # Every seventh: each setting at least once, and every seed.
    for row, (_, task, setting, seed) in list(zip(rows, runs, strict=True))[::7]:
        _, history = hyperparameters.train(
            task, setting, seed, max_steps=hyperparameters.FIRST_STEPS
        )
        assert history.step_losses == pytest.approx(row["first_step_losses"], rel=1e-2)


def test_stored_losses_of_the_examples_have_the_stored_mean() -> None:
    rows = stored("batch_size")["results"]
    examples = len(cnn().examples["validation"][1])
    for size in batch_size.SIZES:
        for lr in batch_size.RATES:
            found = batch_size.example_losses(rows, size, lr)
            assert found.shape == (len(batch_size.SEEDS), examples)
            means = [
                row["validation_loss"]
                for row in rows
                if (row["batch_size"], row["lr"]) == (size, lr)
            ]
            np.testing.assert_allclose(found.mean(axis=1), means, atol=5e-4)
    with pytest.raises(ValueError, match="no run with batch_size=64, lr=7"):
        batch_size.example_losses(rows, 64, 7.0)


def test_stored_batch_runs_say_how_they_were_made() -> None:
    record = stored("batch_size")
    out = "adam_tutorial/study/results/batch_size.json"
    assert record["command"] == f"python -m {batch_size.__name__} --out {out}"
    assert (record["dtype"], record["threads"]) == ("float32", 1)


@pytest.mark.usefixtures("float64")
def test_a_row_has_the_loss_of_every_validation_example() -> None:
    setting = Setting(0.05, batch_size=10, epochs=1)
    task = replace(toy_task("cnn"), batch_size=8)
    rows = [
        batch_size._row(batch_size.NAME, task, setting, 0),
        batch_size._row(batch_size.NAME, task, replace(setting, lr=1e300), 1),
    ]
    assert rows[0].keys() == stored("batch_size")["results"][0].keys()
    model, _ = hyperparameters.train(task, setting, seed=0)
    inputs, labels = task.examples["validation"]
    wanted = functional.cross_entropy(model.eval()(inputs), labels, reduction="none")
    found = batch_size.example_losses(rows, 10, 0.05)
    np.testing.assert_allclose(found, wanted.detach()[None], atol=5.1e-4)
    assert rows[1]["validation_loss"] is None
    assert not np.isfinite(batch_size.example_losses(rows, 10, 1e300)).all()


def test_study_has_the_runs_of_its_plan() -> None:
    rows = stored("batch_size")["results"]
    keys = ("study", "task", "lr", "batch_size", "warmup", "seed")
    plan = batch_size.STUDY.stages["runs"]({})
    assert [[s[k] for k in keys] for s in plan] == [[r[k] for k in keys] for r in rows]
