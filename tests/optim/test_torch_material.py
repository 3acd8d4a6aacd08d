"""PyTorch's own inputs and error inputs for its optimizers, given to ours.

They come with torch, in ``torch.testing._internal.common_optimizers``. Those that it
keeps for CUDA (capturable steps, rates in tensors) run on the CPU here, which ours can.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.testing._internal import common_optimizers as material

from tests.optimizers import BACKENDS, Case, cases, each, in_torch, is_class

MATERIAL = {info.optim_cls: info for info in material.optim_db}
# PyTorch keeps a product of NAdam's in the default type.
pytestmark = pytest.mark.usefixtures("float64")


def inputs(case: Case) -> list[Any]:
    # The inputs for CUDA include those for the CPU.
    return list(MATERIAL[case.torch].optim_inputs_func(torch.device("cuda")))


def error_inputs(case: Case) -> list[Any]:
    make = MATERIAL[case.torch].optim_error_inputs_func
    return list(make(torch.device("cpu"), torch.float32))


def each_input(backends: Iterable[str] = ("plain", "foreach")) -> pytest.MarkDecorator:
    """Parametrise by optimizer and input, where this backend accepts the input."""
    rows = [
        pytest.param(case, place, id=f"{case}-{entry.desc}")
        for case in cases(in_torch, is_class, backends=list(backends))
        for place, entry in enumerate(inputs(case))
        if case.accepts(entry.kwargs)
    ]
    return pytest.mark.parametrize(("case", "place"), rows)


def settings_at(case: Case, place: int) -> dict[str, Any]:
    """Return the settings of an input, for one optimizer alone."""
    settings: dict[str, Any] = copy.deepcopy(inputs(case)[place].kwargs)
    return settings


def model_and_loss(seed: int = 0) -> tuple[nn.Module, Any]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
    x = torch.randn(20, 4)
    return model, lambda: (model(x) - x.sum(dim=1, keepdim=True)).square().mean()


def train(optimizer: Optimizer, loss: Any, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the same numbers as PyTorch takes them on the CPU."""
    settings = {key: value for key, value in settings.items() if key != "capturable"}
    if "lr" in settings:
        settings["lr"] = float(settings["lr"])
    if "betas" in settings:
        settings["betas"] = tuple(float(beta) for beta in settings["betas"])
    return settings


def test_material_is_there() -> None:
    for case in cases(in_torch, is_class, backends=["plain"]):
        assert len(inputs(case)) >= 5
        assert len(error_inputs(case)) >= 7


@functools.cache
def trained_by_torch(kind: Any, place: int) -> tuple[list[float], nn.Module]:
    (case,) = cases(is_class, lambda case: case.torch is kind, backends=["plain"])
    model, loss = model_and_loss()
    optimizer = case.new_in_torch(model.parameters(), **plain(settings_at(case, place)))
    return train(optimizer, loss, 50), model


@each_input(BACKENDS)
def test_optimizer_trains_as_that_of_torch_does(case: Case, place: int) -> None:
    model, loss = model_and_loss()
    losses = train(case.new(model.parameters(), **settings_at(case, place)), loss, 50)
    expected, theirs = trained_by_torch(case.torch, place)
    assert losses == pytest.approx(expected, rel=1e-8)
    for one, other in zip(model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("case", "place"),
    [
        pytest.param(case, place, id=f"{case}-{entry.optimizer_error_input.desc}")
        for case in cases(in_torch, is_class, backends=["plain"])
        for place, entry in enumerate(error_inputs(case))
    ],
)
def test_error_input_raises_what_torch_raises(case: Case, place: int) -> None:
    entry = error_inputs(case)[place]
    given = entry.optimizer_error_input
    params = given.params
    if params is None:
        params = [nn.Parameter(torch.randn(1, 1))]
    error, message = entry.error_type, entry.error_regex
    if issubclass(error, Warning):
        error = ValueError  # of a parameter that is given twice, PyTorch only warns
    if entry.error_on is material.OptimizerErrorEnum.STEP_ERROR:
        # Ours does not wait for the first step, if there may be one.
        params = [nn.Parameter(param) for param in params]
        error, message = TypeError, "complex"
    with pytest.raises(error, match=message):
        case.optimizer(params, **given.kwargs)


@each_input()
@pytest.mark.parametrize("contiguous", [True, False])
def test_loss_falls_with_and_without_schedulers(
    case: Case, place: int, contiguous: bool
) -> None:
    settings = settings_at(case, place)
    sign = -1 if settings.get("maximize") else 1
    weight = torch.randn((10, 5), generator=torch.Generator().manual_seed(0)).float()
    weight = nn.Parameter(
        weight if contiguous else torch.stack([weight] * 2, dim=2)[..., 0]
    )
    x = torch.randn(5, generator=torch.Generator().manual_seed(1)).float()
    loss: Any = lambda: sign * (weight.mv(x) - 1).square().sum()
    optimizer = case.new([weight], **{"lr": 1e-3, **settings})
    for scheduler in (
        None,
        lr_scheduler.StepLR(optimizer, gamma=0.99, step_size=10),
        lr_scheduler.ReduceLROnPlateau(optimizer),
    ):
        first = sign * loss().item()
        for _ in range(12):
            optimizer.zero_grad()
            value = loss()
            torch.autograd.backward(value)
            optimizer.step()
            if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
                scheduler.step(value.item())
            elif scheduler is not None:
                scheduler.step()
        assert sign * loss().item() < first


