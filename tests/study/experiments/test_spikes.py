from __future__ import annotations

from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial.study import guards
from adam_tutorial.study.experiments import spikes, stored_runs
from adam_tutorial.study.experiments.records import best_setting, matching
from adam_tutorial.study.experiments.spikes import (
    FINAL_SEEDS,
    METHODS,
    RARITY,
    STEPS,
    TUNING_SEEDS,
    bad_steps,
    examples,
    first_losses,
    run,
    settings_of,
)
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.spike_score import WINDOW, spike_score, spike_steps

methods = pytest.mark.parametrize("method", METHODS)


@cache
def stored() -> dict[str, Any]:
    return stored_runs("spikes")


def named(setting: dict[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in setting.items())


# The task


@methods
def test_each_method_is_tried_with_twelve_different_settings(method: str) -> None:
    settings = settings_of(method)
    assert len({named(setting) for setting in settings}) == len(settings) == 12
    make, _ = METHODS[method]
    for setting in settings:
        make(**{name: value for name, value in setting.items() if name != "lr"})


def test_bad_batches_are_rare_and_come_after_the_first_window() -> None:
    steps = [bad_steps(seed) for seed in range(200)]
    counts = [len(one) for one in steps]
    assert np.mean(counts) == pytest.approx((STEPS - WINDOW) / RARITY, rel=0.1)
    assert min(min(one, default=STEPS) for one in steps) > WINDOW
    assert max(max(one, default=0) for one in steps) <= STEPS
    assert bad_steps(3) == bad_steps(3) != bad_steps(4)


def test_a_bad_batch_has_its_pixels_in_the_wrong_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []

    def peep(_: Any, arguments: tuple[torch.Tensor]) -> None:
        if len(arguments[0]) == spikes.BATCH:
            seen.append(arguments[0].max().item())

    def peeped() -> DenseNet:
        model = DenseNet()
        model.register_forward_pre_hook(peep)
        return model

    monkeypatch.setattr(spikes, "DenseNet", peeped)
    monkeypatch.setattr(spikes, "bad_steps", lambda _: [3])
    steps = list(islice(run("none", {"lr": 1e-3}, 0), 4))
    assert [step.bad for step in steps] == [False, False, True, False]
    assert seen == [1.0, 1.0, 255.0, 1.0]


def test_methods_see_the_same_weights_batches_and_bad_ones() -> None:
    one, other = (
        [
            (step.loss, step.bad)
            for step in islice(run(method, settings_of(method)[5], 0), 3)
        ]
        for method in ("none", "skip")
    )
    lr = settings_of("skip")[5]["lr"]
    same = [(step.loss, step.bad) for step in islice(run("none", {"lr": lr}, 0), 3)]
    assert other == same != one


def test_loss_is_that_of_the_clean_validation_images() -> None:
    step = next(run("none", {"lr": 1e-3}, 0))
    inputs, labels = examples()["validation"]
    assert inputs.max() == 1
    expected = torch.nn.functional.cross_entropy(step.model(inputs), labels)
    assert step.loss == expected.item()


def test_a_step_that_the_guard_refuses_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "never", (lambda: lambda _: False, ()))
    steps = list(islice(run("never", {"lr": 0.1}, 0), 3))
    assert len({step.loss for step in steps}) == 1
    assert not any(step.taken for step in steps)


# The record


def test_study_finds_what_the_stored_results_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spikes, "STEPS", 104)
    monkeypatch.setattr(spikes, "FINAL_SEEDS", (0, 1))
    monkeypatch.setattr(spikes, "TUNING_SEEDS", (100,))
    monkeypatch.setattr(spikes, "RATES", (1e-3,))
    few = {"none": (guards.NoGuard, ()), "skip": (guards.Skip, ({"factor": 2.0},))}
    monkeypatch.setattr(spikes, "METHODS", few)
    monkeypatch.setattr(
        spikes,
        "settings_of",
        lambda m: [{"lr": 1e-3, **s} for s in few[m][1]] or [{"lr": 1e-3}],
    )
    results = in_order(spikes.STUDY)
    assert results.keys() == stored()["results"].keys()
    assert results["tuning"][0].keys() == stored()["results"]["tuning"][0].keys()
    assert [(r["method"], r["seed"]) for r in results["final"]] == [
        (method, seed) for method in few for seed in (0, 1)
    ]
    final = results["final"][0]
    assert final.keys() == stored()["results"]["final"][0].keys()
    curve = results["curves"]["none"]
    assert len(curve) == 104
    assert final["last_loss"] == pytest.approx(np.mean(curve[-WINDOW:]), rel=1e-3)
    assert final["mean_loss"] == pytest.approx(np.mean(curve[52:]), rel=1e-3)
    assert final["worst_loss"] == pytest.approx(max(curve[WINDOW:]), rel=1e-3)


def test_stored_results_say_how_they_were_made() -> None:
    command = (
        "python -m adam_tutorial.study.experiments.spikes --out"
        " adam_tutorial/study/results/spikes.json"
    )
    assert stored()["command"] == command
    assert stored()["minutes"] <= 30
    assert stored()["tuning_seeds"] == list(TUNING_SEEDS)
    assert stored()["final_seeds"] == list(FINAL_SEEDS)
    assert not {*TUNING_SEEDS} & {*FINAL_SEEDS}
    assert len(FINAL_SEEDS) >= 10


def test_stored_runs_are_those_that_the_experiment_describes() -> None:
    results = stored()["results"]
    assert [(r["method"], r["setting"], r["seed"]) for r in results["tuning"]] == [
        (method, named(setting), seed)
        for method in METHODS
        for setting in settings_of(method)
        for seed in TUNING_SEEDS
    ]
    for method, chosen in results["chosen"].items():
        rows = matching(results["tuning"], method=method)
        assert best_setting(rows, "mean_loss", ("setting",)) == (named(chosen),)
    assert [(r["method"], r["setting"], r["seed"]) for r in results["final"]] == [
        (method, named(results["chosen"][method]), seed)
        for method in METHODS
        for seed in FINAL_SEEDS
    ]


def test_stored_scores_are_those_of_the_stored_curves() -> None:
    for method, curve in stored()["results"]["curves"].items():
        (row,) = matching(stored()["results"]["final"], method=method, seed=0)
        assert len(curve) == STEPS
        assert row["spike_score"] == pytest.approx(
            len(row["spikes"]) / (STEPS - WINDOW)
        )
        assert spike_steps(curve) == row["spikes"]
        assert spike_score(curve) == row["spike_score"]
        assert max(curve[WINDOW:]) == pytest.approx(row["worst_loss"], rel=1e-3)


def test_without_a_guard_at_least_eight_of_ten_seeds_spike() -> None:
    rows = matching(stored()["results"]["final"], method="none")
    assert sum(row["spike_score"] > 0 for row in rows) >= 8


@methods
def test_first_steps_of_the_stored_runs_repeat(method: str) -> None:
    chosen = stored()["results"]["chosen"][method]
    (row,) = matching(stored()["results"]["final"], method=method, seed=0)
    assert first_losses(method, chosen, 0) == pytest.approx(
        row["first_losses"], rel=1e-6
    )
    assert len(row["first_losses"]) == spikes.FIRST_STEPS
