"""A small Transformer: settings fixed, budgets equal, first steps of stored runs."""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
from torch.optim import SGD

from adam_tutorial import optim
from adam_tutorial.study.experiments import stored_runs, transformer
from adam_tutorial.study.experiments.comparison import best_learning_rates
from adam_tutorial.study.experiments.records import best_setting, matching
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.experiments.transformer import (
    AT_EQUAL_STEPS,
    BETA_RATES,
    BETAS,
    FACTORS,
    FINAL_SEEDS,
    LENGTHS,
    RATES,
    SAFEGUARDS,
    SEQUENCES,
    SIZES,
    STEPS,
    TUNING_SEED,
    characters,
    examples,
    optimizer_of,
)
from tests.study.experiments.stored import loaded

from .toys import toy_model


@pytest.fixture(autouse=True)
def _as_it_was_run() -> None:
    torch.set_default_dtype(torch.float32)


def plan(stage: str) -> list[dict[str, Any]]:
    return transformer.STUDY.stages[stage](record()["results"])


# The design


@pytest.mark.parametrize("stage", ["tuning", "steps_tuning"])
def test_each_optimizer_gets_as_many_rates_at_each_batch_size(stage: str) -> None:
    found = transformer.STUDY.stages[stage]({})
    counts = Counter((s["optimizer"], s["batch_size"], s["seed"]) for s in found)
    names = tuple(RATES) if stage == "tuning" else AT_EQUAL_STEPS
    sizes = SIZES if stage == "tuning" else (8, 32, 512)
    assert set(counts) == {(n, size, TUNING_SEED) for n in names for size in sizes}
    assert set(counts.values()) == {6}
    assert TUNING_SEED not in FINAL_SEEDS


def test_tuning_takes_equal_numbers_of_tokens_or_of_steps() -> None:
    stages = transformer.STUDY.stages
    assert {s["steps"] * s["batch_size"] for s in stages["tuning"]({})} == {8192}
    assert {s["steps"] for s in stages["steps_tuning"]({})} == {STEPS}
    assert SEQUENCES["train"] // 128 == STEPS


def test_each_pair_of_decay_rates_gets_as_many_rates_at_each_length() -> None:
    found = transformer.STUDY.stages["betas_tuning"]({})
    counts = Counter((*s["betas"], s["steps"], s["batch_size"]) for s in found)
    assert set(counts) == {(*b, steps, SIZES[0]) for b in BETAS for steps in LENGTHS}
    assert set(counts.values()) == {len(BETA_RATES)}


def test_an_optimizer_is_what_it_is_called() -> None:
    model = toy_model()
    made = {name: optimizer_of({"optimizer": name, "lr": 0.1}, model) for name in RATES}
    assert isinstance(made["SGD with momentum"], SGD)
    assert made["SGD with momentum"].defaults["momentum"] == 0.9
    assert isinstance(made["Adam"], optim.Adam)
    assert made["Adam"].defaults["betas"] == (0.9, 0.999)
    assert isinstance(made["AdamW"], optim.AdamW)
    assert made["AdamW"].defaults["weight_decay"] == 0.1
    guarded = {"optimizer": "Adam", "lr": 0.1, "betas": [0.9, 0.95], "clip": 1.0}
    adam = optimizer_of(guarded, model)
    assert adam.defaults["betas"] == (0.9, 0.95)
    assert adam.defaults["max_grad_norm"] == 1


def test_sign_descent_steps_by_the_sign_of_an_average_of_gradients() -> None:
    (theta,) = [torch.nn.Parameter(torch.zeros(1))]
    layer = torch.nn.ParameterList([theta])
    optimizer = optimizer_of(
        {"optimizer": "sign descent with momentum", "lr": 0.5}, layer
    )
    average, place = 0.0, 0.0
    for gradient in (1.0, -0.5, -0.5, -0.5, -3.0, 2.0):
        theta.grad = torch.tensor([gradient])
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient
        place -= 0.5 * math.copysign(1, average)
        assert theta.item() == place


# The text


def test_a_label_is_the_character_after_its_input() -> None:
    loaded(characters)
    for part, count in SEQUENCES.items():
        inputs, labels = examples(part)
        assert inputs.shape == labels.shape == (count, 32)
        assert torch.equal(inputs.flatten()[1:], labels.flatten()[:-1])
    assert len(characters()) == 103
    words = characters().words
    text = "".join(words[number] for number in examples("train")[0][0])
    assert text.isprintable() or "\n" in text


def test_parts_share_no_sentence() -> None:
    loaded(characters)
    parts = [set(transformer._text(part).splitlines()) for part in SEQUENCES]
    assert [len(part) for part in parts] == [8603, 1000, 1000]
    assert len(set.union(*parts)) == 10_603


# What a run does


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    def toy_examples(part: str) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(len(part))
        numbers = torch.randint(9, (16, 7), generator=generator)
        return numbers[:16, :6], numbers[:16, 1:]

    monkeypatch.setattr(transformer, "examples", toy_examples)
    monkeypatch.setattr(transformer, "characters", lambda: range(9))
    monkeypatch.setattr(transformer, "CONTEXT", 6)
    monkeypatch.setattr(transformer, "SEQUENCES", {"train": 16})
    monkeypatch.setattr(transformer, "SIZES", (4, 8))
    monkeypatch.setattr(transformer, "STEPS", 2)
    monkeypatch.setattr(transformer, "LENGTHS", (2, 4))
    monkeypatch.setattr(transformer, "BETAS", BETAS[-1:])
    monkeypatch.setattr(transformer, "BETA_RATES", (0.01,))
    monkeypatch.setattr(transformer, "FINAL_SEEDS", (0,))
    monkeypatch.setattr(transformer, "FACTORS", (3.2,))
    monkeypatch.setattr(transformer, "BLOCK", 2)
    monkeypatch.setattr(
        transformer, "RATES", {name: rates[1:3] for name, rates in RATES.items()}
    )


