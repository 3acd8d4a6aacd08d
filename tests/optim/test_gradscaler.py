"""GradScaler: scaled losses and float16 gradients, on each backend."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial.optim import Adam
from tests.optimizers import BACKENDS, Case, each, in_torch

each_adam = each(lambda case: case.name == "Adam", backends=list(BACKENDS))
each_place = pytest.mark.parametrize("bad_at", [None, 0, 2])


def scaled_run(
    make: Any, dtype: torch.dtype, bad_at: int | None, **options: Any
) -> Any:
    """Four steps on the sum of squares, the loss of one of them infinite."""
    theta = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=dtype))
    optimizer = make([theta], lr=0.1, **options)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    gradients: list[Tensor] = []
    for step in range(4):
        optimizer.zero_grad()
        loss = theta.float().square().sum() * (math.inf if step == bad_at else 1.0)
        torch.autograd.backward(scaler.scale(loss))
        scaler.step(optimizer)
        scaler.update()
        assert theta.grad is not None
        gradients.append(theta.grad.clone())
    return theta.detach(), gradients, scaler.get_scale(), optimizer


@each(in_torch, backends=list(BACKENDS))
@each_place
def test_scaler_divides_and_skips_as_with_torch(case: Case, bad_at: int | None) -> None:
    flags = BACKENDS[case.backend]
    ours, theirs = (
        scaled_run(make, torch.float32, bad_at, **flags)
        for make in (case.new, case.new_in_torch)
    )
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    for one, other in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert ours[2] == theirs[2] == (256 if bad_at is None else 128)
    (state,) = ours[3].state.values()
    assert state["step"] == (4 if bad_at is None else 3)


@each(in_torch, backends=["fused"])
@each_place
def test_scaler_serves_float16_parameters_of_a_fused_optimizer_as_with_torch(
    case: Case, bad_at: int | None
) -> None:
    ours, theirs = (
        scaled_run(make, torch.float16, bad_at, fused=True)
        for make in (case.new, case.new_in_torch)
    )
    assert ours[0].dtype == torch.float16
    torch.testing.assert_close(ours[0], theirs[0], rtol=4e-3, atol=0)
    for one, other in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(one, other, rtol=4e-3, atol=0)
    assert ours[2] == theirs[2]


@each(in_torch, backends=["plain", "foreach"])
def test_scaler_refuses_float16_parameters_without_fused_as_with_torch(
    case: Case,
) -> None:
    for make in (case.new, case.new_in_torch):
        with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
            scaled_run(make, torch.float16, None)


def test_small_float16_gradient_is_not_lost_when_its_scale_is_taken_out() -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float16))
    optimizer = Adam([theta], lr=0.25, eps=1e-15, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    slope = 2.0**-30  # less than float16 can hold; times the scale, it can
    torch.autograd.backward(scaler.scale((theta.float() * slope).sum()))
    scaler.step(optimizer)
    assert theta.item() == -0.25
    assert optimizer.state[theta]["exp_avg"].item() == pytest.approx(
        0.1 * slope, rel=1e-6
    )


@each_adam
def test_gradients_that_were_unscaled_before_are_not_divided_again(case: Case) -> None:
    theta = nn.Parameter(torch.tensor([4.0, 3.0]))
    optimizer = case.new([theta], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    torch.autograd.backward(scaler.scale((theta * theta).sum() / 2))
    scaler.unscale_(optimizer)
    assert nn.utils.clip_grad_norm_([theta], 1.0).item() == pytest.approx(5)
    scaler.step(optimizer)
    scaler.update()
    torch.testing.assert_close(
        optimizer.state[theta]["exp_avg"], torch.tensor([0.08, 0.06])
    )
    assert not hasattr(optimizer, "grad_scale")


@each_adam
def test_overflow_that_the_scaler_has_found_is_no_error_of_the_optimizer(
    case: Case,
) -> None:
    theta, _, scale, optimizer = scaled_run(
        case.new, torch.float32, 0, nonfinite="raise"
    )
    assert scale == 128
    assert optimizer.state_dict()["state"][0]["step"] == 3
    assert theta.isfinite().all()


@each_adam
def test_autocast_to_float16_trains_a_network(case: Case) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(64, 4)
    optimizer = case.new(model.parameters(), lr=0.02, nonfinite="raise")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = (model(x).float() - x.sum(dim=1, keepdim=True)).square().mean()
        torch.autograd.backward(scaler.scale(loss))
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
