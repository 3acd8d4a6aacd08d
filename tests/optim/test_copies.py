"""Copies of an optimizer, hooks of saving and loading, names in checkpoints."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from adam_tutorial.optim import Adam
from tests.optim.steps import (
    assert_same,
    copies,
    frozen,
    new_parameters,
    parameters_of,
    snapshot,
    take_steps,
    through_a_file,
    trained,
)
from tests.optimizers import Case, each_optimizer


def pickled(optimizer: Any) -> Any:
    return pickle.loads(pickle.dumps(optimizer))  # noqa: S301


@each_optimizer
@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_copy_of_an_optimizer_continues_on_the_same_path_and_apart(
    case: Case, copied: Callable[[Any], Any]
) -> None:
    optimizer = trained(case.new, lr=0.03, weight_decay=0.1, nonfinite="skip")
    before = snapshot(optimizer)
    twin = copied(optimizer)
    assert type(twin) is case.optimizer
    assert twin.defaults.items() >= optimizer.defaults.items()
    take_steps(twin, parameters_of(twin), range(20, 30))
    assert snapshot(optimizer) == before
    take_steps(optimizer, parameters_of(optimizer), range(20, 30))
    assert snapshot(twin) == snapshot(optimizer)
    assert_same(parameters_of(twin), parameters_of(optimizer))
    twin.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    assert twin.param_groups[1]["nonfinite"] == "skip"


def test_hooks_of_saving_and_loading_are_called_and_may_replace_the_state() -> None:
    optimizer = trained(Adam, lr=0.5)
    seen: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda _: seen.append("before saving"))

    def after_saving(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        seen.append("after saving")
        return {**state, "note": 1}

    optimizer.register_state_dict_post_hook(after_saving)
    state = optimizer.state_dict()
    assert state["note"] == 1

    def before_loading(_: Optimizer, given: dict[str, Any]) -> dict[str, Any]:
        seen.append("before loading")
        groups = [{**group, "lr": 0.125} for group in given["param_groups"]]
        given.pop("note")  # of a copy: the caller's dictionary stays as it is
        return {**given, "param_groups": groups}

    def after_loading(loaded: Optimizer) -> None:
        seen.append(f"after loading: {loaded.param_groups[0]['lr']}")

    optimizer.register_load_state_dict_pre_hook(before_loading)
    optimizer.register_load_state_dict_post_hook(after_loading)
    optimizer.load_state_dict(state)
    assert state["note"] == 1
    assert seen == [
        "before saving",
        "after saving",
        "before loading",
        "after loading: 0.125",
    ]


def test_hook_that_returns_nothing_leaves_the_state_as_it_is() -> None:
    optimizer = Adam(new_parameters())
    optimizer.register_load_state_dict_pre_hook(lambda *_: None)
    optimizer.load_state_dict(trained(Adam, lr=0.5).state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.5


@each_optimizer
def test_names_of_parameters_go_through_a_file(case: Case) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).double()
    parameters = list(model.parameters())
    optimizer = case.new(model.named_parameters())
    take_steps(optimizer, parameters, range(3))
    saved = through_a_file(optimizer.state_dict())
    names = ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert saved["param_groups"][0]["param_names"] == names
    renamed = case.new([(f"new.{i}", p) for i, p in enumerate(copies(parameters))])
    renamed.load_state_dict(saved)
    assert renamed.param_groups[0]["param_names"] == names  # as PyTorch does
    assert frozen(renamed.state_dict()) == frozen(optimizer.state_dict())


@each_optimizer
def test_checkpoint_without_names_leaves_the_names_of_the_optimizer(case: Case) -> None:
    model = nn.Linear(2, 3).double()
    optimizer = case.new(model.named_parameters())
    optimizer.load_state_dict(
        trained(case.new, copies(list(model.parameters()))).state_dict()
    )
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
