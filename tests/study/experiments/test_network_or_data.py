"""The Transformer and a CNN on MNIST-1D: equal budgets, first steps of stored runs."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from adam_tutorial.study.experiments import network_or_data, stored_runs
from adam_tutorial.study.experiments.network_or_data import (
    FINAL_SEEDS,
    NETWORKS,
    SERIES,
    SIZES,
    SeriesTransformer,
    examples,
    train,
)
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.experiments.transformer import (
    FIRST_STEPS,
    RATES,
    TUNING_SEED,
)
from adam_tutorial.study.models import Transformer
from tests.study.experiments.stored import mnist1d


@pytest.fixture(autouse=True)
def _as_it_was_run(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_default_dtype(torch.float32)
    monkeypatch.setattr(network_or_data, "load_mnist1d", mnist1d)


@cache
def record() -> dict[str, Any]:
    return stored_runs("network_or_data")


# The design


def test_each_optimizer_gets_as_many_rates_and_steps_with_each_network() -> None:
    plan = network_or_data.STUDY.stages["tuning"]({})
    counts = Counter((s["network"], s["batch_size"], s["optimizer"]) for s in plan)
    assert set(counts) == {
        (network, size, name)
        for network in NETWORKS
        for size in SIZES
        for name in RATES
    }
    assert set(counts.values()) == {6}
    assert {(s["batch_size"], s["steps"]) for s in plan} == {(32, 1000), (128, 250)}
    assert {s["seed"] for s in plan} == {TUNING_SEED}
    assert TUNING_SEED not in FINAL_SEEDS


def test_networks_have_about_as_many_parameters() -> None:
    sizes = {
        name: sum(p.numel() for p in make().parameters())
        for name, make in NETWORKS.items()
    }
    assert sizes == {"Transformer": 26_282, "CNN": 26_670}


def test_the_transformer_has_the_blocks_of_the_one_for_text() -> None:
    def shapes(model: Transformer) -> list[tuple[str, torch.Size]]:
        return [(name, p.shape) for name, p in model.blocks.named_parameters()]

    assert shapes(SeriesTransformer()) == shapes(Transformer(103))
    # It begins as small as the table of embeddings that it replaces.
    torch.manual_seed(0)
    spread = SeriesTransformer().embedding.weight.std().item()
    assert spread == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("network", NETWORKS)
def test_logits_depend_on_each_number_of_the_series(network: str) -> None:
    torch.manual_seed(0)
    model = NETWORKS[network]()
    series = torch.randn(3, 40, requires_grad=True)
    logits: Tensor = model(series)
    assert logits.shape == (3, 10)
    (gradient,) = torch.autograd.grad(logits[1].square().sum(), series)
    assert (gradient[1] != 0).all()
    assert (gradient[[0, 2]] == 0).all()


# The data


def test_parts_share_no_series_and_the_test_part_is_the_authors() -> None:
    numbers, labels = mnist1d()
    parts = examples()
    assert {part: len(found[1]) for part, found in parts.items()} == SERIES
    assert torch.equal(parts["test"][0], torch.from_numpy(numbers[4000:]).float())
    assert torch.equal(parts["test"][1], torch.from_numpy(labels[4000:]))
    together = torch.cat([series for series, _ in parts.values()])
    assert len(together.unique(dim=0)) == 5000
    for part in ("train", "validation"):
        counts = torch.bincount(parts[part][1]) / SERIES[part]
        assert (counts - 0.1).abs().max() < 0.005


# The stored runs


def test_stored_runs_are_those_that_the_study_describes() -> None:
    results = record()["results"]
    for stage, plan in network_or_data.STUDY.stages.items():
        wanted = plan(results)
        assert len(results[stage]) == len(wanted)
        for row, settings in zip(results[stage], wanted, strict=True):
            assert {key: row[key] for key in settings} == settings
    assert (record()["dtype"], record()["threads"]) == ("float32", 1)


def test_no_chosen_rate_lies_at_an_end_of_those_tried() -> None:
    for row in record()["results"]["final"]:
        assert RATES[row["optimizer"]][0] < row["lr"] < RATES[row["optimizer"]][-1]


def test_stored_scores_of_the_series_have_the_stored_means() -> None:
    for row in record()["results"]["final"]:
        losses = [float(x) / 100 for x in row["sequence_losses"].split()]
        right = [int(digit) for digit in row["right_answers"]]
        assert len(losses) == len(right) == SERIES["test"]
        assert sum(losses) / len(losses) == pytest.approx(row["test_loss"], abs=5e-3)
        assert sum(right) / len(right) == pytest.approx(row["test_accuracy"])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["SGD with momentum", "Adam"])
def test_first_steps_of_a_stored_run_are_repeated(network: str, name: str) -> None:
    rows = matching(record()["results"]["final"], network=network, optimizer=name)
    (row,) = matching(rows, batch_size=128, seed=4)
    assert len(row["first_step_losses"]) == FIRST_STEPS
    _, history = train(row, max_steps=FIRST_STEPS)
    found, stored = history.step_losses, row["first_step_losses"]
    # The first depends on weights and batch alone; then what rounding changes grows.
    assert found[0] == pytest.approx(stored[0], rel=1e-5)
    assert found == pytest.approx(stored, rel=1e-2)


def test_a_study_takes_the_best_rate_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def toy_examples() -> dict[str, tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        series = torch.randn(48, 40, generator=generator)
        labels = series[:, 0].gt(0).long()
        return {
            part: (series[place : place + 16], labels[place : place + 16])
            for part, place in (("train", 0), ("validation", 16), ("test", 32))
        }

    monkeypatch.setattr(network_or_data, "examples", toy_examples)
    monkeypatch.setattr(network_or_data, "SERIES", {"train": 16})
    monkeypatch.setattr(network_or_data, "SIZES", (8,))
    monkeypatch.setattr(network_or_data, "PASSES", 2)
    monkeypatch.setattr(network_or_data, "FINAL_SEEDS", (0,))
    found = in_order(network_or_data.STUDY)
    assert [len(found[stage]) for stage in ("tuning", "final")] == [48, 8]
    for row in found["final"]:
        same = {key: row[key] for key in ("network", "optimizer")}
        tried = matching(found["tuning"], **same)
        ends = [one["validation_loss"] or math.inf for one in tried]
        assert row["lr"] == tried[ends.index(min(ends))]["lr"]
        assert row["steps"] == 4
        assert len(row["right_answers"]) == 16
