from __future__ import annotations

import math
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest

from adam_tutorial.study import networks
from adam_tutorial.study.experiments import pains, stored_runs
from adam_tutorial.study.experiments.pains import (
    FINAL_SEEDS,
    GRID,
    PAINS,
    RULES,
    TUNING_SEEDS,
    Pain,
    beginning,
    best_rate,
    digits_of,
    final_losses,
    in_other_units,
    run,
    score,
    tuned_loss,
)
from adam_tutorial.study.experiments.study import in_order

tasks = pytest.mark.parametrize("name", PAINS)


@cache
def stored() -> dict[str, Any]:
    return stored_runs("pains")


def row(rule: str, lr: float, loss: float | None) -> dict[str, Any]:
    return {"rule": rule, "lr": lr, "loss": loss}


def test_grid_has_two_learning_rates_a_decade_from_a_millionth_to_ten() -> None:
    expected = [m * 10.0**e for e in range(-6, 1) for m in (1, 3.2)] + [10]
    np.testing.assert_allclose(GRID, expected)


def test_digits_are_the_first_of_four_thousand() -> None:
    x, y = digits_of(7)
    assert x.shape == (7, 784)
    assert len(digits_of()[1]) == 4000
    np.testing.assert_array_equal(y, digits_of()[1][:7])
    assert (x.min(), x.max()) == (0, 1)


def test_other_units_leave_the_logits_as_they_are() -> None:
    x, _ = digits_of(5)
    start = networks.initialise((784, 4, 10), np.random.default_rng(0))
    scaled, parameters = in_other_units(x, start, 100.0)
    np.testing.assert_allclose(
        networks.logits(parameters, scaled), networks.logits(start, x)
    )
    changed = np.unique(np.nonzero(scaled != x)[1] % 28)
    assert changed.max() < 14


def test_score_is_the_loss_over_all_draws_of_wrong_labels() -> None:
    pain = Pain(images=6, steps=1, batch_size=2, wrong_labels=0.5)
    x, y, start = beginning(pain, 0)
    z = networks.logits(start, x)
    assert score(pain, start, x, y) == networks.expected_cross_entropy(z, y, 0.5)


def test_seed_decides_on_weights_order_and_labels() -> None:
    pain = Pain(images=30, steps=4, batch_size=10, wrong_labels=0.3)
    one, again, other = (
        [step.loss for step in run(pain, "momentum", 0.01, seed)] for seed in (0, 0, 1)
    )
    assert one == again
    assert len(one) == 4
    assert one != other
    short = [step.loss for step in run(pain, "momentum", 0.01, 0, steps=2)]
    assert short == one[:2]


def test_learning_rate_with_a_diverged_run_is_not_the_best() -> None:
    rows = [
        row("a", 1.0, 0.1),
        row("a", 1.0, None),
        row("a", 0.1, 0.5),
        row("a", 0.1, 0.7),
    ]
    assert tuned_loss(rows, "a", 0.1) == pytest.approx(0.6)
    assert tuned_loss(rows, "a", 1.0) == math.inf
    assert best_rate(rows, "a") == 0.1
    assert final_losses(rows, "a").tolist() == [0.1, math.inf, 0.5, 0.7]
    with pytest.raises(ValueError, match=r"no run with rule='b', lr=1\.0"):
        tuned_loss(rows, "b", 1.0)


def test_study_finds_what_the_stored_results_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny = {"tiny": Pain(images=40, steps=20, batch_size=10)}
    monkeypatch.setattr(pains, "PAINS", tiny)
    # The last one diverges, so that a run without a loss is stored too.
    monkeypatch.setattr(pains, "GRID", (0.01, 1e200))
    monkeypatch.setattr(pains, "RULES", {"gradient descent": RULES["gradient descent"]})
    result = in_order(pains.STUDY)["tiny"]
    expected = stored()["results"]["noise"]
    assert result.keys() == expected.keys()
    for part in ("tuning", "final"):
        assert result[part][0].keys() == expected[part][0].keys()
    assert result["chosen"] == {"gradient descent": 0.01}
    assert [r["loss"] is None for r in result["tuning"]] == [False, False, True, True]
    assert [len(r["curve"]) for r in result["final"]] == [20, 20, 20]


def test_stored_results_say_how_they_were_made() -> None:
    record = stored()
    command = (
        "python -m adam_tutorial.study.experiments.pains --out"
        " adam_tutorial/study/results/pains.json"
    )
    assert record["command"] == command
    assert record["grid"] == list(GRID)
    assert record["tuning_seeds"] == list(TUNING_SEEDS)
    assert record["final_seeds"] == list(FINAL_SEEDS)
    assert set(record["results"]) == set(PAINS)


@tasks
def test_stored_runs_are_those_that_the_experiment_describes(name: str) -> None:
    result = stored()["results"][name]
    assert Pain(**result["pain"]) == PAINS[name]
    tuned = [(r["rule"], r["lr"], r["seed"]) for r in result["tuning"]]
    assert tuned == [
        (rule, lr, seed) for rule in RULES for lr in GRID for seed in TUNING_SEEDS
    ]
    assert result["chosen"] == {
        rule: best_rate(result["tuning"], rule) for rule in RULES
    }
    final = [(r["rule"], r["lr"], r["seed"]) for r in result["final"]]
    assert final == [
        (rule, result["chosen"][rule], s) for rule in RULES for s in FINAL_SEEDS
    ]


@tasks
def test_stored_best_learning_rates_are_not_at_an_end_of_the_grid(name: str) -> None:
    assert all(
        GRID[0] < lr < GRID[-1] for lr in stored()["results"][name]["chosen"].values()
    )


@tasks
@pytest.mark.parametrize("rule", RULES)
def test_first_steps_of_the_stored_runs_repeat(name: str, rule: str) -> None:
    result = stored()["results"][name]
    first = next(r for r in result["final"] if r["rule"] == rule)
    steps = len(first["first_step_losses"])
    assert steps == 10
    losses = [
        s.loss
        for s in islice(run(PAINS[name], rule, first["lr"], first["seed"]), steps)
    ]
    assert losses == pytest.approx(first["first_step_losses"], rel=1e-5)
