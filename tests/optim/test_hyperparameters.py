"""Hyper-parameters of every kind of number, and when they are read."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adam_tutorial.optim import Adam
from tests.optim.steps import numbers, set_gradients, through_a_file
from tests.optimizers import (
    Case,
    cases,
    each,
    each_in_torch,
    each_with,
    is_optimizer,
)

KINDS: dict[str, dict[str, Any]] = {
    "int": {"lr": 1, "betas": (0, 0), "eps": 1, "weight_decay": 0},
    "numpy": {
        "lr": np.float64(0.125),
        "betas": (np.float64(0.5), np.float32(0.75)),
        "eps": np.float32(0.5),
        "weight_decay": np.int64(1),
    },
    "Fraction": {
        "lr": Fraction(1, 8),
        "betas": [Fraction(1, 2), Fraction(3, 4)],
        "eps": Fraction(1, 1024),
        "weight_decay": Fraction(1, 10),
    },
    "0-dim tensor": {
        "lr": torch.tensor(0.125, dtype=torch.float64),
        "betas": (torch.tensor(0.5), torch.tensor(0.75)),
    },
    "1-element tensor": {
        "lr": torch.tensor([0.125]),
        "betas": (torch.tensor([[0.5]]), torch.tensor([0.75])),
    },
}


def as_floats(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(map(float, value))
        if isinstance(value, tuple | list)
        else float(value)
        for name, value in settings.items()
    }


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        pytest.param(case, kind, id=f"{case}-{kind}")
        for case in cases(is_optimizer)
        for kind, settings in KINDS.items()
        if case.accepts(case.only(**settings))
    ],
)
@pytest.mark.parametrize("place", ["constructor", "group"])
def test_hyper_parameter_of_any_kind_acts_as_its_float_and_survives_a_safe_checkpoint(
    case: Case, kind: str, place: str
) -> None:
    given = case.only(**KINDS[kind])
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        one, other = (nn.Parameter(numbers(0, dtype=dtype)) for _ in range(2))
        if place == "constructor":
            first = case.new([one], **given)
        else:
            first = case.new([{"params": [one], **given}])
        second = case.new([other], **as_floats(given))
        for seed in range(1, 8):
            one.grad = other.grad = numbers(seed, dtype=dtype)
            first.step()
            second.step()
        assert torch.equal(one, other)
        resumed = nn.Parameter(one.detach().clone())
        third = case.new([resumed])
        third.load_state_dict(through_a_file(first.state_dict()))
        for seed in range(8, 12):
            one.grad = resumed.grad = numbers(seed, dtype=dtype)
            first.step()
            third.step()
        assert torch.equal(one, resumed)


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        (np.float32(0.5), float, 0.5),
        (np.float64(0.1), float, 0.1),
        (np.int64(0), int, 0),
        (Fraction(1, 4), float, 0.25),
        (0, int, 0),
        (0.1, float, 0.1),
    ],
)
def test_number_of_any_kind_becomes_one_of_python(
    given: Any, kind: type, expected: float
) -> None:
    optimizer = Adam([torch.zeros(2)], lr=given, betas=[given, 0.5])  # type: ignore[arg-type]
    (group,) = optimizer.param_groups
    for settings in (optimizer.defaults, group):
        assert settings["lr"] == expected
        assert settings["betas"] == (expected, 0.5)
        assert type(settings["lr"]) is type(settings["betas"][0]) is kind
        assert type(settings["betas"]) is tuple


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        (np.float32(0.5), float, 0.5),
        (np.int64(3), int, 3),
        (Fraction(1, 4), float, 0.25),
        (True, bool, True),
        (None, type(None), None),
        ("skip", str, "skip"),
    ],
)
def test_key_that_belongs_to_others_becomes_plain_as_well(
    given: object, kind: type, expected: object
) -> None:
    (group,) = Adam([{"params": [torch.zeros(2)], "layer": given}]).param_groups
    assert group["layer"] == expected
    assert type(group["layer"]) is kind


def test_tensor_of_one_element_loses_its_dimensions_and_stays_a_tensor() -> None:
    lr = torch.tensor([[0.5]])
    (group,) = Adam([torch.zeros(2)], lr=lr, betas=(lr, lr)).param_groups
    for value in (group["lr"], *group["betas"]):
        assert isinstance(value, Tensor)
        assert value.shape == ()
        assert value.data_ptr() == lr.data_ptr()
    scalar = torch.tensor(0.5)
    assert Adam([torch.zeros(2)], lr=scalar).param_groups[0]["lr"] is scalar


@each(is_optimizer, backends=["plain"])
def test_learning_rate_in_a_tensor_stays_that_tensor_and_is_read_at_each_step(
    case: Case,
) -> None:
    rate = torch.tensor(0.5, dtype=torch.float64)
    weight, other = nn.Parameter(numbers(0)), nn.Parameter(numbers(0))
    first, second = case.new([weight], lr=rate), case.new([other], lr=0.5)
    assert first.param_groups[0]["lr"] is rate
    for seed in range(1, 6):
        rate.fill_(seed / 10)
        second.param_groups[0]["lr"] = seed / 10
        weight.grad = other.grad = numbers(seed)
        first.step()
        second.step()
    assert torch.equal(weight, other)
    assert rate.item() == 0.5  # and is not written to


CHANGES: list[dict[str, Any]] = [
    {"lr": 0.2},
    {"betas": (0.5, 0.7)},
    {"eps": 0.1},
    {"momentum_decay": 0.3},
    {"weight_decay": 0.3},
    {"maximize": True},
    {"weight_decay": 0.0, "maximize": False, "lr": 0.01},
]


@each_in_torch
@pytest.mark.usefixtures("float64")  # PyTorch keeps a product of NAdam's in this type
def test_every_hyper_parameter_is_read_anew_at_each_step(case: Case) -> None:
    weights = [nn.Parameter(numbers(0)) for _ in range(2)]
    ours, theirs = case.new(weights[:1], lr=0.1), case.new_in_torch(weights[1:], lr=0.1)
    changes = [case.only(**change) for change in CHANGES]
    for step, change in enumerate(change for change in changes for _ in range(5)):
        set_gradients(weights[:1], step)
        weights[1].grad = weights[0].grad
        for optimizer in (ours, theirs):
            optimizer.param_groups[0].update(change)
            optimizer.step()
        torch.testing.assert_close(*weights, rtol=1e-11, atol=1e-13)


# Far below 0.5: above it, 1 - beta is exact in every precision.
LOW = [
    {"betas": tuple(torch.tensor(beta, dtype=dtype) for beta in (0.1, 0.2))}
    for dtype in (torch.float32, torch.bfloat16)
]


@each_with(
    *({"capturable": True, **low} for low in LOW),
    *({"differentiable": True, **low} for low in LOW),
)
def test_rates_of_low_precision_lose_no_digits_in_a_recorded_step(
    case: Case, chosen: dict[str, Any]
) -> None:
    def after_steps(**settings: Any) -> Tensor:
        theta = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        parameter = theta * 1 if settings.get("differentiable") else theta
        optimizer = case.new([parameter], lr=0.1, **settings)
        for t in range(1, 11):
            parameter.grad = torch.tensor([0.3 * t, 1.0 / t], dtype=torch.float64)
            optimizer.step()
        state = optimizer.state[parameter]
        moments = [state[name] for name in case.moments_of((2,))]
        return torch.stack([parameter, *moments]).detach()

    torch.testing.assert_close(
        after_steps(**chosen),
        after_steps(betas=tuple(map(float, chosen["betas"]))),
        rtol=1e-13,
        atol=1e-15,
    )
