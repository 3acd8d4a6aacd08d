"""What an optimizer refuses, with a message that helps, before anything has changed."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adam_tutorial.optim import Adam, NAdam
from tests.optim.steps import new_parameters, snapshot, take_steps
from tests.optimizers import Case, each_optimizer

NOT_NEGATIVE = "must be finite and not negative"
# How PyTorch begins its messages; a script may look for them.
IN_TORCH = {
    "lr": "Invalid learning rate",
    "eps": "Invalid epsilon value",
    "weight_decay": "Invalid weight_decay value",
    "momentum_decay": "Invalid momentum_decay value",
}


def tensors() -> list[Tensor]:
    return [torch.zeros(2), torch.zeros(3, 1, dtype=torch.float64)]


def refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    """The constructor refuses the settings, by themselves and in a group."""
    with pytest.raises(error, match=re.escape(message)):
        Adam(tensors(), **settings)
    group_is_refused({"params": tensors(), **settings}, error, message)


def group_is_refused(
    group: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        Adam([group])


# Hyper-parameters


@pytest.mark.parametrize(
    "settings",
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
        {"amsgrad": True, "maximize": True, "fused": True},
        {"foreach": True, "differentiable": True},
        {"foreach": False, "fused": True},
        {"capturable": True, "foreach": True, "lr": torch.tensor(0.1)},
        {"nonfinite": "skip"},
    ],
    ids=str,
)
def test_settings_in_range_are_accepted(settings: dict[str, Any]) -> None:
    Adam(tensors(), **settings)
    Adam([{"params": tensors(), **settings}])


@pytest.mark.parametrize("name", ["lr", "eps", "weight_decay"])
@pytest.mark.parametrize("value", [-1e-9, -math.inf, math.inf, math.nan])
def test_number_that_is_negative_or_not_finite_is_refused(
    name: str, value: float
) -> None:
    message = f"{IN_TORCH[name]}: {value!r}; {name} {NOT_NEGATIVE}"
    refused({name: value}, ValueError, message)


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_momentum_decay_must_be_finite_and_not_negative(value: float) -> None:
    message = f"{IN_TORCH['momentum_decay']}: {value!r}; momentum_decay {NOT_NEGATIVE}"
    with pytest.raises(ValueError, match=re.escape(message)):
        NAdam(tensors(), momentum_decay=value)


@pytest.mark.parametrize("name", ["lr", "eps", "weight_decay"])
@pytest.mark.parametrize("value", ["0.1", None, 1j, [0.1]], ids=str)
def test_value_that_is_no_real_number_is_refused(name: str, value: object) -> None:
    message = f"{name} must be a number, got {value!r}"
    refused({name: value}, TypeError, message)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, math.nan])
def test_beta_outside_its_range_is_refused(index: int, value: float) -> None:
    betas = [0.5, 0.5]
    betas[index] = value
    message = (
        f"Invalid beta parameter at index {index}: {value!r}; betas[{index}] must be in"
        " [0, 1)"
    )
    refused({"betas": tuple(betas)}, ValueError, message)


@pytest.mark.parametrize(
    "betas", [0.9, (0.9,), (0.9, 0.99, 0.999), None, "09"], ids=str
)
def test_betas_that_are_no_pair_are_refused(betas: object) -> None:
    message = f"betas must be a pair of numbers, got {betas!r}"
    refused({"betas": betas}, TypeError, message)


def test_beta_that_is_no_number_is_refused() -> None:
    message = "betas[1] must be a number, got '0.999'"
    refused({"betas": (0.9, "0.999")}, TypeError, message)


@pytest.mark.parametrize(
    "flag",
    ["amsgrad", "maximize", "capturable", "differentiable", "decoupled_weight_decay"],
)
@pytest.mark.parametrize("value", ["no", 2, None, 0.5])
def test_flag_must_be_true_or_false(flag: str, value: object) -> None:
    message = f"{flag} must be True or False, got {value!r}"
    refused({flag: value}, TypeError, message)


@pytest.mark.parametrize("flag", ["foreach", "fused"])
@pytest.mark.parametrize("value", ["no", 2, 0.5])
def test_flag_of_a_backend_must_be_true_false_or_none(flag: str, value: object) -> None:
    message = f"{flag} must be True, False or None, got {value!r}"
    refused({flag: value}, TypeError, message)


@pytest.mark.parametrize("value", ["ignore", "stop", True, None, 0])
def test_nonfinite_must_be_one_of_three_words(value: object) -> None:
    message = f"nonfinite must be one of ('pass', 'skip', 'raise'), got {value!r}"
    refused({"nonfinite": value}, ValueError, message)


TENSOR = torch.tensor(0.9)
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
        {"foreach": True, "lr": TENSOR},
        "lr as a Tensor is not supported for capturable=False and foreach=True",
    ),
    (
        {"foreach": True, "betas": (TENSOR, TENSOR)},
        "betas[0] as a Tensor is not supported for capturable=False and foreach=True",
    ),
    (
        {"betas": (0.9, TENSOR)},
        "betas must be either both floats or both Tensors, got (0.9, tensor(0.9000))",
    ),
]


@pytest.mark.parametrize(("settings", "message"), CONTRADICTIONS, ids=str)
def test_settings_that_contradict_each_other_are_refused_in_the_words_of_torch(
    settings: dict[str, Any], message: str
) -> None:
    refused(settings, ValueError, message)


def test_contradiction_between_group_and_defaults_is_refused() -> None:
    message = "`fused` and `foreach` cannot be `True` together"
    with pytest.raises(ValueError, match=message):
        Adam([{"params": tensors(), "fused": True}], foreach=True)


def test_defaults_are_checked_even_where_every_group_sets_its_own() -> None:
    message = f"Invalid learning rate: -1; lr {NOT_NEGATIVE}"
    with pytest.raises(ValueError, match=message):
        Adam([{"params": tensors(), "lr": 0.1}], lr=-1)


def test_tensor_of_one_element_is_a_number() -> None:
    for value in (torch.tensor(0.1), torch.tensor([0.1])):
        Adam(tensors(), lr=value, betas=(value, value))
    message = "Tensor lr must be 1-element, got shape (2,)"
    refused({"lr": torch.ones(2)}, ValueError, message)
    message = "Tensor betas[1] must be 1-element, got shape (0,)"
    betas = (torch.tensor(0.5), torch.ones(0))
    refused({"betas": betas}, ValueError, message)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_tensor_is_checked_by_its_value(value: float) -> None:
    refused({"lr": torch.tensor(value)}, ValueError, f"lr {NOT_NEGATIVE}")
    betas = (torch.tensor(value), torch.tensor(0.5))
    refused({"betas": betas}, ValueError, "betas[0] must be in [0, 1)")


def test_misspelt_argument_of_the_constructor_is_refused() -> None:
    make: Any = Adam
    with pytest.raises(TypeError, match="beta"):
        make(tensors(), beta=(0.9, 0.999))


# Keys of a group


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("beta", "betas"),
        ("weigth_decay", "weight_decay"),
        ("weight_decya", "weight_decay"),
        ("maximise", "maximize"),
    ],
)
def test_misspelt_hyper_parameter_is_kept_with_a_warning_that_has_the_right_spelling(
    misspelt: str, meant: str
) -> None:
    message = f"has the key {misspelt!r}, which has no effect; meant {meant!r}?"
    with pytest.warns(UserWarning, match=re.escape(message)):
        optimizer = Adam([{"params": tensors(), misspelt: 0.1}])
    assert optimizer.param_groups[0][misspelt] == 0.1


@pytest.mark.parametrize(
    "key",
    [
        *("name", "initial_lr", "max_lr", "lr_scale", "layer", "tags", "lr0", "beta1"),
        *(
            "nesterov",
            "centered",
            "momentum_decay",
            "rho",
            "alpha",
            "weight_decay_mult",
        ),
    ],
)
def test_keys_that_belong_to_others_are_accepted(key: str) -> None:
    assert Adam([{"params": tensors(), key: 1}]).param_groups[0][key] == 1


# Parameters


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
    Adam([torch.zeros(4, 5, dtype=dtype)])


@pytest.mark.parametrize(
    "dtype",
    [torch.float8_e4m3fn, torch.complex32],
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
    wrong = nn.Parameter(torch.zeros(4, 5, dtype=dtype))
    for params in ([*tensors(), wrong], wrong, [("named", wrong)]):
        group_is_refused({"params": params}, TypeError, message)


def test_parameter_that_is_in_a_group_twice_is_refused() -> None:
    first, second = tensors()
    message = "the parameter of shape (2,) is twice in one group"
    for params in ([first, second, first], [("a", first), ("b", first)]):
        group_is_refused({"params": params}, ValueError, message)


def test_expanded_parameter_is_refused_and_a_true_view_is_accepted() -> None:
    message = "the parameter of shape (3, 2) is expanded"
    expanded = torch.zeros(2).expand(3, 2).requires_grad_()
    group_is_refused({"params": [expanded]}, ValueError, message)
    base = torch.zeros(4, 6)
    for view in (
        base.T,
        base[:, ::2],
        base[1],
        base[:0].expand(0, 6),
        base[0, 0].expand(1, 1),
        base[0].as_strided((1, 6), (0, 1)),
    ):
        Adam([view.requires_grad_()])


def test_parameter_that_is_computed_is_refused_unless_the_step_is_differentiable() -> (
    None
):
    computed = torch.ones(2, requires_grad=True) * 2
    message = "can't optimize a non-leaf Tensor"
    group_is_refused({"params": [computed]}, ValueError, message)
    Adam([computed], differentiable=True)
    computed.retain_grad()
    Adam([computed])


def test_no_parameters_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        Adam([])


# Nothing has changed


def used_optimizer(case: Case) -> tuple[Any, list[nn.Parameter]]:
    parameters = new_parameters()
    optimizer = case.new(parameters, lr=0.1)
    take_steps(optimizer, parameters, range(2))
    return optimizer, parameters


def everything(optimizer: Any) -> Any:
    """A snapshot that also says which tensors the groups hold."""
    groups = [[id(p) for p in group["params"]] for group in optimizer.param_groups]
    return groups, snapshot(optimizer)


INVALID: dict[str, Any] = {
    "lr": -0.1,
    "eps": -1e-8,
    "weight_decay": -1,
    "betas": (1.0, 0.9),
    "amsgrad": 2,
    "fused": "yes",
    "nonfinite": "stop",
    "momentum_decay": -1.0,
}


@each_optimizer
def test_group_with_an_invalid_hyper_parameter_is_refused_before_anything_changes(
    case: Case,
) -> None:
    optimizer, _ = used_optimizer(case)
    before = everything(optimizer)
    new = nn.Parameter(torch.zeros(2))
    for name, value in case.only(**INVALID).items():
        with pytest.raises((ValueError, TypeError), match=name.split("_")[0]):
            optimizer.add_param_group({"params": [new], name: value})
        with pytest.raises((ValueError, TypeError), match=name.split("_")[0]):
            case.new([new], **{name: value})
    assert everything(optimizer) == before


WRONG_PARAMETERS: dict[str, tuple[Any, type[Exception], str]] = {
    "eight bits": (
        [nn.Parameter(torch.zeros(2).to(torch.float8_e5m2))],
        TypeError,
        "must be float64, float32, bf",
    ),
    "sparse": (
        [nn.Parameter(torch.eye(2).to_sparse())],
        TypeError,
        "parameters must be dense, got one of layout torch.sparse_coo",
    ),
    "expanded": (
        [torch.zeros(1).expand(3).requires_grad_()],
        ValueError,
        "give the tensor before expand",
    ),
    "twice": (
        [torch.zeros(())] * 2,
        ValueError,
        "a parameter group with duplicate parameters",
    ),
    "not a tensor": (["theta"], TypeError, "optimizer can only optimize Tensors"),
    "a set": (set(tensors()), TypeError, "must be in an ordered collection"),
    "not a leaf": ([torch.ones(2, requires_grad=True) * 2], ValueError, "non-leaf"),
    "names for some": (
        [("a", torch.zeros(2)), torch.zeros(2)],
        ValueError,
        "without names",
    ),
}


@each_optimizer
@pytest.mark.parametrize("wrong", WRONG_PARAMETERS)
def test_group_of_wrong_parameters_is_refused_before_anything_changes(
    case: Case, wrong: str
) -> None:
    params, error, message = WRONG_PARAMETERS[wrong]
    optimizer, _ = used_optimizer(case)
    before = everything(optimizer)
    with pytest.raises(error, match=message):
        optimizer.add_param_group({"params": params})
    assert everything(optimizer) == before


@each_optimizer
def test_parameter_that_is_already_in_a_group_is_refused_before_anything_changes(
    case: Case,
) -> None:
    optimizer, parameters = used_optimizer(case)
    before = everything(optimizer)
    message = r"more than one parameter group: one of shape \(3, 4\)"
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": parameters[:1]})
    assert everything(optimizer) == before


@each_optimizer
def test_group_without_parameters_is_refused_before_anything_changes(
    case: Case,
) -> None:
    optimizer, _ = used_optimizer(case)
    before = everything(optimizer)
    message = r"a parameter group needs the key 'params', got \['lr', 'maximize'\]"
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"maximize": True, "lr": 0.1})
    assert everything(optimizer) == before


def test_group_that_is_no_dict_is_refused() -> None:
    optimizer = Adam(tensors())
    with pytest.raises(TypeError, match="a parameter group must be a dict, got"):
        optimizer.add_param_group([torch.zeros(2)])  # type: ignore[arg-type]
