from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from adam_tutorial.optim import Adam, AdamW
from adam_tutorial.study.experiments import comparison, decay, stored_runs
from adam_tutorial.study.experiments.comparison import Task
from adam_tutorial.study.experiments.decay import (
    CRITERIA,
    KINDS,
    DecayRun,
    best_settings,
    mean_score,
    settings_of,
    study_of,
    train_decay,
)
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.training import evaluate

from .toys import broken_task, compared, toy_task, weights

pytestmark = pytest.mark.usefixtures("float64")


def plain_task() -> Task:
    """The toy task without anything random in its model and its batches."""
    return replace(
        toy_task(), model=lambda: DenseNet((2, 6, 2)), transform=None, batch_size=8
    )


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decay, "LEARNING_RATES", (0.01, 0.1))
    small = {"none": (0.0,), "L2": (0.001, 0.01), "decoupled": (0.1, 1.0)}
    monkeypatch.setattr(decay, "KINDS", small)


# The settings


def test_each_kind_of_decay_is_tried_with_42_different_settings() -> None:
    for kind in KINDS:
        pairs = settings_of(kind)
        assert len(set(pairs)) == len(pairs) == 42
    assert settings_of("none")[0] == (3.2e-4, 0.0)
    assert settings_of("none")[-1] == (0.1, 0.0)
    assert settings_of("L2")[:2] == [(3.2e-4, 1e-4), (3.2e-4, 3.2e-4)]


def test_kinds_are_trained_with_no_decay_a_penalty_and_a_decoupled_decay() -> None:
    makes: dict[str, Callable[[Iterable[nn.Parameter]], Optimizer]] = {
        "none": lambda p: Adam(p, lr=0.05),
        "L2": lambda p: Adam(p, lr=0.05, weight_decay=0.2),
        "decoupled": lambda p: AdamW(p, lr=0.05, weight_decay=0.2),
    }
    task = plain_task()
    for kind, make in makes.items():
        strength = 0.0 if kind == "none" else 0.2
        trained, _ = train_decay(
            task, DecayRun(kind, 0.05, strength, seed=3), max_steps=1
        )
        torch.manual_seed(3)
        model = task.model()
        optimizer = make(model.parameters())
        inputs, labels = task.examples["train"]
        generator = torch.Generator().manual_seed(3)
        rows = torch.randperm(40, generator=generator)[:8]
        nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
        optimizer.step()
        torch.testing.assert_close(weights(trained), weights(model))


def test_learning_rate_falls_along_half_a_cosine_and_stopped_runs_are_beginnings() -> (
    None
):
    run = DecayRun("decoupled", 0.05, 0.5, seed=1)
    _, whole = train_decay(plain_task(), run)
    _, beginning = train_decay(plain_task(), run, max_steps=7)
    assert len(whole.step_losses) == 15
    assert beginning.step_losses == whole.step_losses[:7]


def test_unknown_kind_of_decay_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of .*'none'.*, got 'l2'"):
        train_decay(plain_task(), DecayRun("l2", 0.1, 0.1, 0))


# The choice


def row(
    kind: str, lr: float, strength: float, loss: float | None, accuracy: float = 0.5
) -> dict[str, Any]:
    scores = {"validation_loss": loss, "validation_accuracy": accuracy}
    return {"kind": kind, "lr": lr, "weight_decay": strength, "seed": 0} | scores


def test_setting_with_the_lowest_mean_loss_is_chosen_and_divergence_rules_out() -> None:
    rows = [
        row("L2", 0.1, 0.01, 0.2),
        row("L2", 0.1, 0.01, None),
        row("L2", 0.1, 0.1, 0.5),
        row("L2", 0.01, 0.1, 0.3),
        row("L2", 0.01, 0.1, 0.5),
        row("none", 0.1, 0.0, 0.9),
    ]
    assert mean_score(rows, "L2", 0.1, 0.01) == math.inf
    assert mean_score(rows, "L2", 0.01, 0.1) == pytest.approx(0.4)
    assert best_settings(rows) == {"L2": (0.01, 0.1), "none": (0.1, 0.0)}


def test_setting_with_the_highest_accuracy_is_chosen_by_accuracy() -> None:
    rows = [
        row("L2", 0.1, 0.01, 0.2, 0.8),
        row("L2", 0.1, 0.1, 0.5, 0.9),
        row("L2", 0.1, 0.1, 0.5, 0.6),
        row("L2", 0.1, 0.3, 0.4, 0.85),
    ]
    assert best_settings(rows, "accuracy") == {"L2": (0.1, 0.3)}
    assert mean_score(rows, "L2", 0.1, 0.1, by="accuracy") == pytest.approx(0.75)


def test_score_of_a_setting_that_was_not_tried_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"no run with kind='L2', lr=1\.0, weight_decay=0\.5"
    ):
        mean_score([row("L2", 0.1, 0.1, 0.5)], "L2", 1.0, 0.5)


def test_unknown_criterion_is_an_error_that_names_it() -> None:
    with pytest.raises(
        ValueError, match=r"by must be one of \['accuracy', 'loss'\], got 'f1'"
    ):
        mean_score([row("L2", 0.1, 0.1, 0.5)], "L2", 0.1, 0.1, by="f1")


