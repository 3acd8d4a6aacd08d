"""Tensor decay rates keep their digits in a step that is recorded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.optimizers import Case, each, is_optimizer

# Far below 0.5: above it, 1 - beta is exact in every precision.
RATES = (0.1, 0.2)


def after_steps(case: Case, betas: Any, **settings: Any) -> Tensor:
    theta = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    parameter = theta * 1 if settings.get("differentiable") else theta
    more = case.only(decoupled_weight_decay=True)
    optimizer = case.new([parameter], lr=0.1, betas=betas, **more, **settings)
    for t in range(1, 11):
        parameter.grad = torch.tensor([0.3 * t, 1.0 / t], dtype=torch.float64)
        optimizer.step()
    state = optimizer.state[parameter]
    moments = [state[name] for name in case.moments_of((2,))]
    return torch.stack([parameter, *moments]).detach()


@each(is_optimizer, lambda case: case.takes("betas"), backends=["plain"])
@pytest.mark.parametrize("recorded", ["capturable", "differentiable"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rates_of_low_precision_lose_no_digits_in_a_recorded_step(
    case: Case, recorded: str, dtype: torch.dtype
) -> None:
    low = tuple(torch.tensor(beta, dtype=dtype) for beta in RATES)
    same = tuple(float(beta) for beta in low)
    torch.testing.assert_close(
        after_steps(case, low, **{recorded: True}),
        after_steps(case, same),
        rtol=1e-13,
        atol=1e-15,
    )
