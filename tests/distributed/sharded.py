"""Scenarios in which each process holds a part of every tensor: fully_shard."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from tests.distributed.launch import Scenario
from tests.distributed.task import (
    FULLY_SHARD_RUNS_ON_CPU,
    HALFWAY,
    IN_FEWER_BITS,
    PROCESSES,
    RESUMED,
    RESUMED_FROM_TORCH,
    SHARDED,
    SPOILED,
    STEPS,
    new_model,
    new_optimizer,
    train,
)
from tests.optimizers import ADAM, Case


def sharded(model: nn.Sequential) -> nn.Module:
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def whole(tensor: Tensor) -> Tensor:
    assert isinstance(tensor, DTensor)
    return tensor.full_tensor().detach().clone()


def parameters(model: nn.Module) -> list[Tensor]:
    return [whole(p) for p in model.parameters()]


def fsdp(case: Case, rank: int, _: Path) -> Any:
    """Train, and say what the state is made of."""
    model = sharded(new_model())
    optimizer = new_optimizer(case.new, model)
    train(model, optimizer, rank=rank)
    options = StateDictOptions(full_state_dict=True)
    gathered = get_optimizer_state_dict(model, optimizer, options=options)
    moments = [
        value
        for entry in optimizer.state.values()
        for value in entry.values()
        if value.ndim > 0  # the others count steps
    ]
    return {
        "parameters": parameters(model),
        "gathered": gathered["state"],
        "moments": len(moments),
        "sharded moments": sum(isinstance(value, DTensor) for value in moments),
        "own elements": sum(
            m.to_local().numel() for m in moments if isinstance(m, DTensor)
        ),
    }


def fsdp_resume(case: Case, rank: int, folder: Path) -> Any:
    """Train with a pause: the second half begins from the first half's checkpoint."""
    return resumed(case, rank, folder / f"sharded-{case}", from_torch=False)


def fsdp_from_torch(case: Case, rank: int, folder: Path) -> Any:
    """The same, with the first half trained by PyTorch's optimizer."""
    return resumed(case, rank, folder / f"sharded-torch-{case}", from_torch=True)


def resumed(
    case: Case,
    rank: int,
    checkpoint: Path,
    *,
    from_torch: bool,
    into: Case | None = None,
) -> list[Tensor]:
    first = sharded(new_model())
    optimizer = new_optimizer(case.new_in_torch if from_torch else case.new, first)
    train(first, optimizer, range(HALFWAY), rank=rank)
    save(saved_state(first, optimizer), checkpoint_id=checkpoint)

    second = sharded(new_model(seed=1))
    other = into or case
    optimizer = new_optimizer(other.new, second, **other.only(betas=(0.5, 0.5)))
    state = saved_state(second, optimizer)
    # PyTorch's groups have no "nonfinite", and no "decoupled_weight_decay" in older
    # versions.
    planner = DefaultLoadPlanner(allow_partial_load=from_torch)
    load(state, checkpoint_id=checkpoint, planner=planner)
    set_state_dict(
        second,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
    )
    train(second, optimizer, range(HALFWAY, STEPS), rank=rank)
    return parameters(second)


def saved_state(model: nn.Module, optimizer: Any) -> dict[str, Any]:
    of_model, of_optimizer = get_state_dict(model, optimizer)
    return {"model": of_model, "optimizer": of_optimizer}


def fsdp_small(case: Case, rank: int, folder: Path) -> Any:
    """Train with a pause, once more without one, and say what was stored."""
    model = sharded(new_model())
    optimizer = new_optimizer(case.new, model)
    train(model, optimizer, range(HALFWAY), rank=rank)
    saved = optimizer.state_dict()["state"]
    own = [value for entry in optimizer.state.values() for value in entry.values()]
    gathered = get_optimizer_state_dict(
        model, optimizer, options=StateDictOptions(full_state_dict=True)
    )
    train(model, optimizer, range(HALFWAY, STEPS), rank=rank)
    return {
        "parameters": parameters(model),
        "resumed": resumed(
            case, rank, folder / f"sharded-{case}-small", from_torch=False
        ),
        "resumed from exact": resumed(
            ADAM,
            rank,
            folder / f"sharded-{case}-exact",
            from_torch=False,
            into=case,
        ),
        "own": [(str(value.dtype), isinstance(value, DTensor)) for value in own],
        "saved": [
            (name, str(value.dtype), isinstance(value, DTensor))
            for entry in saved.values()
            for name, value in entry.items()
        ],
        "gathered": gathered["state"],
    }


