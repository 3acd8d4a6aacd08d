"""``max_grad_norm``: the norm of all gradients, brought down to a limit in the step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from adam_tutorial.optim import Adam, AdamW
from tests.optim.steps import copies, new_parameters, set_gradients
from tests.optimizers import Case, each_in_torch, each_optimizer


def runs(
    case: Case, limit: float, dtype: torch.dtype = torch.float64, **settings: Any
) -> tuple[list[nn.Parameter], list[nn.Parameter], list[float], Any]:
    """Train with the limit and with PyTorch's clipping before each step."""
    shapes = ((3, 4), (5,), ())
    first = new_parameters(dtype, shapes)
    second = copies(first)
    clipping = case.new(
        [{"params": first[:2], "lr": 0.01}, {"params": first[2:]}],
        max_grad_norm=limit,
        **settings,
    )
    other = case.new(
        [{"params": second[:2], "lr": 0.01}, {"params": second[2:]}], **settings
    )
    norms = []
    for step in range(20):
        for parameters in (first, second):
            set_gradients(parameters, step)
        clipping.step()
        norms.append(float(clip_grad_norm_(second, limit)))
        other.step()
    return first, second, norms, clipping


@each_optimizer
@pytest.mark.parametrize("limit", [0.5, 8.0, math.inf])
def test_limit_clips_as_torch_does_before_the_step(case: Case, limit: float) -> None:
    first, second, norms, optimizer = runs(case, limit)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert float(optimizer.gradient_norm) == pytest.approx(norms[-1])
    if limit == 8.0:
        assert min(norms) < limit < max(norms)


@pytest.mark.parametrize("settings", [{}, {"foreach": True}, {"foreach": False}])
def test_tiny_gradients_are_clipped_as_by_torch(settings: dict[str, Any]) -> None:
    """PyTorch adds 1e-6 to the norm: no more, no less."""
    one, other = (nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(2))
    first, second = Adam([one], max_grad_norm=1e-6, **settings), Adam([other])
    for parameter in (one, other):
        parameter.grad = torch.tensor([3e-6, 4e-6], dtype=torch.float64)
    first.step()
    clip_grad_norm_([other], 1e-6)
    second.step()
    m, expected = first.state[one]["exp_avg"], second.state[other]["exp_avg"]
    torch.testing.assert_close(m, expected, rtol=1e-6, atol=0)


@each_in_torch
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_limit_holds_in_lower_precision(case: Case, dtype: torch.dtype) -> None:
    first, second, _, _ = runs(case, 1.0, dtype)
    # PyTorch rounds the clipped gradient to the parameter's type.
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@each_optimizer
def test_gradients_stay_as_they_are(case: Case) -> None:
    parameters = new_parameters(shapes=((3, 4), (5,)))
    optimizer = case.new(parameters, max_grad_norm=0.1)
    set_gradients(parameters, 0)
    before = [p.grad.clone() for p in parameters]  # type: ignore[union-attr]
    optimizer.step()
    for parameter, gradient in zip(parameters, before, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)


@each_optimizer
def test_norm_of_no_gradient_at_all(case: Case) -> None:
    optimizer = case.new(new_parameters(shapes=((3, 4),)), max_grad_norm=1.0)
    optimizer.step()
    assert float(optimizer.gradient_norm) == 0


@pytest.mark.parametrize("settings", [{}, {"foreach": True}, {"foreach": False}])
def test_large_gradients_do_not_overflow_in_the_sum(settings: dict[str, Any]) -> None:
    parameter = nn.Parameter(torch.zeros(4))
    optimizer = Adam([parameter], lr=0.1, max_grad_norm=1.0, **settings)
    parameter.grad = torch.full((4,), 1e30)
    optimizer.step()
    # Twice 1e30; squared, it would be infinite in float32.
    assert float(optimizer.gradient_norm) == pytest.approx(2e30, rel=1e-6)
    assert parameter.tolist() == pytest.approx([-0.1] * 4)


@pytest.mark.parametrize("settings", [{}, {"foreach": True}, {"foreach": False}])
def test_scaler_and_limit_together(settings: dict[str, Any]) -> None:
    results = []
    for scale in (1.0, 1024.0):
        parameter = nn.Parameter(torch.ones(4))
        chosen = settings or {"fused": True}
        optimizer = Adam([parameter], lr=0.1, max_grad_norm=0.5, **chosen)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        for step in range(3):
            optimizer.zero_grad()
            loss = (parameter * torch.arange(4.0 + step)[:4]).sum()
            torch.autograd.backward(scaler.scale(loss))
            scaler.step(optimizer)
            scaler.update()
        results.append(parameter.detach())
        assert float(optimizer.gradient_norm) == pytest.approx(math.sqrt(14))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, False])
def test_limit_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="max_grad_norm must be positive, or None"):
        Adam(new_parameters(), max_grad_norm=value)


@pytest.mark.parametrize("value", ["1", torch.tensor(1.0), (1.0,)])
def test_limit_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="max_grad_norm must be a number"):
        Adam(new_parameters(), max_grad_norm=value)


def test_group_cannot_have_a_limit_of_its_own() -> None:
    first, second = new_parameters(shapes=((2,), (3,)))
    groups: list[dict[str, Any]] = [
        {"params": [first]},
        {"params": [second], "max_grad_norm": 2.0},
    ]
    with pytest.raises(ValueError, match=r"max_grad_norm must be 1\.0 in every group"):
        AdamW(groups, max_grad_norm=1.0)


def test_limit_is_kept_by_a_checkpoint_and_not_asked_of_one_by_torch() -> None:
    parameters = new_parameters(shapes=((2,),))
    optimizer = Adam(parameters, max_grad_norm=2.0)
    again = Adam(parameters, max_grad_norm=1.0)
    again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["max_grad_norm"] == 2.0
    again.load_state_dict(torch.optim.Adam(parameters).state_dict())
    assert again.param_groups[0]["max_grad_norm"] == 2.0


def test_limit_and_skipping_of_gradients_that_are_not_finite() -> None:
    parameters = new_parameters(shapes=((2,), (3,)))
    optimizer = Adam(parameters, max_grad_norm=1.0, nonfinite="skip")
    for step in range(2):
        set_gradients(parameters, step)
        optimizer.step()
    before = copies(parameters)
    assert parameters[1].grad is not None
    parameters[1].grad[0] = math.inf
    with pytest.warns(RuntimeWarning, match="skipped the step") as warned:
        optimizer.step()
    assert warned[0].filename == __file__
    for one, other in zip(parameters, before, strict=True):
        assert torch.equal(one, other)


def test_recorded_step_has_the_derivative_of_the_clipping() -> None:
    start = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    theta = start.clone()
    optimizer = Adam([theta], lr=0.1, eps=1.0, max_grad_norm=1.0, differentiable=True)
    theta.retain_grad()
    theta.grad = 3 * start
    optimizer.step()
    theta.sum().backward()

    def formula(x: torch.Tensor) -> torch.Tensor:
        g = 3 * x
        g = g * (1.0 / (g.norm() + 1e-6)).clamp(max=1)
        total: torch.Tensor = (x - 0.1 * g / (g.abs() + 1.0)).sum()
        return total

    expected = torch.autograd.functional.jacobian(formula, start.detach())
    torch.testing.assert_close(start.grad, expected)
