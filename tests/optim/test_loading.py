"""What a loaded checkpoint shares with the optimizer, and which counts it may hold."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial import optim

RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


def new(rule: Any, **settings: Any) -> Any:
    return rule([nn.Parameter(torch.ones(3, dtype=torch.float64))], **settings)


def step(optimizer: Any, gradient: float = 1.0) -> None:
    (theta,) = optimizer.param_groups[0]["params"]
    theta.grad = torch.full((3,), gradient, dtype=torch.float64)
    optimizer.step()


def entry(optimizer: Any) -> dict[str, Any]:
    (state,) = optimizer.state.values()
    return dict(state)


@each_rule
def test_entry_of_another_program_is_copied_and_not_shared(rule: Any) -> None:
    first = new(rule)
    step(first)
    checkpoint = first.state_dict()
    checkpoint["state"][0]["mask"] = torch.ones(2)
    checkpoint["state"][0]["notes"] = ["begun"]
    checkpoint["state"]["epoch"] = {"losses": [0.5], "best": torch.zeros(1)}
    checkpoint["param_groups"][0]["history"] = [1]
    second = new(rule)
    second.load_state_dict(checkpoint)

    entry_of_second = second.state[second.param_groups[0]["params"][0]]
    entry_of_second["mask"].zero_()
    entry_of_second["notes"].append("changed")
    second.state["epoch"]["losses"].append(0.4)
    second.state["epoch"]["best"].fill_(7)
    second.param_groups[0]["history"].append(2)
    assert checkpoint["state"][0]["mask"].tolist() == [1, 1]
    assert checkpoint["state"][0]["notes"] == ["begun"]
    assert checkpoint["state"]["epoch"] == {"losses": [0.5], "best": torch.zeros(1)}
    assert checkpoint["param_groups"][0]["history"] == [1]


@each_rule
@pytest.mark.parametrize("zero", [0, 0.0, torch.tensor(0.0)], ids=repr)
def test_count_of_zero_is_that_of_a_parameter_before_its_first_step(
    rule: Any, zero: Any
) -> None:
    trained, fresh = new(rule), new(rule)
    step(trained)
    checkpoint = trained.state_dict()
    state = checkpoint["state"][0]
    for slot in trained.slots(trained.param_groups[0]["params"][0]):
        if slot.name in state:
            state[slot.name] = torch.full_like(state[slot.name], slot.first)
    state["step"] = zero
    loaded = new(rule)
    loaded.load_state_dict(checkpoint)
    for optimizer in (fresh, loaded):
        step(optimizer, -2.0)
    assert entry(loaded)["step"] == 1
    for name, value in entry(fresh).items():
        assert torch.equal(entry(loaded)[name], value), name
