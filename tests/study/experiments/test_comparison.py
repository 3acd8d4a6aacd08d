from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from adam_tutorial import optim
from adam_tutorial.study.experiments import comparison
from adam_tutorial.study.experiments.comparison import (
    GRID,
    OPTIMIZERS,
    Run,
    Task,
    best_learning_rates,
    column,
    study_of,
    train,
    tuning_loss,
)
from adam_tutorial.study.training import evaluate

from .toys import broken_task, compared, toy_model, toy_task, weights

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> tuple[float, ...]:
    grid = (0.01, 0.1)
    monkeypatch.setattr(comparison, "GRID", grid)
    return grid


# What is compared


def test_grid_has_two_learning_rates_a_decade_from_a_ten_thousandth_to_ten() -> None:
    assert GRID == (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 0.1, 0.32, 1.0, 3.2, 10.0)


def test_optimizers_are_sgd_with_and_without_momentum_and_adam() -> None:
    made = {
        name: make([nn.Parameter(torch.ones(1))], 0.5)
        for name, make in OPTIMIZERS.items()
    }
    assert {name: type(optimizer) for name, optimizer in made.items()} == {
        "SGD": SGD,
        "SGD with momentum": SGD,
        "Adam": optim.Adam,
    }
    assert made["SGD"].defaults["momentum"] == 0
    assert made["SGD with momentum"].defaults["momentum"] == 0.9
    assert all(optimizer.param_groups[0]["lr"] == 0.5 for optimizer in made.values())


# One run


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_same_run_gives_the_same_losses_and_weights(optimizer: str) -> None:
    run = Run(optimizer, 0.05, seed=3)
    first, first_history = train(toy_task(), run, parts=("train",))
    second, second_history = train(toy_task(), run, parts=("train",))
    assert first_history == second_history
    assert torch.equal(weights(first), weights(second))


