"""Scenarios in which every process holds the whole model: DDP and ZeRO."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

from tests.distributed.launch import Scenario
from tests.distributed.task import (
    HALFWAY,
    REPLICATED,
    SPOILED,
    STEPS,
    in_groups,
    new_model,
    new_optimizer,
    train,
)
from tests.optimizers import ADAM, CHOICES, Case


def parameters(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def ddp(case: Case, rank: int, _: Path) -> Any:
    model = DistributedDataParallel(new_model())
    train(model, new_optimizer(case.new, model), rank=rank)
    return parameters(model)


def zero_optimizer(case: Case, model: nn.Module, **settings: Any) -> Any:
    return ZeroRedundancyOptimizer(
        **in_groups(model),
        optimizer_class=case.optimizer,
        **{**CHOICES[case.backend], **case.fixed, **settings},
    )


def zero(case: Case, rank: int, folder: Path) -> Any:
    """Train with a pause: the second half begins from the first half's checkpoint."""
    first = DistributedDataParallel(new_model())
    optimizer = zero_optimizer(case, first)
    train(first, optimizer, range(HALFWAY), rank=rank)
    owned = sum(p.numel() for p in optimizer.optim.state)
    optimizer.consolidate_state_dict(to=0)
    file = folder / f"zero-{case}.checkpoint"
    if rank == 0:
        saved = {
            "model": first.module.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        torch.save(saved, file)
    dist.barrier()

    saved = torch.load(file, weights_only=True)
    bare = new_model(seed=1)
    bare.load_state_dict(saved["model"])
    second = DistributedDataParallel(bare)
    optimizer = zero_optimizer(case, second, **case.only(betas=(0.5, 0.5)))
    optimizer.load_state_dict(saved["optimizer"])
    train(second, optimizer, range(HALFWAY, STEPS), rank=rank)
    return {"parameters": parameters(second), "owned": owned}


def ddp_skip(rank: int, _: Path) -> Any:
    model = DistributedDataParallel(new_model())
    optimizer = new_optimizer(ADAM.new, model, nonfinite="skip")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(model, optimizer, rank=rank, spoiled=SPOILED)
    return {
        "parameters": parameters(model),
        "warnings": [str(w.message) for w in caught if w.category is RuntimeWarning],
    }


def ddp_raise(rank: int, _: Path) -> Any:
    model = DistributedDataParallel(new_model())
    optimizer = new_optimizer(ADAM.new, model, nonfinite="raise")
    message = ""
    try:
        train(model, optimizer, rank=rank, spoiled=SPOILED)
    except FloatingPointError as error:
        message = str(error)
    return {"parameters": parameters(model), "message": message}


def zero_skip(rank: int, _: Path) -> Any:
    """The gradient of one parameter is NaN, in both processes."""
    model = DistributedDataParallel(new_model())
    optimizer = zero_optimizer(ADAM, model, nonfinite="skip")
    train(model, optimizer, range(HALFWAY), rank=rank)
    before = parameters(model)
    owned = [p in optimizer.optim.state for p in model.parameters()]
    for place, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, torch.nan if place == 0 else 1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer.step()
    return {
        "before": before,
        "after": parameters(model),
        "owned": owned,
        "warnings": [str(w.message) for w in caught if w.category is RuntimeWarning],
    }


SCENARIOS: dict[str, Scenario] = {
    **{f"ddp-{case}": partial(ddp, case) for case in REPLICATED},
    **{f"zero-{case}": partial(zero, case) for case in REPLICATED},
    "ddp-skip": ddp_skip,
    "ddp-raise": ddp_raise,
    "zero-skip": zero_skip,
}
