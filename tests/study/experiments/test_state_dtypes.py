"""The study of moments in fewer bits."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from adam_tutorial.optim import Adam
from adam_tutorial.study.experiments import state_dtypes, stored_runs
from adam_tutorial.study.experiments.comparison import Task
from adam_tutorial.study.experiments.state_dtypes import (
    MOMENTS,
    SEEDS,
    STATES,
    nearest,
    round_after_each_step,
    train,
)
from adam_tutorial.study.experiments.study import in_order
from tests.study.experiments.stored import need_its_masks
from tests.study.experiments.toys import toy_task

pytestmark = pytest.mark.usefixtures("float32")


def small_task() -> Task:
    task = toy_task()
    examples = {
        part: (inputs.float(), labels)
        for part, (inputs, labels) in task.examples.items()
    }
    return Task("toy", examples, task.model, task.transform, epochs=2, batch_size=10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.uint8])
@pytest.mark.parametrize(("_", "signed"), MOMENTS)
def test_nearest_level_is_kept_and_no_number_lies_nearer_to_its_neighbour(
    dtype: torch.dtype, _: str, signed: bool
) -> None:
    value = torch.linspace(0.011, 1, 700)
    rounded = nearest(value, dtype, signed=signed)
    assert torch.equal(nearest(rounded, dtype, signed=signed), rounded)
    levels = rounded.unique()
    distance = (value[:, None] - levels).abs().amin(1)
    gap = levels.diff().max()
    assert 0 < gap < 0.3
    assert ((value - rounded).abs() <= distance + 0.06 * gap).all()


def test_state_is_rounded_after_each_step() -> None:
    theta = torch.nn.Parameter(torch.linspace(-1, 1, 300))
    optimizer = Adam([theta])
    round_after_each_step(optimizer, torch.bfloat16)
    for _ in range(3):
        theta.grad = torch.sin(7 * theta.detach())
        optimizer.step()
        for name, _signed in MOMENTS:
            moment = optimizer.state[theta][name]
            assert moment.dtype == torch.float32
            assert torch.equal(moment.bfloat16().float(), moment)


@pytest.mark.parametrize("state", STATES)
def test_states_differ_in_nothing_before_the_first_step(state: str) -> None:
    losses = {
        name: train(small_task(), name, seed=3)[1].step_losses
        for name in ("float32", state)
    }
    assert losses[state][0] == losses["float32"][0]
    assert losses[state] == pytest.approx(losses["float32"], rel=0.05)
    assert (losses[state] == losses["float32"]) == (state == "float32")


def test_study_does_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_dtypes, "_named", lambda: {"toy": small_task()})
    monkeypatch.setattr(state_dtypes, "TASKS", ("toy",))
    monkeypatch.setattr(state_dtypes, "SEEDS", range(2))
    found = in_order(state_dtypes.STUDY)["toy"]
    assert found.keys() == results()["cnn"].keys()
    assert found["runs"][0].keys() == results()["cnn"]["runs"][0].keys()
    assert [(run["state"], run["seed"]) for run in found["runs"]] == [
        (state, seed) for seed in range(2) for state in STATES
    ]


# The stored results


@cache
def tasks() -> dict[str, Task]:
    return {task.name: task for task in state_dtypes.tasks()}


def results() -> dict[str, Any]:
    found: dict[str, Any] = stored_runs("state_dtypes")["results"]
    return found


@pytest.mark.parametrize("name", ["cnn", "textcnn"])
def test_stored_runs_are_those_that_the_study_describes(name: str) -> None:
    found, task = results()[name], tasks()[name]
    assert (found["epochs"], found["batch_size"]) == (task.epochs, task.batch_size)
    assert [(run["state"], run["seed"]) for run in found["runs"]] == [
        (state, seed) for seed in SEEDS for state in STATES
    ]


@pytest.mark.parametrize("name", ["cnn", "textcnn"])
def test_first_steps_of_a_stored_seed_are_repeated(name: str) -> None:
    need_its_masks(stored_runs("state_dtypes"))
    for run in results()[name]["runs"]:
        if run["seed"] == 0:
            losses = run["first_step_losses"]
            _, history = train(tasks()[name], run["state"], 0, max_steps=len(losses))
            # Rounding the moments magnifies what another processor adds differently:
            # to 2e-6 in five steps, to 3e-4 in ten. The states differ by more than
            # 1e-4 after five.
            assert history.step_losses[:5] == pytest.approx(losses[:5], rel=2e-5)
            assert history.step_losses == pytest.approx(losses, rel=3e-3)