def test_seed_decides_on_the_model_and_on_the_order() -> None:
    losses = [
        train(toy_task(), Run("Adam", 0.0, seed), parts=("train",))[1].step_losses
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("steps", [1, 4, 6, 14])
def test_stopped_run_is_the_beginning_of_the_whole_run(steps: int) -> None:
    run = Run("Adam", 0.05, seed=3)
    parts = ("train", "validation")
    _, whole = train(toy_task(), run, parts=parts)
    _, beginning = train(toy_task(), run, parts=parts, max_steps=steps)
    assert beginning.step_losses == whole.step_losses[:steps]
    assert len(whole.step_losses) == 3 * (60 // 7)


def test_learning_rate_falls_to_zero_along_half_a_cosine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float] = []

    class Spy(SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setitem(
        OPTIMIZERS, "spy", lambda parameters, lr: Spy(parameters, lr=lr)
    )
    train(toy_task(), Run("spy", 0.2, seed=0), parts=("train",))
    steps = 3 * (40 // 7)
    expected = [0.1 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    assert rates == pytest.approx(expected, rel=1e-9)


def test_examples_of_all_named_parts_are_trained_on() -> None:
    task = toy_task()
    seen: list[Tensor] = []

    def record(batch: Tensor, _: torch.Generator) -> Tensor:
        seen.append(batch)
        return batch

    recorded = Task("toy", task.examples, toy_model, record, epochs=1, batch_size=10)
    train(recorded, Run("SGD", 0.1, 0), parts=("train", "validation"))
    found = {tuple(row) for row in torch.cat(seen).tolist()}
    wanted = [
        *task.examples["train"][0].tolist(),
        *task.examples["validation"][0].tolist(),
    ]
    assert found == {tuple(row) for row in wanted}


def test_unknown_optimizer_is_an_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="Adm"):
        train(toy_task(), Run("Adm", 0.1, 0), parts=("train",))


# The choice of the learning rate


def row(optimizer: str, lr: float, loss: float | None) -> dict[str, Any]:
    return {"optimizer": optimizer, "lr": lr, "seed": 0, "validation_loss": loss}


def test_learning_rate_with_the_lowest_mean_loss_is_chosen_for_each_optimizer() -> None:
    tuning = [
        row("Adam", 0.1, 0.2),
        row("Adam", 0.1, 0.9),
        row("Adam", 0.01, 0.5),
        row("Adam", 0.01, 0.5),
        row("SGD", 0.1, 0.3),
        row("SGD", 0.01, 0.4),
    ]
    assert best_learning_rates(tuning) == {"Adam": 0.01, "SGD": 0.1}


def test_one_diverged_run_rules_a_learning_rate_out() -> None:
    tuning = [row("Adam", 1.0, 0.01), row("Adam", 1.0, None), row("Adam", 0.1, 5.0)]
    assert best_learning_rates(tuning) == {"Adam": 0.1}


def test_optimizer_that_always_diverges_still_gets_a_learning_rate() -> None:
    assert best_learning_rates([row("SGD", 0.1, None), row("SGD", 1.0, None)])[
        "SGD"
    ] in (0.1, 1.0)


def test_tuning_loss_is_the_mean_over_the_runs_of_one_learning_rate() -> None:
    tuning = [row("Adam", 0.1, 0.2), row("Adam", 0.1, 0.4), row("Adam", 1.0, 9.0)]
    assert tuning_loss(tuning, "Adam", 0.1) == pytest.approx(0.3)
    assert tuning_loss([*tuning, row("Adam", 0.1, None)], "Adam", 0.1) == math.inf


def test_tuning_loss_of_a_run_that_was_not_made_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no run with optimizer='SGD', lr=0\.1"):
        tuning_loss([row("Adam", 0.1, 0.2)], "SGD", 0.1)


def test_column_holds_one_row_for_each_run_of_the_optimizer() -> None:
    rows = [
        {"optimizer": "Adam", "losses": [3.0, 2.0]},
        {"optimizer": "SGD", "losses": [9.0, 8.0]},
        {"optimizer": "Adam", "losses": [2.0, 1.0]},
    ]
    np.testing.assert_array_equal(
        column(rows, "Adam", "losses"), [[3.0, 2.0], [2.0, 1.0]]
    )


def test_nothing_tuned_gives_nothing_chosen() -> None:
    assert best_learning_rates([]) == {}


# The comparison


def test_comparison_tunes_on_validation_and_finishes_on_test_examples(
    small_grid: tuple[float, ...],
) -> None:
    task = toy_task()
    result = compared(study_of, task, tuning_seeds=(100, 101), final_seeds=(0, 1, 2))
    runs = [(r["optimizer"], r["lr"], r["seed"]) for r in result["tuning"]]
    assert runs == [
        (name, lr, seed)
        for name in OPTIMIZERS
        for lr in small_grid
        for seed in (100, 101)
    ]
    assert result["chosen"] == best_learning_rates(result["tuning"])
    runs = [(r["optimizer"], r["lr"], r["seed"]) for r in result["final"]]
    assert runs == [
        (name, lr, seed) for name, lr in result["chosen"].items() for seed in (0, 1, 2)
    ]
    assert (result["epochs"], result["batch_size"], result["grid"]) == (
        3,
        7,
        small_grid,
    )

    tuned = result["tuning"][3]
    model, _ = train(
        task, Run(tuned["optimizer"], tuned["lr"], tuned["seed"]), parts=("train",)
    )
    expected = evaluate(model, task.examples["validation"])
    assert tuned["validation_loss"] == expected.loss
    assert tuned["validation_accuracy"] == expected.accuracy

    final = result["final"][-1]
    run = Run(final["optimizer"], final["lr"], final["seed"])
    model, history = train(task, run, parts=("train", "validation"))
    expected = evaluate(model, task.examples["test"])
    assert final["test_loss"] == expected.loss
    assert final["test_accuracy"] == expected.accuracy
    assert final["predictions"] == "".join(str(int(p)) for p in expected.predictions)
    assert final["train_losses"] == history.train_losses
    assert final["first_step_losses"] == history.step_losses[: comparison.FIRST_STEPS]
    assert len(final["first_step_losses"]) == 10


@pytest.mark.usefixtures("small_grid")
def test_long_runs_repeat_the_final_ones_with_more_epochs_where_asked_for() -> None:
    result = compared(
        study_of,
        replace(toy_task(), long_epochs=5),
        tuning_seeds=(100,),
        final_seeds=(0, 1),
    )
    assert result["long_epochs"] == 5
    runs = [
        [(r["optimizer"], r["lr"], r["seed"]) for r in result[key]]
        for key in ("final", "long")
    ]
    assert runs[0] == runs[1]
    assert {len(r["train_losses"]) for r in result["final"]} == {3}
    assert {len(r["train_losses"]) for r in result["long"]} == {5}
    assert all(
        final["first_step_losses"][0] == long["first_step_losses"][0]
        for final, long in zip(result["final"], result["long"], strict=True)
    )


@pytest.mark.usefixtures("small_grid")
def test_there_are_no_long_runs_unless_asked_for() -> None:
    result = compared(study_of, toy_task(), tuning_seeds=(100,), final_seeds=(0,))
    assert result["long_epochs"] is None
    assert result["long"] == []


def test_loss_of_a_diverged_run_is_stored_as_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "GRID", (0.1,))
    result = compared(study_of, broken_task(), tuning_seeds=(0,), final_seeds=(0,))
    assert [r["validation_loss"] for r in result["tuning"]] == [None] * 3
    assert [r["test_loss"] for r in result["final"]] == [None] * 3
    json.dumps(result, allow_nan=False)
