from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adam_tutorial.optim import Adam, NAdam
from adam_tutorial.optim.groups import checked_group
from adam_tutorial.optim.hyperparameters import parsed, plain

DEFAULTS: dict[str, Any] = {
    "lr": 1e-3,
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "weight_decay": 0.0,
    "amsgrad": False,
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "fused": None,
    "nonfinite": "pass",
}
TORCH_SAYS = {
    "lr": "Invalid learning rate",
    "eps": "Invalid epsilon value",
    "weight_decay": "Invalid weight_decay value",
    "momentum_decay": "Invalid momentum_decay value",
}


def check_group(
    group: dict[str, Any], defaults: dict[str, Any], **others: Any
) -> dict[str, Any]:
    known, dtypes = Adam.hyperparameters, Adam.dtypes
    return checked_group(group, defaults, known, dtypes=dtypes, **others)


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
        {
            "lr": np.float32(0.1),
            "eps": np.float64(1e-6),
            "weight_decay": Fraction(1, 10),
        },
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
def test_number_that_is_negative_or_not_finite_is_refused(
    name: str, value: float
) -> None:
    message = f"{TORCH_SAYS[name]}: {value!r}; {name} must be finite and not negative"
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
    message = (
        f"Invalid beta parameter at index {index}: {value!r}; betas[{index}] must be in"
        " [0, 1)"
    )
    refused({"params": parameters(), "betas": tuple(betas)}, ValueError, message)


@pytest.mark.parametrize(
    "betas", [0.9, (0.9,), (0.9, 0.99, 0.999), None, "09"], ids=str
)
def test_betas_that_are_no_pair_are_refused(betas: object) -> None:
    message = f"betas must be a pair of numbers, got {betas!r}"
    refused({"params": parameters(), "betas": betas}, TypeError, message)


def test_beta_that_is_no_number_is_refused() -> None:
    message = "betas[1] must be a number, got '0.999'"
    refused({"params": parameters(), "betas": (0.9, "0.999")}, TypeError, message)


def test_defaults_are_checked_where_the_group_is_silent() -> None:
    with pytest.raises(
        ValueError,
        match="Invalid learning rate: -1; lr must be finite and not negative",
    ):
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


@pytest.mark.parametrize("key", ["nesterov", "centered", "momentum_decay", "rho"])
def test_hyper_parameter_of_other_optimizers_is_refused_unless_it_asks_for_nothing(
    key: str,
) -> None:
    message = f"the optimizer has no hyper-parameter {key!r}, got {key}=True"
    refused({"params": parameters(), key: True}, TypeError, message)
    check_group({"params": parameters(), key: False}, DEFAULTS)
    check_group({"params": parameters(), key: None}, DEFAULTS)


def test_refusal_names_the_optimizer() -> None:
    with pytest.raises(
        TypeError, match=r"^Lion has no hyper-parameter 'eps', got eps=0\.1$"
    ):
        check_group({"params": [], "eps": 0.1}, {"lr": 0.1}, owner="Lion")


@pytest.mark.parametrize(
    "flag", ["amsgrad", "maximize", "capturable", "differentiable"]
)
@pytest.mark.parametrize("value", ["no", 1, None])
def test_flag_must_be_true_or_false(flag: str, value: object) -> None:
    message = f"{flag} must be True or False, got {value!r}"
    refused({"params": parameters(), flag: value}, TypeError, message)


@pytest.mark.parametrize("flag", ["foreach", "fused"])
@pytest.mark.parametrize("value", ["no", 1, 0])
def test_flag_of_speed_must_be_true_false_or_none(flag: str, value: object) -> None:
    message = f"{flag} must be True, False or None, got {value!r}"
    refused({"params": parameters(), flag: value}, TypeError, message)


