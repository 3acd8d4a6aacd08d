"""What real programs do, and PyTorch takes: frozen weights, odd settings, own keys."""

from __future__ import annotations

import copy
from collections import UserList
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from adam_tutorial.optim import Adam, AdamW
from tests.optim.steps import new_parameters, take_steps
from tests.optimizers import Case, each_in_torch, each_optimizer

SETTINGS: list[dict[str, Any]] = [
    {"lr": np.array(0.01)},
    {"lr": np.array([0.01])},
    {"lr": np.float32(0.01)},
    {"lr": True},
    {"weight_decay": False},
    {"weight_decay": np.array(0.1)},
    {"betas": UserList([0.8, 0.9])},
    {"betas": np.array([0.8, 0.9])},
    {"maximize": np.True_},
    {"maximize": 1},
    {"amsgrad": np.bool_(True)},
    {"capturable": 0},
    {"foreach": np.True_},
    {"foreach": 0},
    {"fused": np.False_},
    {"fused": 1},
]
EQUAL: list[dict[str, Any]] = [
    {"lr": 0.01},
    {"lr": 0.01},
    {"lr": float(np.float32(0.01))},
    {"lr": 1},
    {"weight_decay": 0},
    {"weight_decay": 0.1},
    {"betas": (0.8, 0.9)},
    {"betas": (0.8, 0.9)},
    {"maximize": True},
    {"maximize": True},
    {"amsgrad": True},
    {"capturable": False},
    {"foreach": True},
    {"foreach": False},
    {"fused": False},
    {"fused": True},
]


@pytest.mark.parametrize("place", range(len(SETTINGS)))
@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize("where", ["constructor", "group"])
def test_setting_of_another_kind_is_the_one_that_it_says(
    place: int, kind: Any, where: str
) -> None:
    parameters, others = new_parameters(), new_parameters()
    odd = copy.copy(SETTINGS[place])
    if where == "constructor":
        one = kind(parameters, **odd)
    else:
        one = kind([{"params": parameters, **odd}])
    other = kind(others, **EQUAL[place])
    for name, value in EQUAL[place].items():
        assert one.param_groups[0][name] == value
        assert type(one.param_groups[0][name]) is type(value)
    take_steps(one, parameters, range(5))
    take_steps(other, others, range(5))
    assert all(map(torch.equal, parameters, others))


FROZEN: dict[str, Tensor] = {
    **{
        str(dtype): torch.ones(4).to(dtype)
        for dtype in (torch.uint8, torch.int8, torch.bool, torch.float8_e4m3fn)
    },
    "expanded": torch.ones(1).expand(4),
    "sparse": torch.eye(4).to_sparse(),
}


@each_optimizer
@pytest.mark.parametrize("kind", FROZEN)
def test_frozen_parameter_of_any_kind_stands_beside_those_that_learn(
    case: Case, kind: str
) -> None:
    frozen = nn.Parameter(FROZEN[kind], requires_grad=False)
    parameters, alone = new_parameters(), new_parameters()
    optimizer = case.new([frozen, *parameters])
    take_steps(optimizer, parameters, range(3))
    take_steps(case.new(alone), alone, range(3))
    assert all(map(torch.equal, parameters, alone))
    again = case.new([frozen, *parameters])
    again.load_state_dict(optimizer.state_dict())
    assert len(again.state) == len(parameters)


@each_optimizer
def test_parameter_without_a_shape_yet_is_taken_and_learns_when_it_has_one(
    case: Case,
) -> None:
    layer = nn.LazyLinear(2)
    optimizer = case.new(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    before = layer.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(layer.weight, before)


@each_optimizer
@pytest.mark.parametrize("nonfinite", ["pass", "skip", "raise"])
def test_step_without_data_gives_the_shapes_of_the_state(
    case: Case, nonfinite: str
) -> None:
    meta = nn.Parameter(torch.zeros(3, 4, device="meta"))
    meta.grad = torch.zeros_like(meta)
    optimizer = case.new([meta], nonfinite=nonfinite)
    optimizer.step()
    with FakeTensorMode():
        fake = nn.Parameter(torch.zeros(3, 4))
        fake.grad = torch.zeros(3, 4)
        other = case.new([fake], nonfinite=nonfinite)
        other.step()
    for entry in (optimizer.state[meta], other.state[fake]):
        shapes = {name: tuple(value.shape) for name, value in entry.items()}
        expected = {"step": (), **dict.fromkeys(case.numbers, ())}
        assert shapes == {**expected, **case.moments_of((3, 4))}


def test_attribute_that_scripts_set_can_be_set() -> None:
    optimizer = AdamW(new_parameters(), fused=True)
    assert optimizer._step_supports_amp_scaling
    optimizer._step_supports_amp_scaling = False
    assert not optimizer._step_supports_amp_scaling
    assert not Adam(new_parameters())._step_supports_amp_scaling


def test_groups_of_another_optimizer_are_taken_with_all_their_keys() -> None:
    for old in (torch.optim.SGD, torch.optim.NAdam):
        parameters, others = new_parameters(), new_parameters()
        settings: dict[str, Any] = {"momentum": 0.9} if old is torch.optim.SGD else {}
        groups = old(parameters, lr=0.1, **settings).param_groups
        their_groups = old(others, lr=0.1, **settings).param_groups
        take_steps(AdamW(groups), parameters, range(5))
        take_steps(torch.optim.AdamW(their_groups), others, range(5))
        for one, other in zip(parameters, others, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


@each_in_torch
def test_state_of_a_group_that_was_taken_out_is_not_in_the_checkpoint(
    case: Case,
) -> None:
    parameters = new_parameters()
    optimizer = case.new([{"params": parameters[:2]}, {"params": parameters[2:]}])
    take_steps(optimizer, parameters, range(3))
    removed = optimizer.param_groups.pop()
    saved = optimizer.state_dict()
    assert sorted(saved["state"]) == [0, 1]
    assert len(optimizer.state) == len(parameters)
    optimizer.add_param_group(removed)
    assert sorted(optimizer.state_dict()["state"]) == [0, 1, 2, 3]


@each_in_torch
def test_learning_rate_below_zero_by_rounding_trains_on_saves_and_loads(
    case: Case,
) -> None:
    parameters, others = new_parameters(), new_parameters()
    optimizer = case.new(parameters)
    optimizer.param_groups[0]["lr"] = -1e-20
    take_steps(optimizer, parameters, range(3))
    resumed = case.new(others)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.param_groups[0]["lr"] == -1e-20


def test_tensor_weight_decay_has_a_derivative() -> None:
    for kind in (Adam, AdamW):

        def after_a_step(weight_decay: Tensor, kind: Any = kind) -> Tensor:
            theta = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
            theta = theta.clone()
            settings = {"lr": 0.1, "eps": 1e-2, "weight_decay": weight_decay}
            optimizer = kind([theta], differentiable=True, **settings)
            for _ in range(2):
                theta.grad = torch.full_like(theta, 0.3)
                optimizer.step()
            return theta

        decay = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(after_a_step, (decay,))