def test_a_study_tunes_on_validation_and_tests_with_fresh_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small(monkeypatch)
    found = in_order(transformer.STUDY)
    json.dumps(found, allow_nan=False)
    assert {stage: len(rows) for stage, rows in found.items()} == {
        "tuning": 2 * 4 * 2,
        "final": 2 * 4,
        "steps_tuning": 3 * 2,
        "steps": 3,
        "betas_tuning": 2,
        "betas": 2,
        "spikes": 4,
    }
    for row in found["final"]:
        tried = matching(
            found["tuning"], optimizer=row["optimizer"], batch_size=row["batch_size"]
        )
        assert row["lr"] == min(tried, key=lambda one: one["validation_loss"])["lr"]
        losses = [float(x) / 100 for x in row["sequence_losses"].split()]
        assert len(losses) == 16
        assert sum(losses) / 16 == pytest.approx(row["test_loss"], abs=5e-3)
    best = matching(found["final"], optimizer="Adam", batch_size=4)[0]["lr"]
    for row in found["spikes"]:
        assert row["lr"] == pytest.approx(row["factor"] * best, rel=0.05)
        assert len(row["block_losses"]) == 2


@pytest.mark.parametrize(
    ("warmup", "first"), [({}, 0.5), ({"warmup": True}, 0.5), ({"warmup": False}, 1.0)]
)
def test_rate_warms_up_over_a_tenth_or_begins_at_its_highest(
    warmup: dict[str, bool], first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    rates: list[float] = []

    def spied(settings: dict[str, Any], model: torch.nn.Module) -> SGD:
        optimizer = SGD(model.parameters(), lr=settings["lr"])
        optimizer.register_step_pre_hook(
            lambda one, *_: rates.append(one.param_groups[0]["lr"])
        )
        return optimizer

    monkeypatch.setattr(transformer, "optimizer_of", spied)
    settings = {"batch_size": 16, "steps": 20, "lr": 1.0, "seed": 0, **warmup}
    _, history = transformer.train(settings)
    assert len(history.step_losses) == len(rates) == 20
    assert rates[0] == pytest.approx(first, rel=0.01)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.05


# The stored results


@cache
def record() -> dict[str, Any]:
    return stored_runs("transformer")


def rows(stage: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = record()["results"][stage]
    return found


@pytest.mark.parametrize("stage", transformer.STUDY.stages)
def test_stored_runs_are_those_that_the_study_describes(stage: str) -> None:
    wanted = plan(stage)
    assert len(rows(stage)) == len(wanted)
    for row, settings in zip(rows(stage), wanted, strict=True):
        assert {key: row[key] for key in settings} == settings


def test_no_chosen_rate_lies_at_an_end_of_those_tried() -> None:
    for stage in ("tuning", "steps_tuning"):
        for size in {row["batch_size"] for row in rows(stage)}:
            tuned = matching(rows(stage), batch_size=size)
            for name, lr in best_learning_rates(tuned).items():
                assert RATES[name][0] < lr < RATES[name][-1], (stage, size, name)
    for steps in LENGTHS:
        for betas in map(list, BETAS):
            tuned = matching(rows("betas_tuning"), steps=steps, betas=betas)
            (lr,) = best_setting(tuned, "validation_loss", ("lr",))
            assert BETA_RATES[0] < lr < BETA_RATES[-1], (steps, betas)


@pytest.mark.parametrize("stage", ["final", "steps", "betas"])
def test_stored_losses_of_the_sequences_have_the_stored_mean(stage: str) -> None:
    for row in rows(stage):
        losses = [float(x) / 100 for x in row["sequence_losses"].split()]
        assert len(losses) == SEQUENCES["test"]
        assert sum(losses) / len(losses) == pytest.approx(row["test_loss"], abs=5e-3)


@pytest.mark.parametrize("name", RATES)
def test_first_steps_of_stored_runs_are_repeated(name: str) -> None:
    loaded(characters)
    (row,) = matching(rows("final"), batch_size=8, optimizer=name, seed=0)
    repeated(row)


@pytest.mark.parametrize("safeguard", ["clipping", "beta2 = 0.95"])
def test_first_steps_of_runs_with_a_safeguard_are_repeated(safeguard: str) -> None:
    loaded(characters)
    (row,) = matching(rows("spikes"), factor=FACTORS[-1], safeguard=safeguard, seed=0)
    assert set(SAFEGUARDS[safeguard]) <= set(row)
    repeated(row)


def repeated(row: dict[str, Any]) -> None:
    stored = row["first_step_losses"]
    assert len(stored) == transformer.FIRST_STEPS
    _, history = transformer.train(row, max_steps=len(stored))
    assert history.step_losses == pytest.approx(stored, rel=1e-2)


def test_stored_results_say_how_they_were_made() -> None:
    assert record()["command"].startswith(
        "python -m adam_tutorial.study.experiments.transformer --out "
    )
    assert (record()["dtype"], record()["threads"]) == ("float32", 1)
    assert record()["batch_sizes"] == list(SIZES)
    assert {name: tuple(some) for name, some in record()["rates"].items()} == RATES
    assert record()["sequences"] == SEQUENCES