# The comparison


def chosen_in(result: dict[str, Any]) -> dict[str, dict[str, tuple[float, float]]]:
    return {
        by: {kind: (best["lr"], best["weight_decay"]) for kind, best in kinds.items()}
        for by, kinds in result["chosen"].items()
    }


@pytest.mark.usefixtures("small_grid")
def test_comparison_tunes_on_validation_and_finishes_on_test_examples() -> None:
    task = plain_task()
    result = compared(study_of, task, tuning_seeds=(100, 101), final_seeds=(0, 1))
    assert len(result["tuning"]) == 3 * 4 * 2
    assert len(result["final"]) == 2 * 3 * 2
    assert (result["epochs"], result["batch_size"]) == (3, 8)
    assert chosen_in(result) == {
        by: best_settings(result["tuning"], by) for by in CRITERIA
    }

    tuned = result["tuning"][11]
    model, history = train_decay(
        task, DecayRun(tuned["kind"], tuned["lr"], tuned["weight_decay"], tuned["seed"])
    )
    assert tuned["validation_loss"] == evaluate(model, task.examples["validation"]).loss
    assert tuned["train_loss"] == history.train_losses[-1]

    final = result["final"][-1]
    model, history = train_decay(
        task, DecayRun(final["kind"], final["lr"], final["weight_decay"], final["seed"])
    )
    expected = evaluate(model, task.examples["test"])
    assert (final["test_loss"], final["test_accuracy"]) == (
        expected.loss,
        expected.accuracy,
    )
    assert final["first_step_losses"] == history.step_losses[: comparison.FIRST_STEPS]
    matrices = torch.cat(
        [p.detach().flatten() for p in model.parameters() if p.ndim > 1]
    )
    assert final["weight_rms"] == pytest.approx(matrices.square().mean().sqrt().item())


@pytest.mark.usefixtures("small_grid")
def test_loss_of_a_diverged_run_is_stored_as_none() -> None:
    result = compared(study_of, broken_task(), tuning_seeds=(0,), final_seeds=(0,))
    assert {r["validation_loss"] for r in result["tuning"]} == {None}
    assert {r["test_loss"] for r in result["final"]} == {None}
    json.dumps(result, allow_nan=False)


# The stored results


@cache
def task() -> Task:
    (only,) = decay.tasks()
    return only


@cache
def record() -> dict[str, Any]:
    return stored_runs("decay")


def results() -> dict[str, Any]:
    found: dict[str, Any] = record()["results"]["dense"]
    return found


def test_parts_have_the_documented_sizes_and_their_own_seeds() -> None:
    assert {
        part: len(labels) for part, (_, labels) in task().examples.items()
    } == decay.SIZES
    seeds = decay.SEEDS["dense"]
    assert not set(seeds["tuning_seeds"]) & set(seeds["final_seeds"])


def test_first_steps_of_the_stored_runs_are_repeated() -> None:
    for stored in results()["final"]:
        losses = stored["first_step_losses"]
        run = DecayRun(
            stored["kind"], stored["lr"], stored["weight_decay"], stored["seed"]
        )
        _, history = train_decay(task(), run, max_steps=len(losses))
        assert len(losses) == comparison.FIRST_STEPS
        assert history.step_losses == pytest.approx(losses, rel=1e-6)


def test_stored_runs_are_those_that_the_experiment_describes() -> None:
    seeds = decay.SEEDS["dense"]
    runs = [
        (r["kind"], r["lr"], r["weight_decay"], r["seed"]) for r in results()["tuning"]
    ]
    assert runs == [
        (kind, lr, strength, seed)
        for kind in KINDS
        for lr, strength in settings_of(kind)
        for seed in seeds["tuning_seeds"]
    ]
    chosen = chosen_in(results())
    assert chosen == {by: best_settings(results()["tuning"], by) for by in CRITERIA}
    final = [
        (r["chosen_by"], r["kind"], r["lr"], r["weight_decay"], r["seed"])
        for r in results()["final"]
    ]
    assert final == [
        (by, kind, *chosen[by][kind], seed)
        for by in CRITERIA
        for kind in KINDS
        for seed in seeds["final_seeds"]
    ]
    assert (results()["epochs"], results()["batch_size"]) == (
        task().epochs,
        task().batch_size,
    )


def test_stored_best_settings_by_loss_are_not_at_an_end_of_their_range() -> None:
    for kind, (lr, strength) in chosen_in(results())["loss"].items():
        assert decay.LEARNING_RATES[0] < lr < decay.LEARNING_RATES[-1]
        if kind != "none":
            assert KINDS[kind][0] < strength < KINDS[kind][-1]


def test_stored_results_say_how_they_were_made() -> None:
    command = (
        "python -m adam_tutorial.study.experiments.decay --out"
        " adam_tutorial/study/results/decay.json"
    )
    assert record()["command"] == command
    assert set(record()["versions"]) == {"python", "torch", "numpy"}
    assert (record()["dtype"], record()["threads"]) == ("float64", 1)
    assert set(record()["results"]) == set(decay.SEEDS)
