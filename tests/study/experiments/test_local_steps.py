from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from adam_tutorial.study.experiments import local_steps, stored_runs
from adam_tutorial.study.experiments.local_steps import (
    FINAL_SEEDS,
    RANKS,
    RATES,
    STEPS,
    TUNING_SEEDS,
    WAYS,
    Way,
    in_processes,
    study_of,
    train,
)
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.theory import all_reduce_cost

pytestmark = pytest.mark.usefixtures("float64")
PARAMETERS = 50_890


@pytest.fixture
def group_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", loopback)
    where = f"file://{tmp_path / 'rendezvous'}"
    dist.init_process_group("gloo", init_method=where, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def results() -> Any:
    return stored_runs("local_steps")["results"]


def test_stored_runs_are_those_that_the_module_describes() -> None:
    stored = results()
    assert stored["ranks"] == RANKS
    assert stored["steps"] == STEPS
    assert stored["chosen"].keys() == WAYS.keys()
    assert len(stored["tuning"]) == len(WAYS) * len(RATES) * len(TUNING_SEEDS)
    assert len(stored["final"]) == len(WAYS) * len(FINAL_SEEDS)


def test_stored_bytes_are_those_of_the_cost_model() -> None:
    once = all_reduce_cost(8 * PARAMETERS, RANKS, "halves").bytes
    for name, way in WAYS.items():
        (sent,) = {row["bytes"] for row in matching(results()["final"], way=name)}
        times = STEPS // way.accumulated // way.every
        # Gradients have their loss with them.
        extra = times * all_reduce_cost(8, RANKS, "halves").bytes
        expected = times * once + (0 if way.outer else extra)
        # An odd number of elements has no halves: this process sends one less, at most.
        assert sent == pytest.approx(expected, abs=8 * times)


def test_each_way_was_tuned_within_its_grid_or_at_its_end_and_says_so() -> None:
    for name, lr in results()["chosen"].items():
        means = {
            rate: sum(
                row["validation_loss"]
                for row in matching(results()["tuning"], way=name, lr=rate)
            )
            for rate in RATES
        }
        assert lr == min(means, key=lambda rate: means[rate])


@pytest.mark.usefixtures("group_of_one")
def test_alone_every_way_of_averaging_each_step_is_adam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examples = torch.rand(400, 1, 28, 28), torch.randint(10, (400,))
    monkeypatch.setattr(local_steps, "BATCH", 20)
    runs = [
        train(way, 0.001, 0, examples, steps=20)
        for way in (Way(), Way(1, (1.0, 0.0)), Way(7, (1.0, 0.0)))
    ]
    for _, losses, sent in runs:
        assert losses == pytest.approx(runs[0][1], rel=1e-9)
        assert sent == 0
    _, losses, _ = train(Way(accumulated=5), 0.001, 0, examples, steps=20)
    assert len(losses) == 4


@pytest.mark.usefixtures("group_of_one")
def test_a_study_is_tuned_on_validation_and_tested_with_fresh_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_one(work: Any, *arguments: Any) -> Any:
        return [work(*arguments)]

    monkeypatch.setattr(local_steps, "WAYS", {"gradients, every step": Way()})
    monkeypatch.setattr(local_steps, "RATES", RATES[:2])
    monkeypatch.setattr(local_steps, "in_processes", of_one)
    found = in_order(study_of("toy", (100,), (0, 1), 3))
    stored = stored_runs("local_steps")["results"]
    assert found.keys() == stored.keys()
    for part in ("tuning", "final"):
        assert found[part][0].keys() == stored[part][0].keys()
    assert [row["seed"] for row in found["final"]] == [0, 1]
    assert len(found["tuning"]) == 2
    assert all(math.isfinite(row["test_loss"]) for row in found["final"])


def test_functions_run_in_a_group_of_processes_and_return_in_order() -> None:
    assert in_processes(dist.get_rank, ranks=2) == [0, 1]


def test_an_error_in_one_process_ends_all() -> None:
    with pytest.raises(RuntimeError, match="one of the processes failed"):
        in_processes(math.sqrt, -1.0, ranks=1)
