"""Steps that keep everything on the device, so that a graph can record them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.optim.steps import assert_close, numbers, set_gradients
from tests.optimizers import Case, each, each_optimizer, is_optimizer

is_capturable = lambda case: case.takes("capturable")
each_capturable = each(is_optimizer, is_capturable)


@each_capturable
@pytest.mark.parametrize("tensors", [False, True], ids=["floats", "tensors"])
def test_capturable_step_equals_the_plain_one_in_every_dtype(
    case: Case, tensors: bool
) -> None:
    options = {"lr": 0.05, "weight_decay": 0.1, **case.only(betas=(0.8, 0.95))}
    recorded: dict[str, Any] = dict(options)
    if tensors:
        recorded["lr"] = torch.tensor(0.05, dtype=torch.float64)
        betas = tuple(torch.tensor(beta, dtype=torch.float64) for beta in (0.8, 0.95))
        recorded |= case.only(betas=betas)
    for dtype in case.dtypes:
        one, other = (nn.Parameter(numbers(0, dtype=dtype)) for _ in range(2))
        first = case.new([one], **options)
        second = case.new([other], capturable=True, **recorded)
        for seed in range(1, 60):
            one.grad = other.grad = numbers(seed, dtype=dtype)
            first.step()
            second.step()
        digits = 30 * torch.finfo(dtype).eps
        torch.testing.assert_close(one, other, rtol=digits, atol=digits)


@each_capturable
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1, "maximize": True}], ids=str
)
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.5, 0.0)], ids=str)
def test_capturable_step_equals_the_plain_one_at_the_ends_of_the_range_of_betas(
    case: Case, options: dict[str, Any], betas: tuple[float, float]
) -> None:
    settings = {"lr": 0.01, **case.only(betas=betas), **options}
    one, other = (nn.Parameter(numbers(0, (5,))) for _ in range(2))
    first = case.new([one], **settings)
    second = case.new([other], capturable=True, **settings)
    for step in range(100):
        set_gradients([one], step)
        other.grad = one.grad
        first.step()
        second.step()
    assert_close([other], [one], rtol=1e-11)
    assert one.isfinite().all()


@each_capturable
def test_capturable_step_never_reads_a_tensor_back(case: Case) -> None:
    # A tensor on the device "meta" has no value: reading it would raise.
    weight = nn.Parameter(torch.ones(3, device="meta"))
    weight.grad = torch.ones(3, device="meta")
    optimizer = case.new([weight], capturable=True)
    optimizer.step()
    assert optimizer.state[weight]["step"].device.type == "meta"


@each_optimizer
@pytest.mark.parametrize("capturable", [False, True])
def test_count_continues_beyond_what_float32_can_count(
    case: Case, capturable: bool
) -> None:
    weight = nn.Parameter(numbers(0))
    weight.grad = numbers(1)
    optimizer = case.new([weight], **case.only(capturable=capturable))
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["step"] = torch.tensor(2.0**24)  # PyTorch's counter ends here
    optimizer.load_state_dict(state)
    for _ in range(3):
        optimizer.step()
    assert optimizer.state[weight]["step"].item() == 2**24 + 3
    assert weight.isfinite().all()
