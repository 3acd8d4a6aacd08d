"""Adam beside lazy Adam: which vectors move, and the stored runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from adam_tutorial.study.experiments import lazy_adam, stored_runs
from adam_tutorial.study.experiments.comparison import best_learning_rates
from adam_tutorial.study.experiments.lazy_adam import (
    FINAL_SEEDS,
    RATES,
    TUNING_SEEDS,
    WAYS,
    Together,
    optimizer_of,
    train,
)
from adam_tutorial.study.models import TextCNN
from tests.study.experiments.stored import need_its_masks

pytestmark = pytest.mark.usefixtures("float32")


@pytest.mark.parametrize("way", WAYS)
def test_lazy_adam_moves_the_vectors_of_the_batch_alone(way: str) -> None:
    torch.manual_seed(0)
    model = TextCNN(6, dimensions=4, filters=3).eval()
    optimizer = optimizer_of(way, model, 0.1)
    vectors = model.embedding.weight
    moved = []
    for word in (2, 3):
        before = vectors.detach().clone()
        optimizer.zero_grad()
        model(torch.tensor([[word] * 6]))[0, 1].backward()
        optimizer.step()
        moved.append(set((vectors != before).any(dim=1).nonzero().flatten().tolist()))
    assert moved == [{2}, {3} if way == "lazy Adam" else {2, 3}]
    assert vectors.grad is not None
    assert vectors.grad.is_sparse == (way == "lazy Adam")
    # The rest of the network is trained by Adam in both.
    by_adam = {id(parameter) for parameter in optimizer.param_groups[-1]["params"]}
    assert by_adam | {id(vectors)} == {id(p) for p in model.parameters()}


def test_a_schedule_reaches_all_optimizers_that_step_together() -> None:
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    both = Together(SGD([first], lr=1.0), SGD([second], lr=2.0))
    schedule = StepLR(both, 1, gamma=0.5)
    for _ in range(2):
        (first + second).sum().backward()
        both.step()
        both.zero_grad()
        schedule.step()
    assert (first.item(), second.item()) == (-1.5, -3.0)


@cache
def stored() -> Any:
    return stored_runs("lazy_adam")


def test_stored_runs_are_those_that_the_module_describes() -> None:
    found = stored()["results"]
    keys = ("way", "lr", "seed")
    assert [{key: row[key] for key in keys} for row in found["tuning"]] == (
        lazy_adam._tuning({})
    )
    assert [{key: row[key] for key in keys} for row in found["final"]] == (
        lazy_adam._final(found)
    )
    assert found["chosen"] == best_learning_rates(found["tuning"], of="way")
    assert not set(TUNING_SEEDS) & set(FINAL_SEEDS)
    assert all(RATES[0] < lr < RATES[-1] for lr in found["chosen"].values())


def test_first_steps_of_the_stored_runs_are_repeated() -> None:
    need_its_masks(stored())
    for row in stored()["results"]["final"]:
        losses = row["first_step_losses"]
        _, history = train(row, ("train", "validation"), max_steps=len(losses))
        # float32: another processor rounds differently.
        assert history.step_losses == pytest.approx(losses, rel=1e-3)
