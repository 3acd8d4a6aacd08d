"""A step that cannot be taken for one parameter changes none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial.optim import Adam, base
from adam_tutorial.optim.groups import check_can_be_optimized
from tests.optim.steps import frozen, new_parameters, set_gradients, take_steps
from tests.optimizers import Case, each_optimizer, each_optimizer_exactly


def trained(case: Case) -> tuple[Any, list[nn.Parameter]]:
    parameters = new_parameters()
    optimizer = case.new([{"params": parameters[:2]}, {"params": parameters[2:]}])
    take_steps(optimizer, parameters, range(3))
    set_gradients(parameters, 3)
    return optimizer, parameters


def everything(optimizer: Any, parameters: list[nn.Parameter]) -> Any:
    return frozen([list(optimizer.state.values()), parameters])


def refused(
    optimizer: Any,
    parameters: list[nn.Parameter],
    error: type[Exception],
    message: str,
) -> None:
    before = everything(optimizer, parameters)
    with pytest.raises(error, match=message):
        optimizer.step()
    assert everything(optimizer, parameters) == before


@each_optimizer_exactly
def test_parameter_of_another_dtype_since_the_last_step(case: Case) -> None:
    optimizer, parameters = trained(case)
    last = parameters[1]
    last.data = last.data.float()
    last.grad = torch.ones(5)
    message = (
        r"parameter 1 of group 0, of shape \(5,\): its .* is torch.float64 on cpu, but"
        r" torch.float32 on cpu is needed now; convert the state as well"
    )
    refused(optimizer, parameters, ValueError, message)
    # The way out that the message names.
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert optimizer.state[last]["step"] == 4


@each_optimizer
def test_parameter_of_another_shape_since_the_last_step(case: Case) -> None:
    optimizer, parameters = trained(case)
    table = parameters[0]
    table.data = torch.zeros(5, 4, dtype=torch.float64)
    table.grad = torch.ones(5, 4, dtype=torch.float64)
    message = (
        r"of shape \(5, 4\): its .* has the shape .*; if the parameter was resized"
    )
    refused(optimizer, parameters, ValueError, message)
    del optimizer.state[table]
    optimizer.step()
    assert optimizer.state[table]["step"] == 1


def test_gradient_of_before_the_change_is_told() -> None:
    parameters = new_parameters()
    optimizer = Adam(parameters)
    take_steps(optimizer, parameters, range(2))
    # PyTorch checks a gradient only when it is set.
    parameters[1].data = torch.zeros(7, dtype=torch.float64)
    message = r"has a gradient of shape \(5,\) on cpu, but is of shape \(7,\)"
    refused(optimizer, parameters, ValueError, message)


@each_optimizer
def test_parameter_that_no_step_can_move_any_more(case: Case) -> None:
    optimizer, parameters = trained(case)
    parameters[1].data = parameters[1].data[:1].expand(5)
    parameters[1].grad = torch.ones(5, dtype=torch.float64)
    refused(optimizer, parameters, ValueError, "is expanded")


@each_optimizer
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_learning_rate_that_a_schedule_made_no_number(case: Case, value: float) -> None:
    optimizer, parameters = trained(case)
    optimizer.param_groups[1]["lr"] = value
    refused(optimizer, parameters, ValueError, f"lr of group 1 is {value}")
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)  # what a run could reach can be loaded
    refused(optimizer, parameters, ValueError, f"lr of group 1 is {value}")
    optimizer.param_groups[1]["lr"] = 0.1
    optimizer.step()


def test_decay_rate_of_one_is_told_before_it_divides_by_zero() -> None:
    parameters = new_parameters()
    optimizer = Adam(parameters)
    set_gradients(parameters, 0)
    optimizer.param_groups[0]["betas"] = (0.9, 1.0)
    refused(optimizer, parameters, ValueError, r"betas of group 0 is \(0.9, 1.0\)")


def test_checks_are_remembered_until_something_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def counted(*given: Any) -> None:
        calls.append(given)
        check_can_be_optimized(*given)

    monkeypatch.setattr(base, "check_can_be_optimized", counted)
    parameters = new_parameters()
    optimizer = Adam(parameters)
    take_steps(optimizer, parameters, range(5))
    assert len(calls) == len(parameters)
    parameters[0].data = parameters[0].data.T.contiguous().T
    take_steps(optimizer, parameters, range(5, 7))
    assert len(calls) == len(parameters) + 1
