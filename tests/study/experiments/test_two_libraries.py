"""What the stored runs of the programs in PyTorch and in Keras say.

The programs of Keras run in ``tests/peers``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from adam_tutorial.libraries import eps_at
from adam_tutorial.study import arrays
from adam_tutorial.study.experiments import stored_runs, two_libraries
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.experiments.two_libraries import (
    EPOCHS,
    IN_TORCH,
    SEEDS_ALIKE,
    SEEDS_ALONE,
    TASKS,
    AdamWithHat,
    compared,
    copy_weights,
)

each_task = pytest.mark.parametrize("task", TASKS)


def results() -> Any:
    return stored_runs("two_libraries")["results"]


def test_stored_runs_are_those_that_the_module_describes() -> None:
    found = results()
    for task in TASKS:
        alone = matching(found["alone"], task=task)
        assert [row["seed"] for row in alone] == list(SEEDS_ALONE)
        for hat in (False, True):
            alike = matching(found["alike"], task=task, hat=hat)
            assert [row["seed"] for row in alike] == list(SEEDS_ALIKE)
    for row in found["alone"] + found["alike"]:
        losses = [part["losses"] for part in row.values() if isinstance(part, dict)]
        assert {len(some) for some in losses} == {EPOCHS[row["task"]]}


@each_task
def test_both_programs_are_right_equally_often_within_the_paired_error(
    task: str,
) -> None:
    found = compared(results()["alone"], task)
    assert "no difference seen" in found.verb()
    assert 0 < found.margin < 0.015


@each_task
def test_the_first_epochs_of_pytorch_repeat_the_stored_ones(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*given: Any, usual: Any = IN_TORCH[task].train) -> Any:
        return usual(*given, epochs=1)

    monkeypatch.setattr(IN_TORCH[task], "train", train)
    # Keras does not run here.
    monkeypatch.setattr(two_libraries, "in_keras", IN_TORCH.get)
    found = two_libraries.alone(task, 0)
    (row,) = matching(results()["alone"], task=task, seed=0)
    for run in ("torch", "own"):
        (first,) = found[run]["losses"]
        assert first == pytest.approx(row[run]["losses"][0], rel=1e-3)
    assert found["keras"] == found["torch"] != found["own"]


def test_the_vocabulary_is_as_large_as_it_says() -> None:
    (x, _), (x_test, _) = arrays.reviews()
    assert max(x.max(), x_test.max()) == arrays.WORDS - 1
    assert x.shape == (8000, 40)


def variable(name: str, *shape: int) -> Any:
    return SimpleNamespace(name=name, value=np.random.default_rng(0).random(shape))


def test_kernels_are_turned_round_and_embeddings_are_not() -> None:
    network = nn.Sequential(
        nn.Embedding(5, 4), nn.Conv1d(4, 4, 3), nn.Linear(4, 4)
    ).double()
    theirs = [
        variable("embeddings", 5, 4),
        variable("kernel", 3, 4, 4),
        variable("bias", 4),
        variable("kernel", 4, 4),
        variable("bias", 4),
    ]
    copy_weights(SimpleNamespace(trainable_weights=theirs), network)
    vectors, window, _, kernel, _ = network.parameters()
    assert np.array_equal(vectors.detach(), theirs[0].value)
    assert np.array_equal(window.detach()[1, 2, 0], theirs[1].value[0, 2, 1])
    assert np.array_equal(kernel.detach(), theirs[3].value.T)


def test_adam_with_hat_takes_the_epsilon_of_keras_at_each_step() -> None:
    theta = nn.Parameter(torch.zeros(1))
    theta.grad = torch.ones(1)
    adam = AdamWithHat([theta], lr=0.1)
    for t in (1, 2):
        adam.step()
        assert adam.param_groups[0]["eps"] == eps_at(1e-7, t)