@pytest.mark.parametrize(
    "flags",
    [
        {"amsgrad": True, "maximize": True, "fused": True},
        {"foreach": True, "differentiable": True},
        {"foreach": False, "fused": True},
        {"capturable": True, "foreach": True, "lr": torch.tensor(0.1)},
    ],
    ids=str,
)
def test_flags_that_torch_has_are_accepted(flags: dict[str, Any]) -> None:
    check_group({"params": parameters(), **flags}, DEFAULTS)


@pytest.mark.parametrize("value", ["ignore", True, None, 0])
def test_way_with_what_is_not_finite_must_be_one_of_three(value: object) -> None:
    message = f"nonfinite must be one of ('pass', 'skip', 'raise'), got {value!r}"
    refused({"params": parameters(), "nonfinite": value}, ValueError, message)
    check_group({"params": parameters(), "nonfinite": "skip"}, DEFAULTS)


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"fused": True, "foreach": True},
        "`fused` and `foreach` cannot be `True` together",
    ),
    (
        {"fused": True, "differentiable": True},
        "`fused` does not support `differentiable`",
    ),
    (
        {"foreach": True, "lr": torch.tensor(0.1)},
        "lr as a Tensor is not supported for capturable=False and foreach=True",
    ),
    (
        {"foreach": True, "betas": (torch.tensor(0.9), torch.tensor(0.9))},
        "betas[0] as a Tensor is not supported for capturable=False and foreach=True",
    ),
    (
        {"betas": (0.9, torch.tensor(0.9))},
        "betas must be either both floats or both Tensors, got (0.9, tensor(0.9000))",
    ),
]


@pytest.mark.parametrize(
    ("settings", "message"), CONTRADICTIONS, ids=range(len(CONTRADICTIONS))
)
def test_settings_that_contradict_each_other_are_refused_in_the_words_of_torch(
    settings: dict[str, Any], message: str
) -> None:
    refused({"params": parameters(), **settings}, ValueError, message)
    with pytest.raises(ValueError, match=re.escape(message)):
        parsed(DEFAULTS | settings, Adam.hyperparameters)


def test_contradiction_between_group_and_defaults_is_refused() -> None:
    with pytest.raises(
        ValueError, match="`fused` and `foreach` cannot be `True` together"
    ):
        check_group(
            {"params": parameters(), "fused": True}, DEFAULTS | {"foreach": True}
        )


def test_tensor_of_one_element_is_a_number() -> None:
    for value in (torch.tensor(0.1), torch.tensor([0.1])):
        check_group(
            {"params": parameters(), "lr": value, "betas": (value, value)}, DEFAULTS
        )
    message = "Tensor lr must be 1-element, got shape (2,)"
    refused({"params": parameters(), "lr": torch.ones(2)}, ValueError, message)
    message = "Tensor betas[1] must be 1-element, got shape (0,)"
    betas = (torch.tensor(0.5), torch.ones(0))
    refused({"params": parameters(), "betas": betas}, ValueError, message)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_tensor_is_checked_by_its_value(value: float) -> None:
    message = "lr must be finite and not negative"
    refused({"params": parameters(), "lr": torch.tensor(value)}, ValueError, message)
    message = "betas[0] must be in [0, 1)"
    betas = (torch.tensor(value), torch.tensor(0.5))
    refused({"params": parameters(), "betas": betas}, ValueError, message)


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_momentum_decay_must_be_finite_and_not_negative(value: float) -> None:
    message = f"Invalid momentum_decay value: {value!r}; momentum_decay must be finite"
    with pytest.raises(ValueError, match=re.escape(message)):
        parsed({"lr": 0.1, "momentum_decay": value}, NAdam.hyperparameters)


def test_defaults_of_an_optimizer_with_few_hyper_parameters_are_accepted() -> None:
    parsed({"lr": 0.1}, Adam.hyperparameters)
    parsed({}, Adam.hyperparameters)


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        (np.float32(0.5), float, 0.5),
        (np.float64(0.1), float, 0.1),
        (np.int64(3), int, 3),
        (Fraction(1, 4), float, 0.25),
        (0, int, 0),
        (0.1, float, 0.1),
        (True, bool, True),
        (None, type(None), None),
        ("skip", str, "skip"),
    ],
)
def test_number_of_any_kind_becomes_one_of_python(
    given: object, kind: type, expected: object
) -> None:
    assert plain(given) == expected
    assert type(plain(given)) is kind
    group = check_group({"params": [], "initial_lr": given}, DEFAULTS)
    assert type(group["initial_lr"]) is kind


