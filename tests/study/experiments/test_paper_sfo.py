"""Adam against SFO: same starts and minibatches, what is counted, what is stored."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from adam_tutorial.study.experiments import paper, paper_data, paper_sfo, stored_runs
from adam_tutorial.study.experiments.paper import chosen_rates
from adam_tutorial.study.experiments.paper_sfo import PARTS, TASKS, Losses, train
from adam_tutorial.study.experiments.records import Row, matching
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.models import DenseNet
from tests.study.experiments.stored import need_its_masks

SFO = {"task": "dense", "optimizer": "SFO", "parts": 3, "seed": 0}
ADAM = SFO | {"optimizer": "Adam", "lr": 1e-3}


def narrow(dropout: tuple[float, float], _: Any) -> DenseNet:
    return DenseNet((784, 8, 10), dropout)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have narrow networks, 100 digits, two epochs and two learning rates."""
    torch.set_default_dtype(torch.float64)
    images, labels = paper_data.digits()["train"]
    few = {"train": (images[:100].double(), labels[:100])}
    monkeypatch.setattr(paper_sfo, "digits", lambda: few)
    tasks = {
        name: replace(
            paper.TASKS[name],
            model=partial(narrow, dropout),
            rates={"Adam": (1e-3, 1e-2)},
            epochs=2,
            tuning_epochs=1,
        )
        for name, dropout in zip(TASKS, ((0, 0), (0.2, 0.5)), strict=True)
    }
    monkeypatch.setattr(paper, "TASKS", tasks)


def test_adam_gets_the_rates_of_the_other_study_and_sfo_has_none() -> None:
    plan = paper_sfo.STUDY.stages["tuning"]({})
    for task in TASKS:
        rates = tuple(row["lr"] for row in plan if row["task"] == task)
        assert rates == paper.TASKS[task].rates["Adam"]
    assert {row["optimizer"] for row in plan} == {"Adam"}
    assert {row["seed"] for row in plan}.isdisjoint(paper.FINAL_SEEDS)


@pytest.mark.usefixtures("toy")
def test_minibatches_are_all_examples_and_stay() -> None:
    losses = Losses("dense", 7, 0)
    together = torch.cat(losses.parts)
    assert together.sort().values.tolist() == list(range(100))
    assert {len(part) for part in losses.parts} == {14, 15}
    again, other = Losses("dense", 7, 0), Losses("dense", 7, 1)
    assert torch.equal(together, torch.cat(again.parts))
    assert not torch.equal(together, torch.cat(other.parts))
    starts = [parameters_to_vector(one.parameters) for one in (losses, again, other)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


@pytest.mark.usefixtures("toy")
def test_other_type_starts_from_the_same_weights() -> None:
    wide, narrow = Losses("dense", 3, 0), Losses("dense", 3, 0, "float32")
    theta = parameters_to_vector(narrow.parameters)
    assert theta.dtype == narrow.images.dtype == torch.float32
    assert torch.equal(theta, parameters_to_vector(wide.parameters).float())
    _, _, kept = train(SFO | {"dtype": "float32"}, 1)
    assert kept


@pytest.mark.usefixtures("toy")
def test_value_and_gradient_of_a_minibatch_hold_the_penalty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heavy = {"dense": replace(paper.TASKS["dense"], l2=0.3)}
    monkeypatch.setattr(paper, "TASKS", heavy)
    losses = Losses("dense", 4, 0)
    theta = parameters_to_vector(losses.parameters).detach().clone()
    value, gradient = losses(theta, 2)
    logits = losses.model(losses.images[losses.parts[2]])
    labels = losses.labels[losses.parts[2]]
    expected = torch.nn.functional.cross_entropy(logits, labels) + 0.15 * theta @ theta
    assert value == pytest.approx(expected.item())
    along = torch.randn(len(theta), generator=torch.Generator().manual_seed(0))
    ahead, _ = losses(theta + 1e-6 * along, 2)
    behind, _ = losses(theta - 1e-6 * along, 2)
    assert (ahead - behind) / 2e-6 == pytest.approx((gradient @ along).item(), rel=1e-6)
    # The whole is the mean of the parts, weighted by their sizes.
    some = [losses(theta, part)[0] for part in range(4)]
    assert losses.whole() == pytest.approx(sum(some) / 4)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("settings", [SFO, ADAM], ids=["SFO", "Adam"])
def test_an_epoch_is_as_many_evaluations_as_minibatches(
    settings: Row, task: str
) -> None:
    losses, costs, _ = train(settings | {"task": task}, 4)
    assert len(costs) == 5
    assert 12 <= len(losses.values) < 12 + 12
    assert costs[-1] < costs[0]
    # Looking at the costs does not change the path, dropout or not.
    shorter, _, _ = train(settings | {"task": task}, 99, max_evaluations=11)
    assert shorter.values[:11] == losses.values[:11]
    assert len(shorter.values) < 99


@pytest.mark.usefixtures("toy")
def test_adam_visits_each_minibatch_once_an_epoch_in_changing_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visited: list[int] = []
    here = Losses.here

    def spied(losses: Losses, part: int) -> tuple[float, torch.Tensor]:
        visited.append(part)
        return here(losses, part)

    monkeypatch.setattr(Losses, "here", spied)
    train(ADAM | {"parts": 9}, 3)
    epochs = [visited[start : start + 9] for start in (0, 9, 18)]
    assert all(sorted(one) == list(range(9)) for one in epochs)
    assert epochs[0] != epochs[1]


@pytest.mark.usefixtures("toy")
def test_adam_is_the_adam_of_the_other_study() -> None:
    losses = Losses("dense", 3, 0)
    model = Losses("dense", 3, 0).model
    task = paper.TASKS["dense"]
    step, _ = paper_sfo._adam(losses, ADAM)
    optimizer = paper.METHODS["Adam"].make(model.parameters(), 1e-3, task.l2)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(0)).tolist()
    for part in order:
        step()
        rows = losses.parts[part]
        optimizer.zero_grad()
        logits = model(losses.images[rows])
        torch.nn.functional.cross_entropy(logits, losses.labels[rows]).backward()
        optimizer.step()
    expected = parameters_to_vector(model.parameters())
    assert torch.allclose(parameters_to_vector(losses.parameters), expected)


