"""PyTorch's own inputs and error inputs for Adam and AdamW, run against ours.

They come with torch, in ``torch.testing._internal.common_optimizers``. Those that torch
keeps for CUDA (capturable, tensor betas) are run on the CPU, which ours can.
"""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.testing._internal import common_optimizers as material

from adam_tutorial import optim

CLASSES = {
    "Adam": (optim.Adam, torch.optim.Adam),
    "AdamW": (optim.AdamW, torch.optim.AdamW),
}


def inputs(device: str) -> list[Any]:
    return list(material.optim_inputs_func_adam(torch.device(device)))


# The configurations for CUDA include those for the CPU.
CONFIGURATIONS = {entry.desc or "default": entry.kwargs for entry in inputs("cuda")}
ERRORS = {
    f"{place}: {entry.optimizer_error_input.desc}": entry
    for place, entry in enumerate(
        material.optim_error_inputs_func_adam(torch.device("cpu"), torch.float32)
    )
}
both = pytest.mark.parametrize("name", CLASSES)
each = pytest.mark.parametrize("description", CONFIGURATIONS)


def model_and_loss(seed: int = 0) -> tuple[nn.Module, Any]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    x = torch.randn(20, 4, dtype=torch.float64)
    return model, lambda: (model(x) - x.sum(dim=1, keepdim=True)).square().mean()


def train(
    optimizer: Optimizer, loss: Any, steps: int, scheduler: Any = None
) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(value.item())
    return losses


