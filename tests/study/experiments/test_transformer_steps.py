"""The Transformer with as many steps at every batch size."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch

from adam_tutorial.study.experiments import (
    stored_runs,
    transformer,
    transformer_steps,
)
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.experiments.transformer import (
    AT_EQUAL_STEPS,
    FIRST_STEPS,
    RATES,
    TUNING_SEED,
)
from adam_tutorial.study.experiments.transformer_steps import FINAL_SEEDS, SIZES, STEPS
from tests.study.experiments.stored import loaded


@pytest.fixture(autouse=True)
def _as_it_was_run() -> None:
    torch.set_default_dtype(torch.float32)


@cache
def record() -> dict[str, Any]:
    return stored_runs("transformer_steps")


def test_each_optimizer_gets_as_many_rates_and_steps_at_each_batch_size() -> None:
    plan = transformer_steps.STUDY.stages["tuning"]({})
    counts = Counter((s["optimizer"], s["batch_size"]) for s in plan)
    assert set(counts) == {(name, size) for name in AT_EQUAL_STEPS for size in SIZES}
    assert set(counts.values()) == {6}
    assert {s["steps"] for s in plan} == {STEPS}
    assert TUNING_SEED not in FINAL_SEEDS


def test_stored_runs_are_those_that_the_study_describes() -> None:
    results = record()["results"]
    for stage, plan in transformer_steps.STUDY.stages.items():
        wanted = plan(results)
        assert len(results[stage]) == len(wanted)
        for row, settings in zip(results[stage], wanted, strict=True):
            assert {key: row[key] for key in settings} == settings
    for row in results["final"]:
        assert RATES[row["optimizer"]][0] < row["lr"] < RATES[row["optimizer"]][-1]
    assert (record()["dtype"], record()["threads"]) == ("float32", 1)


def test_stored_losses_of_the_sequences_have_the_stored_mean() -> None:
    for row in record()["results"]["final"]:
        losses = [float(x) / 100 for x in row["sequence_losses"].split()]
        assert len(losses) == 512
        mean = sum(losses) / len(losses)
        if row["test_loss"] is None:  # it diverged
            assert math.isnan(mean)
        else:
            assert mean == pytest.approx(row["test_loss"], abs=5e-3)


def test_first_steps_of_a_stored_run_are_repeated() -> None:
    loaded(transformer.characters)
    (row,) = matching(
        record()["results"]["final"], optimizer="Adam", batch_size=32, seed=4
    )
    assert len(row["first_step_losses"]) == FIRST_STEPS
    _, history = transformer.train(row, max_steps=FIRST_STEPS)
    assert history.step_losses == pytest.approx(row["first_step_losses"], rel=1e-2)


def test_a_study_takes_the_best_rate_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def toy_examples(part: str) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(len(part))
        numbers = torch.randint(9, (16, 7), generator=generator)
        return numbers[:, :6], numbers[:, 1:]

    for module in (transformer, transformer_steps):
        monkeypatch.setattr(module, "examples", toy_examples)
    monkeypatch.setattr(transformer, "characters", lambda: range(9))
    monkeypatch.setattr(transformer, "CONTEXT", 6)
    monkeypatch.setattr(transformer_steps, "SIZES", (16,))
    monkeypatch.setattr(transformer_steps, "STEPS", 2)
    monkeypatch.setattr(transformer_steps, "FINAL_SEEDS", (0,))
    found = in_order(transformer_steps.STUDY)
    assert [len(found[stage]) for stage in ("tuning", "final")] == [18, 3]
    for row in found["final"]:
        tried = matching(found["tuning"], optimizer=row["optimizer"])
        ends = [one["validation_loss"] or math.inf for one in tried]
        assert row["lr"] == tried[ends.index(min(ends))]["lr"]