@pytest.mark.usefixtures("toy")
def test_numbers_that_are_kept_are_counted() -> None:
    size = 784 * 8 + 8 + 8 * 10 + 10
    _, _, moments = train(ADAM, 1)
    assert moments == 2 * size
    _, _, kept = train(SFO, 1)
    assert 3 * 3 + 3 <= kept / size < 3 * 3 + 4


@pytest.mark.usefixtures("toy")
def test_study_tunes_adam_repeats_both_and_takes_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paper_sfo, "PARTS", 5)
    monkeypatch.setattr(paper_sfo, "FEW_PARTS", 2)
    found = in_order(paper_sfo.STUDY)
    json.dumps(found, allow_nan=False)
    for task in TASKS:
        rows = found["final"][task]
        adam = matching(rows, optimizer="Adam")
        sfo = matching(rows, optimizer="SFO", parts=5)
        double = [row for row in sfo if row.get("dtype")]
        assert len(double) == (3 if task == "dense" else 0)
        sfo = [row for row in sfo if row not in double]
        for some in (adam, sfo):
            assert [row["seed"] for row in some] == list(paper.FINAL_SEEDS)
        assert {row["lr"] for row in adam} == {found["chosen"][task]}
        few = matching(rows, optimizer="SFO", parts=2)
        assert len(few) == (3 if task == "dense" else 0)
        for row in rows:
            costs = [float(one) for one in row["costs"].split()]
            assert len(costs) == 3
            assert costs[-1] == pytest.approx(row["cost"], rel=1e-3)
    (times,) = found["times"]
    assert set(times["milliseconds"]) == {"SFO", "Adam", "gradient"}
    assert min(times["milliseconds"].values()) >= 0


# The stored runs


def stored() -> Any:
    return stored_runs("paper_sfo")["results"]


def test_stored_rate_is_that_of_the_stored_tuning() -> None:
    found = stored()
    for task in TASKS:
        rows = found["tuning"][task]
        best = chosen_rates([{"task": task, **row} for row in rows])
        assert found["chosen"][task] == best[task, "Adam"]
        rates = sorted(row["lr"] for row in rows)
        assert rates[0] < found["chosen"][task] < rates[-1]


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("task", TASKS)
def test_first_losses_of_the_stored_runs_are_repeated(task: str) -> None:
    if "dropout" in task:
        need_its_masks(stored_runs("paper_sfo"))
    rows = matching(stored()["final"][task], seed=paper.FINAL_SEEDS[0])
    assert {row["parts"] for row in rows} <= {PARTS, paper_sfo.FEW_PARTS}
    for row in rows:
        expected = row["first_losses"]
        losses, _, _ = train({"task": task, **row}, 1, max_evaluations=len(expected))
        # float32: another processor rounds differently.
        assert losses.values[: len(expected)] == pytest.approx(expected, rel=1e-3)
