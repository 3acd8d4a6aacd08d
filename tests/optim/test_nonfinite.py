"""The option that says what to do with NaN and infinity in a gradient."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim
from tests.optimizers import ADAM, Case, each, each_in_torch, each_optimizer

each_adam = each(lambda case: case.name == "Adam", backends=ADAM.backends)
bad_values = pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])


def pair() -> list[nn.Parameter]:
    return [
        nn.Parameter(torch.tensor([1.0, -2.0])),
        nn.Parameter(torch.tensor([[3.0]])),
    ]


def give(parameters: list[nn.Parameter], value: float = 0.5) -> None:
    """Gradients of 0.5; the very last number of all is the one given."""
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.5)
    last = parameters[-1].grad
    assert last is not None
    last[..., -1] = value


def everything(optimizer: torch.optim.Optimizer) -> str:
    values = [p.detach() for group in optimizer.param_groups for p in group["params"]]
    with torch._tensor_str.printoptions(precision=17):
        return str((values, optimizer.state_dict()))


@each_optimizer
@bad_values
def test_skip_changes_nothing_at_all_and_says_so(case: Case, bad: float) -> None:
    parameters = pair()
    groups: list[dict[str, Any]] = [
        {"params": parameters[:1], "weight_decay": 0.1},
        {"params": parameters[1:]},
    ]
    optimizer = case.new(groups, lr=0.1, nonfinite="skip")
    give(parameters)
    optimizer.step()
    before = everything(optimizer)
    give(parameters, bad)
    expected = r"skipped the step: .* parameter 0 of group 1, of sh"
    with pytest.warns(RuntimeWarning, match=expected) as caught:
        optimizer.step()
    # The line that called step, not one of PyTorch's.
    assert caught[0].filename == __file__
    assert everything(optimizer) == before
    give(parameters)
    optimizer.step()
    assert everything(optimizer) != before


@each_optimizer
def test_run_with_skipped_steps_is_the_run_without_them(case: Case) -> None:
    skipping, other = pair(), pair()
    first, second = (
        case.new(skipping, lr=0.1, nonfinite="skip"),
        case.new(other, lr=0.1),
    )
    for bad in (float("inf"), None, float("nan"), None, None):
        if bad is None:
            give(skipping)
            give(other)
            first.step()
            second.step()
        else:
            give(skipping, bad)
            with pytest.warns(RuntimeWarning, match="skipped"):
                first.step()
    for one, two in zip(skipping, other, strict=True):
        assert torch.equal(one, two)
    assert str(first.state_dict()["state"]) == str(second.state_dict()["state"])


@each_optimizer
@bad_values
def test_first_step_that_is_skipped_makes_no_state(case: Case, bad: float) -> None:
    parameters = pair()
    optimizer = case.new(parameters, nonfinite="skip")
    give(parameters, bad)
    with pytest.warns(RuntimeWarning, match="skipped"):
        optimizer.step()
    assert not optimizer.state


@each_optimizer
@bad_values
def test_raise_names_the_parameter_before_anything_changes(
    case: Case, bad: float
) -> None:
    parameters = pair()
    named = [("first", parameters[0]), ("second", parameters[1])]
    optimizer = case.new(named, lr=0.1, nonfinite="raise")
    give(parameters, bad)
    before = everything(optimizer)
    with pytest.raises(
        FloatingPointError, match="the gradient of parameter 'second' is not fin"
    ):
        optimizer.step()
    assert everything(optimizer) == before


@each_in_torch
def test_pass_is_what_torch_does(case: Case) -> None:
    results = []
    for make in (case.new, case.new_in_torch):
        parameters = pair()
        optimizer = make(parameters, lr=0.1)
        give(parameters, float("nan"))
        optimizer.step()
        results.append(torch.cat([p.detach().flatten() for p in parameters]))
    torch.testing.assert_close(*results, equal_nan=True)
    assert results[0][2].isnan()
    assert results[0][:2].isfinite().all()


@each_adam
def test_option_of_one_group_looks_at_its_gradients_only(case: Case) -> None:
    parameters = pair()
    groups: list[dict[str, Any]] = [
        {"params": parameters[:1], "nonfinite": "raise"},
        {"params": parameters[1:]},
    ]
    optimizer = case.new(groups, lr=0.1)
    give(parameters, float("nan"))
    optimizer.step()
    assert parameters[1].isnan().all()
    assert parameters[0].isfinite().all()


@each_adam
def test_skip_in_one_group_leaves_out_the_step_of_all(case: Case) -> None:
    parameters = pair()
    groups: list[dict[str, Any]] = [
        {"params": parameters[:1]},
        {"params": parameters[1:], "nonfinite": "skip"},
    ]
    optimizer = case.new(groups, lr=0.1)
    give(parameters, float("nan"))
    before = everything(optimizer)
    with pytest.warns(RuntimeWarning, match="skipped"):
        optimizer.step()
    assert everything(optimizer) == before


@each_adam
def test_option_is_read_at_every_step_and_is_kept_by_a_checkpoint_of_torch(
    case: Case,
) -> None:
    parameters = pair()
    optimizer = case.new(parameters, nonfinite="skip")
    optimizer.load_state_dict(torch.optim.Adam(pair()).state_dict())
    assert optimizer.param_groups[0]["nonfinite"] == "skip"
    optimizer.param_groups[0]["nonfinite"] = "raise"
    give(parameters, float("inf"))
    with pytest.raises(FloatingPointError):
        optimizer.step()


@each_adam
def test_parameter_without_a_name_is_named_by_its_place_and_shape(case: Case) -> None:
    parameters = pair()
    optimizer = case.new(parameters, nonfinite="raise")
    give(parameters, float("nan"))
    message = (
        r"^the gradient of parameter 1 of group 0, of shape \(1, 1\) is not finite$"
    )
    with pytest.raises(FloatingPointError, match=message):
        optimizer.step()


@each_adam
def test_raise_comes_before_skip_when_both_groups_have_reason(case: Case) -> None:
    parameters = pair()
    groups: list[dict[str, Any]] = [
        {"params": parameters[:1], "nonfinite": "skip"},
        {"params": parameters[1:], "nonfinite": "raise"},
    ]
    optimizer = case.new(groups)
    give(parameters, float("nan"))
    parameters[0].grad = torch.full((2,), float("inf"))
    with pytest.raises(FloatingPointError, match="parameter 0 of group 1"):
        optimizer.step()


@each_adam
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64], ids=str
)
def test_largest_finite_numbers_pass_and_infinity_is_found_in_every_dtype(
    case: Case, dtype: torch.dtype
) -> None:
    theta = nn.Parameter(torch.ones(100, dtype=dtype))
    optimizer = case.new([theta], nonfinite="raise")
    theta.grad = torch.full_like(
        theta, torch.finfo(dtype).max
    )  # whose sum is not finite
    optimizer.step()
    theta.grad[57] = float("inf")
    with pytest.raises(FloatingPointError):
        optimizer.step()


@each_adam
def test_parameter_without_elements_is_no_obstacle(case: Case) -> None:
    empty, *parameters = nn.Parameter(torch.ones(0, 2)), *pair()
    optimizer = case.new([empty, *parameters], nonfinite="raise")
    give(parameters)
    empty.grad = torch.ones(0, 2)
    optimizer.step()
    assert optimizer.state[empty]["step"] == 1


@each_adam
def test_parameters_without_gradients_are_not_looked_at(case: Case) -> None:
    parameters = pair()
    optimizer = case.new(parameters, lr=0.1, nonfinite="raise")
    parameters[0].grad = torch.ones(2)
    optimizer.step()
    assert parameters[0].tolist() == pytest.approx([0.9, -2.1])


@pytest.mark.parametrize("wrong", ["ignore", None, True])
def test_unknown_choice_is_refused(wrong: Any) -> None:
    with pytest.raises(
        ValueError, match=r"nonfinite must be one of \('pass', 'skip', 'raise'\)"
    ):
        optim.Adam(pair(), nonfinite=wrong)


@each_adam
def test_finite_gradients_warn_of_nothing(case: Case) -> None:
    parameters = pair()
    optimizer = case.new(parameters, nonfinite="skip")
    give(parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()


def scaled_step(
    optimizer: torch.optim.Optimizer, weight: nn.Parameter, x: Tensor, scaler: Any
) -> None:
    optimizer.zero_grad()
    loss = (weight.float() * x).sum()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


@each_adam
def test_gradient_scaler_skips_an_overflow_and_continues(case: Case) -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = case.new([weight], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    scaled_step(optimizer, weight, torch.tensor([1.0, float("inf")]), scaler)
    assert weight.tolist() == [1, 1]
    assert not optimizer.state
    scaled_step(optimizer, weight, torch.tensor([1.0, 2.0]), scaler)
    assert weight.tolist() == pytest.approx([0.9, 0.9])
    # The gradients were divided by the scale again before the step.
    assert optimizer.state[weight]["exp_avg"].tolist() == pytest.approx([0.1, 0.2])


@each_in_torch
def test_gradient_scaler_leads_to_the_same_weights_as_torch(case: Case) -> None:
    ends = []
    for make in (case.new, case.new_in_torch):
        weight = nn.Parameter(torch.ones(2))
        optimizer = make([weight], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        for step in range(10):
            x = torch.tensor([1.0, float("inf") if step == 3 else 0.1 * step])
            scaled_step(optimizer, weight, x, scaler)
        ends.append(copy.deepcopy(weight.detach()))
    torch.testing.assert_close(*ends)