@pytest.mark.parametrize("rate", [np.float32(0.5), np.float64(0.5), Fraction(1, 2), 0])
def test_decay_rates_become_a_tuple_of_numbers_of_python(rate: Any) -> None:
    betas = check_group({"params": [], "betas": [rate, 0.5]}, DEFAULTS)["betas"]
    assert betas == (rate, 0.5)
    assert type(betas) is tuple
    assert type(betas[0]) in (int, float)


def test_tensor_of_one_element_loses_its_dimensions_and_stays_a_tensor() -> None:
    lr = torch.tensor([[0.5]])
    group = check_group({"params": [], "lr": lr, "betas": (lr, lr)}, DEFAULTS)
    for value in (group["lr"], *group["betas"]):
        assert isinstance(value, Tensor)
        assert value.shape == ()
        assert value.data_ptr() == lr.data_ptr()
    scalar = torch.tensor(0.5)
    assert plain(scalar) is scalar


def test_parameters_and_names_pass_as_they_are() -> None:
    params, names = parameters(), ["a", "b"]
    group = {"params": params, "param_names": names, "lr": 1}
    checked = check_group(group, DEFAULTS)
    assert checked["params"] is params
    assert checked["param_names"] is names


def test_a_truth_value_is_no_learning_rate() -> None:
    refused(
        {"params": parameters(), "lr": True}, TypeError, "lr must be a number, got True"
    )


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float32,
        torch.bfloat16,
        torch.float16,
        torch.complex64,
        torch.complex128,
    ],
    ids=str,
)
def test_parameter_of_a_floating_or_complex_type_is_accepted(
    dtype: torch.dtype,
) -> None:
    check_group({"params": [torch.zeros(4, 5, dtype=dtype)]}, DEFAULTS)


@pytest.mark.parametrize(
    "dtype",
    [torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.complex32],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_parameter_of_another_type_is_refused_with_its_shape(
    dtype: torch.dtype,
) -> None:
    message = (
        "parameters must be float64, float32, bfloat16, float16, complex64,"
        f" complex128; got {dtype} for one of shape (4, 5)"
    )
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


def test_parameter_of_another_group_is_refused() -> None:
    first, second = parameters()
    with pytest.raises(
        ValueError, match=r"more than one parameter group: one of shape \(3, 1\)"
    ):
        check_group({"params": [first, second]}, DEFAULTS, taken={id(second)})
    check_group({"params": [first]}, DEFAULTS, taken={id(second)})


def test_expanded_parameter_is_refused_and_a_true_view_is_accepted() -> None:
    message = "the parameter of shape (3, 2) is expanded"
    refused({"params": [torch.zeros(2).expand(3, 2)]}, ValueError, message)
    base = torch.zeros(4, 6)
    for view in (
        base.T,
        base[:, ::2],
        base[1],
        base[:0].expand(0, 6),
        base[0, 0].expand(1, 1),
    ):
        check_group({"params": [view]}, DEFAULTS)


def test_parameter_that_is_computed_is_refused_unless_the_step_is_differentiable() -> (
    None
):
    computed = torch.ones(2, requires_grad=True) * 2
    refused({"params": [computed]}, ValueError, "can't optimize a non-leaf Tensor")
    check_group({"params": [computed]}, DEFAULTS | {"differentiable": True})
    computed.retain_grad()
    check_group({"params": [computed]}, DEFAULTS)


def test_set_of_parameters_is_refused() -> None:
    refused(
        {"params": set(parameters())}, TypeError, "must be in an ordered collection"
    )


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