def plain(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The same numbers without capturable and tensors, as torch takes them on the CPU."""
    kwargs = {key: value for key, value in kwargs.items() if key != "capturable"}
    if "lr" in kwargs:
        kwargs["lr"] = float(kwargs["lr"])
    if "betas" in kwargs:
        kwargs["betas"] = tuple(float(beta) for beta in kwargs["betas"])
    return kwargs


def test_material_is_there() -> None:
    assert len(CONFIGURATIONS) >= 9
    assert len(ERRORS) >= 12


@both
@each
@pytest.mark.parametrize("flag", [None, "foreach", "fused"])
def test_configuration_trains_as_torch_does(
    name: str, description: str, flag: str | None
) -> None:
    ours, theirs = CLASSES[name]
    kwargs = copy.deepcopy(CONFIGURATIONS[description])
    mine, loss = model_and_loss()
    yours, their_loss = model_and_loss()
    flags = {flag: True} if flag else {}
    losses = train(ours(mine.parameters(), **kwargs, **flags), loss, 100)
    expected = train(theirs(yours.parameters(), **plain(kwargs)), their_loss, 100)
    assert losses == pytest.approx(expected, rel=1e-8)
    for one, other in zip(mine.parameters(), yours.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@both
@pytest.mark.parametrize("description", ERRORS)
def test_error_input_raises_what_torch_raises(name: str, description: str) -> None:
    entry = ERRORS[description]
    given = entry.optimizer_error_input
    params = (
        given.params if given.params is not None else [nn.Parameter(torch.randn(1, 1))]
    )
    # Of a parameter that is given twice torch only warns.
    error = ValueError if issubclass(entry.error_type, Warning) else entry.error_type
    with pytest.raises(error, match=entry.error_regex):
        CLASSES[name][0](params, **given.kwargs)


@both
@each
@pytest.mark.parametrize("contiguous", [True, False])
def test_loss_falls_with_and_without_schedulers(
    name: str, description: str, contiguous: bool
) -> None:
    kwargs = copy.deepcopy(CONFIGURATIONS[description])
    sign = -1 if kwargs.get("maximize") else 1
    weight = torch.randn((10, 5), generator=torch.Generator().manual_seed(0))
    weight = nn.Parameter(
        weight if contiguous else torch.stack([weight] * 2, dim=2)[..., 0]
    )
    x = torch.randn(5, generator=torch.Generator().manual_seed(1))
    loss: Any = lambda: sign * (weight.mv(x) - 1).square().sum()
    optimizer = CLASSES[name][0]([weight], **{**kwargs, "lr": kwargs.get("lr", 1e-3)})
    for scheduler in (
        None,
        lr_scheduler.StepLR(optimizer, gamma=0.99, step_size=10),
        lr_scheduler.ReduceLROnPlateau(optimizer),
    ):
        first = sign * loss().item()
        for _ in range(30):
            optimizer.zero_grad()
            value = loss()
            torch.autograd.backward(value)
            optimizer.step()
            if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
                scheduler.step(value.item())
            elif scheduler is not None:
                scheduler.step()
        assert sign * loss().item() < first


@both
@each
def test_step_without_gradients_changes_nothing(name: str, description: str) -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = CLASSES[name][0](
        [parameter], **copy.deepcopy(CONFIGURATIONS[description])
    )
    optimizer.step()
    assert parameter.tolist() == [1, 1, 1]
    assert not optimizer.state


@both
@each
def test_step_with_zero_gradients_moves_by_the_decay_alone(
    name: str, description: str
) -> None:
    kwargs = copy.deepcopy(CONFIGURATIONS[description])
    parameter = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = CLASSES[name][0]([parameter], **{**kwargs, "weight_decay": 0})
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert parameter.tolist() == [1, 1, 1]
    assert optimizer.state[parameter]["step"] == 1


@both
@each
def test_state_dict_loads_and_training_goes_on_as_before(
    name: str, description: str
) -> None:
    kwargs = copy.deepcopy(CONFIGURATIONS[description])
    straight, loss = model_and_loss()
    optimizer = CLASSES[name][0](straight.parameters(), **kwargs)
    train(optimizer, loss, 10)
    resumed, resumed_loss = model_and_loss()
    resumed.load_state_dict(straight.state_dict())
    other = CLASSES[name][0](resumed.parameters(), **copy.deepcopy(kwargs))
    other.load_state_dict(optimizer.state_dict())
    assert train(optimizer, loss, 10) == train(other, resumed_loss, 10)


@both
@each
def test_state_dict_is_the_same_with_and_without_names(
    name: str, description: str
) -> None:
    kwargs = copy.deepcopy(CONFIGURATIONS[description])
    model, loss = model_and_loss()
    twin, twin_loss = model_and_loss()
    unnamed = CLASSES[name][0](model.parameters(), **kwargs)
    named = CLASSES[name][0](twin.named_parameters(), **copy.deepcopy(kwargs))
    assert train(unnamed, loss, 5) == train(named, twin_loss, 5)
    unnamed.load_state_dict(named.state_dict())
    assert unnamed.param_groups[0]["param_names"][0] == "0.weight"
    assert train(unnamed, loss, 5) == train(named, twin_loss, 5)


@both
@each
def test_old_state_dict_with_a_plain_step_and_without_new_settings_loads(
    name: str, description: str
) -> None:
    kwargs = copy.deepcopy(CONFIGURATIONS[description])
    model, loss = model_and_loss()
    optimizer = CLASSES[name][0](model.parameters(), **kwargs)
    train(optimizer, loss, 5)
    old = copy.deepcopy(optimizer.state_dict())
    for group in old["param_groups"]:
        for key in ("foreach", "capturable", "differentiable", "fused", "nonfinite"):
            del group[key]
    for entry in old["state"].values():
        entry["step"] = int(entry["step"])
    other_model, other_loss = model_and_loss()
    other_model.load_state_dict(model.state_dict())
    other = CLASSES[name][0](other_model.parameters())
    other.load_state_dict(old)
    assert train(optimizer, loss, 5) == pytest.approx(
        train(other, other_loss, 5), rel=1e-12
    )


@both
@each
def test_deepcopy_keeps_state_and_settings(name: str, description: str) -> None:
    model, loss = model_and_loss()
    optimizer = CLASSES[name][0](
        model.parameters(), **copy.deepcopy(CONFIGURATIONS[description])
    )
    train(optimizer, loss, 3)
    twin = copy.deepcopy(optimizer)
    assert str(twin.state_dict()) == str(optimizer.state_dict())
    assert (
        twin.param_groups[0]["params"][0] is not optimizer.param_groups[0]["params"][0]
    )
    assert twin.defaults.keys() == optimizer.defaults.keys()


@both
def test_group_with_its_own_weight_decay_and_learning_rate(name: str) -> None:
    groups: list[dict[str, Any]] = []
    results = []
    for kind in CLASSES[name]:
        torch.manual_seed(0)
        parameters = [
            nn.Parameter(torch.randn(3, dtype=torch.float64)) for _ in range(2)
        ]
        groups = [
            {"params": parameters[:1], "lr": 0.1},
            {"params": parameters[1:], "weight_decay": 0.5},
        ]
        optimizer = kind(groups, lr=1e-3, weight_decay=0)
        train(optimizer, lambda: sum(p.square().sum() for p in parameters), 20)
        results.append(torch.cat([p.detach() for p in parameters]))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-14)
    assert not math.isclose(results[0][0].item(), results[0][3].item())


@both
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_complex_parameters_step_as_in_torch(name: str, shape: tuple[int, ...]) -> None:
    results = []
    for kind in CLASSES[name]:
        generator = torch.Generator().manual_seed(0)
        draw: Any = functools.partial(
            torch.randn, shape, dtype=torch.complex128, generator=generator
        )
        parameter = nn.Parameter(draw())
        optimizer = kind([parameter], lr=0.1, weight_decay=0.1, amsgrad=True)
        for _ in range(20):
            parameter.grad = draw()
            optimizer.step()
        results.append(parameter.detach())
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-14)
