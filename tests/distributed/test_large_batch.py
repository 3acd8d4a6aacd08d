"""Adam on the mean of several processes' gradients is Adam on the large batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from adam_tutorial.optim import Adam, AdamW
from tests.distributed.task import ROWS, STEPS, batch, new_model

RANKS = 4
EQUAL = (2, 2, 2, 2)
UNEVEN = (3, 3, 1, 1)

Combine = Callable[[Sequence[Tensor], Sequence[int]], Tensor]


def mean(parts: Sequence[Tensor], _: Sequence[int]) -> Tensor:
    return torch.stack(list(parts)).mean(dim=0)


def summed(parts: Sequence[Tensor], _: Sequence[int]) -> Tensor:
    return torch.stack(list(parts)).sum(dim=0)


def weighted(parts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    shares = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    return torch.einsum("p...,p->...", torch.stack(list(parts)), shares)


def trained(
    make: Any = Adam,
    combine: Combine = mean,
    sizes: Sequence[int] = EQUAL,
    **settings: Any,
) -> Tensor:
    """Train on batches in parts of these sizes; return the parameters."""
    model = new_model()
    optimizer = make(model.parameters(), **{"lr": 0.02, **settings})
    for step in range(STEPS):
        x, y = batch(step)
        parts = []
        for rows in torch.arange(ROWS).split(list(sizes)):
            loss = (model(x[rows]) - y[rows]).square().mean()
            parts.append(torch.autograd.grad(loss, list(model.parameters())))
        for parameter, own in zip(
            model.parameters(), zip(*parts, strict=True), strict=True
        ):
            parameter.grad = combine(own, sizes)
        optimizer.step()
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def distance(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


SAME = 1e-12


@pytest.mark.parametrize("make", [Adam, AdamW, torch.optim.Adam])
def test_adam_on_the_mean_is_adam_on_the_large_batch(make: Any) -> None:
    assert distance(trained(make), trained(make, sizes=(ROWS,))) < SAME


def test_learning_rate_divided_by_the_processes_trains_as_slowly_as_that() -> None:
    divided, whole = trained(lr=0.02 / RANKS), trained(sizes=(ROWS,))
    assert distance(divided, whole) > 0.05
    assert distance(divided, trained(sizes=(ROWS,), lr=0.02 / RANKS)) < SAME


def test_summed_gradients_are_hidden_by_adam_but_for_eps() -> None:
    assert distance(trained(combine=summed, eps=1e-30), trained(eps=1e-30)) < SAME
    assert distance(trained(combine=summed, eps=0.1), trained(eps=0.1)) > 1e-3
    found = trained(combine=summed, eps=0.1)
    assert distance(found, trained(eps=0.1 / RANKS)) < SAME


def test_summed_gradients_divide_an_l2_penalty_but_no_decoupled_decay() -> None:
    found = trained(combine=summed, eps=1e-30, weight_decay=0.1)
    assert distance(found, trained(eps=1e-30, weight_decay=0.1)) > 1e-3
    assert distance(found, trained(eps=1e-30, weight_decay=0.1 / RANKS)) < SAME
    found = trained(AdamW, combine=summed, eps=1e-30, weight_decay=0.1)
    assert distance(found, trained(AdamW, eps=1e-30, weight_decay=0.1)) < SAME


def test_summed_gradients_are_clipped_more_often() -> None:
    found = trained(combine=summed, eps=1e-30, max_grad_norm=1.0)
    assert distance(found, trained(eps=1e-30, max_grad_norm=1.0)) > 1e-3
    exact = trained(eps=1e-30, max_grad_norm=1.0 / RANKS)
    assert distance(found, exact) < 1e-6  # the norm is divided by with 1e-6 beside


def test_summed_gradients_multiply_the_steps_of_sgd() -> None:
    found = trained(torch.optim.SGD, combine=summed)
    assert distance(found, trained(torch.optim.SGD, lr=0.02 * RANKS)) < SAME


def test_mean_of_uneven_parts_weighs_the_rows_of_small_parts_more() -> None:
    whole = trained(sizes=(ROWS,))
    assert distance(trained(sizes=UNEVEN), whole) > 1e-3
    assert distance(trained(sizes=UNEVEN, combine=weighted), whole) < SAME
