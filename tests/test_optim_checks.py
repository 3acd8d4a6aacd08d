from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adam_tutorial.optim.checks import check_group

DEFAULTS: dict[str, Any] = {
    "lr": 1e-3,
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "weight_decay": 0.0,
    "maximize": False,
}


def parameters() -> list[Tensor]:
    return [torch.zeros(2), torch.zeros(3, 1, dtype=torch.float64)]


def refused(group: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        check_group(group, DEFAULTS)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"lr": 0},
        {"lr": 10, "eps": 0.0, "weight_decay": 0.1},
        {"lr": np.float32(0.1), "eps": np.float64(1e-6), "weight_decay": Fraction(1, 10)},
        {"betas": (0, 0.0)},
        {"betas": [0.9, 0.95]},
        {"betas": (np.float64(0.9), math.nextafter(1, 0))},
    ],
    ids=str,
)
def test_hyper_parameters_in_range_are_accepted(extra: dict[str, Any]) -> None:
    check_group({"params": parameters(), **extra}, DEFAULTS)


@pytest.mark.parametrize("name", ["lr", "eps", "weight_decay"])
@pytest.mark.parametrize("value", [-1e-9, -math.inf, math.inf, math.nan])
def test_number_that_is_negative_or_not_finite_is_refused(name: str, value: float) -> None:
    message = f"{name} must be finite and not negative, got {value!r}"
    refused({"params": parameters(), name: value}, ValueError, message)


@pytest.mark.parametrize("name", ["lr", "eps", "weight_decay"])
@pytest.mark.parametrize("value", ["0.1", None, 1j, [0.1]], ids=str)
def test_value_that_is_no_real_number_is_refused(name: str, value: object) -> None:
    message = f"{name} must be a number, got {value!r}"
    refused({"params": parameters(), name: value}, TypeError, message)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, math.nan])
def test_beta_outside_its_range_is_refused(index: int, value: float) -> None:
    betas = [0.5, 0.5]
    betas[index] = value
    message = f"betas[{index}] must be in [0, 1), got {float(value)!r}"
    refused({"params": parameters(), "betas": tuple(betas)}, ValueError, message)


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999), None, "09"], ids=str)
def test_betas_that_are_no_pair_are_refused(betas: object) -> None:
    message = f"betas must be a pair of numbers, got {betas!r}"
    refused({"params": parameters(), "betas": betas}, TypeError, message)


def test_beta_that_is_no_number_is_refused() -> None:
    message = "betas[1] must be a number, got '0.999'"
    refused({"params": parameters(), "betas": (0.9, "0.999")}, TypeError, message)


def test_defaults_are_checked_where_the_group_is_silent() -> None:
    with pytest.raises(ValueError, match="lr must be finite and not negative, got -1"):
        check_group({"params": parameters()}, DEFAULTS | {"lr": -1})
    check_group({"params": parameters(), "lr": 0.1}, DEFAULTS | {"lr": -1})


def test_group_without_parameters_is_refused_by_its_keys() -> None:
    message = "a parameter group needs the key 'params', got ['eps', 'lr']"
    refused({"lr": 0.1, "eps": 0.1}, ValueError, message)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("beta", "betas"), ("weigth_decay", "weight_decay"), ("maximise", "maximize")],
)
def test_misspelt_hyper_parameter_is_refused_with_the_right_spelling(
    misspelt: str, meant: str
) -> None:
    message = f"unknown hyper-parameter {misspelt!r} in a group; meant {meant!r}?"
    refused({"params": parameters(), misspelt: 0.1}, TypeError, message)


@pytest.mark.parametrize(
    "key", ["name", "initial_lr", "max_lr", "lr_scale", "param_names", "layer"]
)
def test_keys_of_others_are_accepted(key: str) -> None:
    check_group({"params": parameters(), key: 1}, DEFAULTS)


@pytest.mark.parametrize("key", ["amsgrad", "foreach", "fused", "capturable", "differentiable"])
def test_a_switch_of_torch_that_is_not_supported_is_refused_unless_it_is_off(key: str) -> None:
    refused({"params": parameters(), key: True}, ValueError, f"{key}=True is not supported")
    check_group({"params": parameters(), key: False}, DEFAULTS)


@pytest.mark.parametrize("value", ["no", 1, None])
def test_maximize_must_be_true_or_false(value: object) -> None:
    refused(
        {"params": parameters(), "maximize": value}, TypeError, "maximize must be True or False"
    )


def test_a_truth_value_is_no_learning_rate() -> None:
    refused({"params": parameters(), "lr": True}, TypeError, "lr must be a number, got True")


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64], ids=str
)
def test_parameter_of_another_type_is_refused_with_its_shape(dtype: torch.dtype) -> None:
    message = f"parameters must be float32 or float64, got {dtype} for one of shape (4, 5)"
    wrong = torch.zeros(4, 5, dtype=dtype)
    refused({"params": [*parameters(), wrong]}, TypeError, message)
    refused({"params": wrong}, TypeError, message)
    refused({"params": [("named", wrong)]}, TypeError, message)


def test_parameter_that_is_twice_in_a_group_is_refused() -> None:
    first, second = parameters()
    message = "the parameter of shape (2,) is twice in one group"
    refused({"params": [first, second, first]}, ValueError, message)
    refused({"params": [("a", first), ("b", first)]}, ValueError, message)


def test_equal_parameters_that_are_different_tensors_are_accepted() -> None:
    check_group({"params": [torch.zeros(2), torch.zeros(2)]}, DEFAULTS)


def test_one_tensor_may_be_given_without_a_list() -> None:
    check_group({"params": torch.zeros(2)}, DEFAULTS)


def test_thing_that_is_no_tensor_is_left_to_torch() -> None:
    check_group({"params": ["not a tensor"]}, DEFAULTS)


def test_check_changes_nothing() -> None:
    group = {"params": parameters(), "lr": 0.1}
    keys, defaults = list(group), dict(DEFAULTS)
    check_group(group, DEFAULTS)
    assert list(group) == keys
    assert defaults == DEFAULTS
