"""Every scheduler and optimizer of torch, and ours, goes on as if never interrupted."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from adam_tutorial import checkpoint
from adam_tutorial.optim import Adam
from tests.checkpoint.runs import digest_of

SCHEDULERS = [
    lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    lambda o: lr_scheduler.MultiplicativeLR(o, lambda _: 0.9),
    lambda o: lr_scheduler.StepLR(o, 2),
    lambda o: lr_scheduler.MultiStepLR(o, [2, 2, 5]),
    lambda o: lr_scheduler.ConstantLR(o),
    lambda o: lr_scheduler.LinearLR(o),
    lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    lambda o: lr_scheduler.PolynomialLR(o),
    lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-2, step_size_up=3),
    lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-2, 3, scale_fn=lambda _: 0.5),
    lambda o: lr_scheduler.OneCycleLR(o, 1e-2, total_steps=20),
    lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o), lr_scheduler.StepLR(o, 2)], [4]
    ),
    lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.9)], o
    ),
    lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
]


@pytest.mark.parametrize("make", SCHEDULERS, ids=range(len(SCHEDULERS)))
def test_every_scheduler_of_torch_resumes(make: Any, tmp_path: Path) -> None:
    def new() -> tuple[torch.optim.Optimizer, Any]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1, momentum=0.9)
        return optimizer, make(optimizer)

    def step(optimizer: torch.optim.Optimizer, scheduler: Any) -> float:
        optimizer.step()
        plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
        scheduler.step(1.0) if plateau else scheduler.step()
        rate: float = optimizer.param_groups[0]["lr"]
        return rate

    optimizer, scheduler = new()
    for _ in range(6):
        step(optimizer, scheduler)
    checkpoint.save(tmp_path, 6, optimizer=optimizer, scheduler=scheduler)
    other, its = new()
    checkpoint.load(tmp_path, optimizer=other, scheduler=its)
    rates = [step(other, its) for _ in range(8)]
    assert rates == [step(optimizer, scheduler) for _ in range(8)]


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, amsgrad=True),
    "adam_capturable": lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.1)),
    "adagrad": torch.optim.Adagrad,
    "rmsprop": lambda p: torch.optim.RMSprop(p, centered=True, momentum=0.5),
    "lbfgs": torch.optim.LBFGS,
    "rprop": torch.optim.Rprop,
    "asgd": torch.optim.ASGD,
    "adafactor": torch.optim.Adafactor,
    "ours": lambda p: Adam(p, fused=False, amsgrad=True, max_grad_norm=1.0),
    "ours_bf16": lambda p: Adam(p, fused=False, state_dtype=torch.bfloat16),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes_to_the_last_bit(name: str, tmp_path: Path) -> None:
    def new() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        return model, OPTIMIZERS[name](model.parameters())  # type: ignore[no-untyped-call]

    def train(model: nn.Module, optimizer: torch.optim.Optimizer, start: int) -> str:
        for step in range(start, start + 4):
            inputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))

            def closure(inputs: torch.Tensor = inputs) -> float:
                optimizer.zero_grad()
                loss = model(inputs).square().sum()
                loss.backward()
                return float(loss.detach())

            optimizer.step(closure)
        return digest_of([model.state_dict(), optimizer.state_dict()])

    model, optimizer = new()
    train(model, optimizer, 0)
    saved = copy.deepcopy(optimizer.state_dict())
    checkpoint.save(tmp_path, 4, model=model, optimizer=optimizer)
    other, its = new()
    checkpoint.load(tmp_path, model=other, optimizer=its)
    assert digest_of(its.state_dict()) == digest_of(saved)
    assert train(other, its, 4) == train(model, optimizer, 4)