@each_input()
def test_step_without_gradients_changes_nothing(case: Case, place: int) -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = case.new([parameter], **settings_at(case, place))
    optimizer.step()
    assert parameter.tolist() == [1, 1, 1]
    assert not optimizer.state


@each_input()
def test_step_with_zero_gradients_moves_by_the_decay_alone(
    case: Case, place: int
) -> None:
    parameter = nn.Parameter(torch.ones(3))
    settings = {**settings_at(case, place), "weight_decay": 0}
    optimizer = case.new([parameter], **settings)
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert parameter.tolist() == [1, 1, 1]
    assert optimizer.state[parameter]["step"] == 1


@each_input()
def test_state_dict_loads_and_training_continues_as_before(
    case: Case, place: int
) -> None:
    straight, loss = model_and_loss()
    optimizer = case.new(straight.parameters(), **settings_at(case, place))
    train(optimizer, loss, 8)
    resumed, resumed_loss = model_and_loss()
    resumed.load_state_dict(straight.state_dict())
    other = case.new(resumed.parameters(), **settings_at(case, place))
    other.load_state_dict(optimizer.state_dict())
    assert train(optimizer, loss, 8) == train(other, resumed_loss, 8)


@each_input()
def test_state_dict_is_the_same_with_and_without_names(case: Case, place: int) -> None:
    model, loss = model_and_loss()
    twin, twin_loss = model_and_loss()
    unnamed = case.new(model.parameters(), **settings_at(case, place))
    named = case.new(twin.named_parameters(), **settings_at(case, place))
    assert train(unnamed, loss, 5) == train(named, twin_loss, 5)
    unnamed.load_state_dict(named.state_dict())
    assert unnamed.param_groups[0]["param_names"][0] == "0.weight"
    assert train(unnamed, loss, 5) == train(named, twin_loss, 5)


@each_input()
def test_old_state_dict_with_plain_numbers_and_without_new_settings_loads(
    case: Case, place: int
) -> None:
    model, loss = model_and_loss()
    optimizer = case.new(model.parameters(), **settings_at(case, place))
    train(optimizer, loss, 5)
    old = copy.deepcopy(optimizer.state_dict())
    for group in old["param_groups"]:
        for name in set(case.flags) - {"maximize"}:
            del group[name]
    for entry in old["state"].values():
        entry["step"] = int(entry["step"])
        for name in case.numbers:
            entry[name] = float(entry[name])
    other_model, other_loss = model_and_loss()
    other_model.load_state_dict(model.state_dict())
    # The kind of decay is not in the old one; the new optimizer has to be made for it.
    kind = optimizer.param_groups[0].get("decoupled_weight_decay", False)
    other = case.new(other_model.parameters(), **case.only(decoupled_weight_decay=kind))
    other.load_state_dict(old)
    assert train(optimizer, loss, 5) == pytest.approx(
        train(other, other_loss, 5), rel=1e-12
    )


@each_input()
def test_deepcopy_keeps_state_and_settings(case: Case, place: int) -> None:
    model, loss = model_and_loss()
    optimizer = case.new(model.parameters(), **settings_at(case, place))
    train(optimizer, loss, 3)
    twin = copy.deepcopy(optimizer)
    assert str(twin.state_dict()) == str(optimizer.state_dict())
    (mine, *_), (copied, *_) = (o.param_groups[0]["params"] for o in (optimizer, twin))
    assert copied is not mine
    assert twin.defaults.items() >= optimizer.defaults.items()


@each(in_torch)
def test_group_with_its_own_weight_decay_and_learning_rate(case: Case) -> None:
    results = []
    for make in (case.new, case.new_in_torch):
        torch.manual_seed(0)
        parameters = [nn.Parameter(torch.randn(3)) for _ in range(2)]
        groups = [
            {"params": parameters[:1], "lr": 0.1},
            {"params": parameters[1:], "weight_decay": 0.5},
        ]
        optimizer = make(groups, lr=1e-3, weight_decay=0)
        train(optimizer, lambda: sum(p.square().sum() for p in parameters), 20)  # noqa: B023
        results.append(torch.cat([p.detach() for p in parameters]))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-14)
    assert not math.isclose(results[0][0].item(), results[0][3].item())


@each(in_torch, lambda case: case.complex)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_complex_parameters_step_as_in_torch(
    case: Case, shape: tuple[int, ...]
) -> None:
    results = []
    for make in (case.new, case.new_in_torch):
        generator = torch.Generator().manual_seed(0)
        draw: Any = functools.partial(
            torch.randn, shape, dtype=torch.complex128, generator=generator
        )
        parameter = nn.Parameter(draw())
        optimizer = make([parameter], lr=0.1, weight_decay=0.1)
        for _ in range(20):
            parameter.grad = draw()
            optimizer.step()
        results.append(parameter.detach())
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-14)
