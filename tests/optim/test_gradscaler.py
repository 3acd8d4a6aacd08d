"""Scaled losses and float16 gradients, with and without the fused protocol of GradScaler."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim
from adam_tutorial.optim import Adam

both = pytest.mark.parametrize("name", ["Adam", "AdamW"])
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


@both
@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}], ids=str)
@each_place
def test_scaler_divides_and_skips_as_with_torch(
    name: str, options: dict[str, bool], bad_at: int | None
) -> None:
    ours, theirs = (
        scaled_run(getattr(module, name), torch.float32, bad_at, **options)
        for module in (optim, torch.optim)
    )
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    for one, other in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert ours[2] == theirs[2] == (256 if bad_at is None else 128)
    (state,) = ours[3].state.values()
    assert state["step"] == (4 if bad_at is None else 3)


@both
@each_place
def test_scaler_serves_float16_parameters_of_a_fused_optimizer_as_with_torch(
    name: str, bad_at: int | None
) -> None:
    ours, theirs = (
        scaled_run(getattr(module, name), torch.float16, bad_at, fused=True)
        for module in (optim, torch.optim)
    )
    assert ours[0].dtype == torch.float16
    torch.testing.assert_close(ours[0], theirs[0], rtol=4e-3, atol=0)
    for one, other in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(one, other, rtol=4e-3, atol=0)
    assert ours[2] == theirs[2]


def test_scaler_refuses_float16_parameters_of_an_optimizer_that_is_not_fused_as_with_torch() -> (
    None
):
    for module in (optim, torch.optim):
        with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
            scaled_run(module.Adam, torch.float16, None)


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


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_that_were_unscaled_before_are_not_divided_again(fused: bool) -> None:
    theta = nn.Parameter(torch.tensor([4.0, 3.0]))
    optimizer = Adam([theta], lr=0.1, fused=fused)
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


@pytest.mark.parametrize("fused", [False, True])
def test_overflow_that_the_scaler_has_found_is_no_error_of_the_optimizer(
    fused: bool,
) -> None:
    theta, _, scale, optimizer = scaled_run(
        Adam, torch.float32, 0, fused=fused, nonfinite="raise"
    )
    assert scale == 128
    assert optimizer.state_dict()["state"][0]["step"] == 3
    assert theta.isfinite().all()


@pytest.mark.parametrize("fused", [False, True])
def test_autocast_to_float16_trains_a_network(fused: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(64, 4)
    optimizer = Adam(model.parameters(), lr=0.02, fused=fused, nonfinite="raise")
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