def fsdp_bfloat16(rank: int, _: Path) -> Any:
    model = sharded(new_model().bfloat16())
    optimizer = new_optimizer(ADAM.new, model)
    generator = torch.Generator().manual_seed(rank)
    model(torch.randn(4, 3, generator=generator).bfloat16()).square().mean().backward()
    optimizer.step()
    return [
        (str(value.dtype), isinstance(value, DTensor))
        for entry in optimizer.state.values()
        for name, value in entry.items()
        if name != "step"
    ]


def fsdp_skip(rank: int, _: Path) -> Any:
    model = sharded(new_model())
    optimizer = new_optimizer(ADAM.new, model, nonfinite="skip")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(model, optimizer, rank=rank, spoiled=SPOILED)
    return {
        "parameters": parameters(model),
        "warnings": [str(w.message) for w in caught if w.category is RuntimeWarning],
    }


def sharded_tensors(nan_on: int | None, rank: int) -> list[Tensor]:
    """A matrix and a vector in shards; in one process, the vector's has a NaN."""
    mesh = init_device_mesh("cpu", (PROCESSES,))
    generator = torch.Generator().manual_seed(0)
    tensors: list[Tensor] = [
        distribute_tensor(
            torch.randn(shape, generator=generator, dtype=torch.float64),
            mesh,
            [Shard(0)],
        )
        for shape in [(5, 3), (4,)]
    ]
    if rank == nan_on:
        own = tensors[1]
        assert isinstance(own, DTensor)
        own.to_local()[0] = torch.nan
    return tensors


def shard_skip(nan_on: int, rank: int, _: Path) -> Any:
    """Three steps: a good gradient, one with a NaN in one shard, the good one again."""
    theta = [nn.Parameter(tensor) for tensor in sharded_tensors(None, rank)]
    optimizer = ADAM.new(theta, lr=0.1, nonfinite="skip")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for where in (None, nan_on, None):
            for parameter, gradient in zip(
                theta, sharded_tensors(where, rank), strict=True
            ):
                parameter.grad = gradient
            optimizer.step()
    return {
        "parameters": [whole(parameter) for parameter in theta],
        "steps": [int(optimizer.state[parameter]["step"]) for parameter in theta],
        "warnings": [str(w.message) for w in caught if w.category is RuntimeWarning],
    }


def shard_raise(nan_on: int, rank: int, _: Path) -> Any:
    theta = [nn.Parameter(tensor) for tensor in sharded_tensors(None, rank)]
    optimizer = ADAM.new(theta, lr=0.1, nonfinite="raise")
    before = [whole(parameter) for parameter in theta]
    for parameter, gradient in zip(theta, sharded_tensors(nan_on, rank), strict=True):
        parameter.grad = gradient
    message = ""
    try:
        optimizer.step()
    except FloatingPointError as error:
        message = str(error)
    return {
        "before": before,
        "parameters": [whole(parameter) for parameter in theta],
        "message": message,
    }


SCENARIOS: dict[str, Scenario] = {
    **{
        f"shard-skip-{nan_on}": partial(shard_skip, nan_on)
        for nan_on in range(PROCESSES)
    },
    **{
        f"shard-raise-{nan_on}": partial(shard_raise, nan_on)
        for nan_on in range(PROCESSES)
    },
}
if FULLY_SHARD_RUNS_ON_CPU:
    SCENARIOS |= {
        **{f"fsdp-{case}": partial(fsdp, case) for case in SHARDED},
        **{f"fsdp-resume-{case}": partial(fsdp_resume, case) for case in RESUMED},
        **{f"fsdp-small-{case}": partial(fsdp_small, case) for case in IN_FEWER_BITS},
        "fsdp-bfloat16": fsdp_bfloat16,
        "fsdp-skip": fsdp_skip,
        **{
            f"fsdp-from-torch-{case}": partial(fsdp_from_torch, case)
            for case in RESUMED_FROM_TORCH
        },
    }
