"""The maximum of AMSGrad takes NaN from both sides, as in PyTorch, and keeps it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim


def after(
    make: Any, gradients: list[float], **settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the parameter, v and v_max after a step with each gradient."""
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = make([theta], lr=0.1, amsgrad=True, **settings)
    for gradient in gradients:
        theta.grad = torch.full((1,), gradient, dtype=torch.float64)
        optimizer.step()
    state = optimizer.state[theta]
    return theta.detach(), state["exp_avg_sq"], state["max_exp_avg_sq"]


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize(
    "gradients",
    [
        [1.0, math.nan],
        [math.nan, 1.0],
        [math.inf, math.nan],
        [1.0, math.inf, 1.0],
        [2.0, 1.0, 1.0],
    ],
    ids=str,
)
@pytest.mark.parametrize("settings", [{}, {"capturable": True}], ids=str)
def test_gradient_that_is_not_finite_reaches_the_maximum_as_in_torch(
    name: str, gradients: list[float], settings: dict[str, Any]
) -> None:
    ours = after(getattr(optim, name), gradients, **settings)
    theirs = after(getattr(torch.optim, name), gradients)
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=0, equal_nan=True)
    if math.nan in gradients:
        assert ours[2].isnan()


@pytest.mark.parametrize("settings", [{}, {"capturable": True}], ids=str)
def test_maximum_that_is_nan_stays_so_beside_a_finite_v_as_in_torch(
    settings: dict[str, Any],
) -> None:
    # So it is in a checkpoint in which somebody has repaired m and v only.
    results = []
    for make, flags in ((optim.Adam, settings), (torch.optim.Adam, {})):
        theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        optimizer: Any = make([theta], lr=0.1, amsgrad=True, **flags)
        for _ in range(2):
            theta.grad = torch.ones(2, dtype=torch.float64)
            optimizer.step()
            optimizer.state[theta]["max_exp_avg_sq"][0] = math.nan
        theta.grad = torch.ones(2, dtype=torch.float64)
        optimizer.step()
        state = optimizer.state[theta]
        results.append((theta.detach(), state["exp_avg_sq"], state["max_exp_avg_sq"]))
    torch.testing.assert_close(*results, rtol=1e-13, atol=0, equal_nan=True)
    assert results[0][2].isnan().tolist() == [True, False]
