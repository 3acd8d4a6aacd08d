"""Tensor decay rates keep their digits in a step that is recorded."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial import optim

RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
# Far below 0.5: above it, 1 - beta is exact in every precision.
RATES = (0.1, 0.2)


def after_steps(rule: Any, betas: Any, **settings: Any) -> Any:
    theta = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    parameter = theta * 1 if settings.get("differentiable") else theta
    known = inspect.signature(rule).parameters
    more = {"decoupled_weight_decay": True} if "decoupled_weight_decay" in known else {}
    optimizer = rule([parameter], lr=0.1, betas=betas, **more, **settings)
    for t in range(1, 11):
        parameter.grad = torch.tensor([0.3 * t, 1.0 / t], dtype=torch.float64)
        optimizer.step()
    moments = [optimizer.state[parameter][name] for name in rule.moments]
    return torch.stack([parameter, *moments]).detach()


@each_rule
@pytest.mark.parametrize("recorded", ["capturable", "differentiable"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rates_of_low_precision_lose_no_digits_in_a_recorded_step(
    rule: Any, recorded: str, dtype: torch.dtype
) -> None:
    low = tuple(torch.tensor(beta, dtype=dtype) for beta in RATES)
    same = tuple(float(beta) for beta in low)
    torch.testing.assert_close(
        after_steps(rule, low, **{recorded: True}),
        after_steps(rule, same),
        rtol=1e-13,
        atol=1e-15,
    )
