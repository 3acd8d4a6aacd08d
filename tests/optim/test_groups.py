"""How parameters are given: generators, groups, names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from adam_tutorial.optim import Adam
from tests.optim.steps import new_parameters, parameters_of, take_steps
from tests.optimizers import Case, each_optimizer


@each_optimizer
def test_group_added_later_starts_fresh_and_takes_the_defaults(case: Case) -> None:
    parameters = new_parameters()
    optimizer = case.new(parameters[:2], lr=0.2, weight_decay=0.1)
    take_steps(optimizer, parameters, range(3))
    own = {"maximize": True, **case.only(betas=(0.5, 0.5))}
    optimizer.add_param_group({"params": parameters[2:], **own})
    added = optimizer.param_groups[1]
    assert (added["lr"], added["weight_decay"]) == (0.2, 0.1)
    assert {name: added[name] for name in own} == own
    take_steps(optimizer, parameters, range(3, 5))
    steps = [optimizer.state[parameter]["step"].item() for parameter in parameters]
    assert steps == [5, 5, 2, 2]


@each_optimizer
def test_generator_of_parameters_is_not_used_up_by_the_checks(case: Case) -> None:
    first, second, third = nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5)
    optimizer = case.new(first.parameters())
    optimizer.add_param_group({"params": second.parameters()})
    matrices = filter(lambda p: p.ndim == 2, third.parameters())
    optimizer.add_param_group({"params": matrices})
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    assert sizes == [2, 2, 1]
    assert optimizer.param_groups[1]["params"][0] is second.weight


def test_generators_of_parameters_may_be_given_in_groups() -> None:
    model = nn.Linear(2, 3)
    optimizer = Adam([{"params": model.parameters(), "lr": 0.5}])
    assert [
        p is q
        for p, q in zip(parameters_of(optimizer), model.parameters(), strict=True)
    ] == [True, True]
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_one_tensor_may_be_given_without_a_list() -> None:
    theta = torch.zeros(2)
    optimizer = Adam([{"params": theta}])
    assert optimizer.param_groups[0]["params"][0] is theta


def test_equal_parameters_that_are_different_tensors_are_accepted() -> None:
    parameters = [torch.zeros(2), torch.zeros(2)]
    optimizer = Adam(parameters)
    assert [p is q for p, q in zip(parameters_of(optimizer), parameters, strict=True)]


def test_group_given_is_the_group_of_the_optimizer() -> None:
    parameters = new_parameters()
    first: dict[str, Any] = {"params": parameters[:1], "lr": 0.5, "betas": [0.5, 0.5]}
    second: dict[str, Any] = {"params": iter(parameters[1:])}
    optimizer = Adam([first])
    optimizer.add_param_group(second)
    assert optimizer.param_groups[0] is first
    assert optimizer.param_groups[1] is second
    assert first["betas"] == (0.5, 0.5)
    assert second["params"] == parameters[1:]
    # A program that holds the dict changes the rate of the next step.
    for group in (first, second):
        group["lr"] = 0.0
    before = [parameter.detach().clone() for parameter in parameters]
    take_steps(optimizer, parameters, range(3))
    assert all(map(torch.equal, parameters, before))


@each_optimizer
def test_named_parameters_keep_their_names(case: Case) -> None:
    model = nn.Linear(2, 3)
    optimizer = case.new(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    saved = optimizer.state_dict()["param_groups"][0]
    assert saved["param_names"] == ["weight", "bias"]
    torch.autograd.backward(model(torch.ones(1, 2)).sum())
    before = model.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(model.weight, before)


@each_optimizer
def test_printed_optimizer_names_itself_and_all_its_settings(case: Case) -> None:
    text = repr(case.new(new_parameters(), lr=0.25))
    assert text.startswith(f"{case.optimizer.__name__} (\nParameter Group 0\n")
    for name in (*case.hyperparameters, *case.flags):
        assert f"    {name}: " in text
    assert "    lr: 0.25\n" in text
    assert f"    weight_decay: {case.hyperparameters['weight_decay']}\n" in text
