"""Each optimizer against the formula of its paper, and against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adam_tutorial._types import Float64Array
from adam_tutorial.reference.rule import takes_theta
from tests.optim.steps import (
    gradients_of,
    new_parameters,
    shapes_in_torch,
    take_steps,
)
from tests.optimizers import (
    Case,
    each,
    each_in_torch,
    is_optimizer,
)


def end_of_reference(
    case: Case,
    theta: Float64Array,
    gradients: list[Float64Array],
    settings: dict[str, Any],
) -> Float64Array:
    """Follow the reference; decay and sign are written out if it lacks them."""
    settings = dict(settings)
    maximize, decay = settings.pop("maximize"), settings.pop("weight_decay")
    rule, state = case.rule_with_decay or case.rule, None
    for gradient in gradients:
        g, extra = -gradient if maximize else gradient, {}
        if takes_theta(rule):
            extra = {"theta": theta, "weight_decay": decay}
        elif case.decoupled:
            theta = theta * (1 - settings["lr"] * decay)
        else:
            g = g + decay * theta
        state, update = rule(state, g, **case.spelt(settings), **extra)
        theta = theta + update
    return theta


@each(backends=["plain"])
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_optimizer_follows_its_reference(
    case: Case, data: st.DataObject, seed: int
) -> None:
    # Not one test a backend: another one proves that all compute the same.
    case = case.on(data.draw(st.sampled_from(case.backends)))
    settings = data.draw(case.random_settings())
    theta, gradients = (
        np.random.default_rng(seed).standard_normal(5),
        gradients_of(seed, 25),
    )
    parameter = nn.Parameter(torch.tensor(theta))
    optimizer = case.new([parameter], **settings)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
    expected = end_of_reference(case, theta, gradients, settings)
    np.testing.assert_allclose(
        parameter.detach().numpy(), expected, rtol=1e-9, atol=1e-10
    )


@each_in_torch
def test_single_precision_agrees_with_torch_to_single_precision(case: Case) -> None:
    shapes = shapes_in_torch(case)
    ours, theirs = (new_parameters(torch.float32, shapes) for _ in range(2))
    take_steps(case.new(ours, lr=0.01), ours, range(100))
    take_steps(case.new_in_torch(theirs, lr=0.01), theirs, range(100))
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@each_in_torch
@pytest.mark.usefixtures("float64")
def test_network_trains_as_with_torch(case: Case) -> None:
    losses: list[list[float]] = []
    for make in (case.new, case.new_in_torch):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        x = torch.randn(32, 4)
        optimizer = make(model.parameters(), lr=0.02)
        losses.append([])
        for _ in range(100):
            optimizer.zero_grad()
            loss = (model(x) - x.prod(dim=1, keepdim=True)).square().mean()
            torch.autograd.backward(loss)
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert losses[0][-1] < 0.7 * losses[0][0]


@each(is_optimizer, lambda case: case.first_step_is_sign)
@given(data=st.data())
def test_first_step_is_lr_times_sign_of_gradient(
    case: Case, data: st.DataObject
) -> None:
    settings = {
        **data.draw(case.random_settings()),
        **case.only(eps=data.draw(st.sampled_from([1e-12, 1e-8, 1e-3, 1.0]))),
        "weight_decay": 0,
        "maximize": False,
    }
    gradient = torch.tensor([1e6, -3.0, 1e-2, -1e-2, 0.0], dtype=torch.float64)
    theta = nn.Parameter(torch.zeros(5, dtype=torch.float64))
    theta.grad = gradient.clone()
    case.new([theta], **settings).step()
    size = gradient.abs() / (gradient.abs() + settings.get("eps", 0.0))
    expected = -settings["lr"] * gradient.sign() * size.nan_to_num()
    torch.testing.assert_close(theta.data, expected, rtol=1e-10, atol=0)


@each(is_optimizer, lambda case: case.elementwise)
def test_maximize_climbs_as_far_as_the_other_falls(case: Case) -> None:
    down, up = new_parameters(), new_parameters()
    take_steps(case.new(down, lr=0.01, weight_decay=0), down, range(20))
    take_steps(case.new(up, lr=0.01, weight_decay=0, maximize=True), up, range(20))
    for start, one, other in zip(new_parameters(), down, up, strict=True):
        torch.testing.assert_close(one - start, start - other, rtol=1e-10, atol=1e-13)
