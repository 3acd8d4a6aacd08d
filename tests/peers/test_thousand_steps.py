"""A thousand steps of our optimizers and of torch's, with decay and sign each way."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import nn

from tests.optim.steps import assert_close, gradients_of, new_parameters
from tests.optimizers import CASES, Case, each_form_in_torch

CHOICES: list[dict[str, Any]] = [
    {"maximize": maximize, "weight_decay": decay}
    for maximize in (False, True)
    for decay in (0.0, 0.1)
]


def after_a_thousand_steps(make: Any, **settings: Any) -> list[nn.Parameter]:
    """Train with all choices at once, each in a group of its own."""
    parameters = new_parameters(shapes=[(5,)] * len(CHOICES))
    groups = [
        {"params": [parameter], **choice}
        for parameter, choice in zip(parameters, CHOICES, strict=True)
    ]
    optimizer = make(groups, lr=0.01, **settings)
    for gradient in gradients_of(1, 1000):
        for parameter in parameters:
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
    return parameters


@functools.cache
def torch_after_a_thousand_steps(name: str) -> list[nn.Parameter]:
    (case,) = (case for case in CASES if case.name == name)
    return after_a_thousand_steps(case.new_in_torch, **case.only(betas=(0.8, 0.99)))


@each_form_in_torch
@pytest.mark.usefixtures("float64")  # PyTorch keeps a product of NAdam's in this type
def test_optimizer_agrees_with_that_of_torch_over_a_thousand_steps(case: Case) -> None:
    ours = after_a_thousand_steps(case.new, **case.only(betas=(0.8, 0.99)))
    theirs = torch_after_a_thousand_steps(case.name)
    assert_close(ours, theirs)
    for start, end in zip(new_parameters(shapes=[(5,)] * 4), ours, strict=True):
        assert (end - start).abs().mean() > 1e-2
