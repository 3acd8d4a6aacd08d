"""Learning rates that PyTorch's schedulers set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from tests.optim.steps import (
    assert_close,
    assert_same,
    new_parameters,
    shapes_in_torch,
    snapshot,
    take_steps,
    through_a_file,
)
from tests.optimizers import Case, each, each_in_torch, each_optimizer, is_optimizer

SCHEDULES: dict[str, Callable[[Optimizer], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=5, gamma=0.3),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=40),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(
        o, max_lr=0.1, total_steps=60, cycle_momentum=False
    ),
    "OneCycleLR with momentum": lambda o: lr_scheduler.OneCycleLR(
        o, max_lr=0.1, total_steps=60
    ),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
}


@each_in_torch
@pytest.mark.usefixtures("float64")  # PyTorch keeps a product of NAdam's in this type
def test_scheduler_acts_as_on_the_optimizer_of_torch(case: Case) -> None:
    for name, schedule in SCHEDULES.items():
        if "momentum" in name and not case.takes("betas"):
            continue
        parameters = [new_parameters(shapes=shapes_in_torch(case)) for _ in range(2)]
        rates = []
        makers = (case.new, case.new_in_torch)
        for make, params in zip(makers, parameters, strict=True):
            optimizer = make(params, lr=0.05)
            take_steps(optimizer, params, range(50), schedule(optimizer))
            rates.append(optimizer.param_groups[0]["lr"])
        assert rates[0] == rates[1] != 0.05, name
        assert_close(*parameters)


# PyTorch 2.6 warns of what its own SequentialLR does.
@pytest.mark.filterwarnings("ignore:The epoch parameter in:UserWarning")
@each_optimizer
def test_scheduler_and_optimizer_resume_together(case: Case) -> None:
    def make() -> tuple[list[nn.Parameter], Any, Any]:
        parameters = new_parameters()
        optimizer = case.new(parameters, lr=0.1)
        warm = lr_scheduler.LinearLR(optimizer, 0.1, 1.0, total_iters=10)
        decay = lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
        schedule = lr_scheduler.SequentialLR(optimizer, [warm, decay], [10])
        return parameters, optimizer, schedule

    parameters, optimizer, schedule = make()
    take_steps(optimizer, parameters, range(15), schedule)
    saved = through_a_file(
        {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    )
    weights = [parameter.detach().clone() for parameter in parameters]
    take_steps(optimizer, parameters, range(15, 35), schedule)
    resumed, fresh, schedule = make()
    for one, value in zip(resumed, weights, strict=True):
        one.data = value
    schedule.load_state_dict(saved["schedule"])
    fresh.load_state_dict(saved["optimizer"])
    take_steps(fresh, resumed, range(15, 35), schedule)
    assert snapshot(fresh) == snapshot(optimizer)


@each_optimizer
def test_scheduler_writes_into_a_learning_rate_that_is_a_tensor(case: Case) -> None:
    # On the foreach backend, PyTorch takes a tensor only for a capturable step.
    flags = case.only(capturable=True) if case.backend == "foreach" else {}
    rate = torch.tensor(0.5, dtype=torch.float64)
    parameters, plain = new_parameters(), new_parameters()
    optimizer = case.new(parameters, lr=rate, **flags)
    other = case.new(plain, lr=0.5, **flags)
    schedules = [lr_scheduler.ExponentialLR(o, gamma=0.5) for o in (optimizer, other)]
    for step in range(5):
        take_steps(optimizer, parameters, range(step, step + 1))
        take_steps(other, plain, range(step, step + 1))
        for schedule in schedules:
            schedule.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.5**6
    if flags:
        assert_close(parameters, plain, rtol=1e-13)
    else:
        assert_same(parameters, plain)


@each(is_optimizer, lambda case: case.first_step_is_sign)
def test_plateau_lowers_the_rate_that_the_next_step_takes(case: Case) -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = case.new([theta], lr=1.0, weight_decay=0, **case.only(eps=0))
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.25, patience=0)
    for loss in (1.0, 1.0):
        theta.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
        schedule.step(loss)
    assert theta.item() == pytest.approx(-2)
    optimizer.step()
    assert theta.item() == pytest.approx(-2.25)
