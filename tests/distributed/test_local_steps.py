"""DiLoCo: averaging every step is what it should be, and averaging less sends less."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from adam_tutorial.distributed import LocalSteps
from adam_tutorial.study.experiments import stored_runs
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.notebook import source
from adam_tutorial.theory import all_reduce_cost
from tests.distributed.launch import Outcomes
from tests.distributed.task import STEPS, new_model, train

RANKS = 4


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=1e-13)


def test_with_every_step_averaged_it_is_synchronous_averaging(
    of_four: Outcomes,
) -> None:
    for outcome in of_four("local-steps"):
        assert close(outcome["adam"][0], outcome["adam by hand"])


def test_with_sgd_inside_it_is_sgd_on_the_whole_batch(of_four: Outcomes) -> None:
    model = new_model()

    class SGD(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            self.param_groups[0]["lr"] = 0.02  # the task has a schedule
            return super().step(closure)

    train(model, SGD(model.parameters(), lr=0.02))
    expected = parameters_to_vector(model.parameters()).detach()
    for outcome in of_four("local-steps"):
        assert close(outcome["sgd"][0], expected)


def test_bytes_are_counted_and_fewer_where_averages_are_rarer(
    of_four: Outcomes,
) -> None:
    outcomes = of_four("local-steps")
    size = 8 * sum(p.numel() for p in new_model().parameters())
    once = RANKS * all_reduce_cost(size, RANKS, "halves").bytes
    for name, times in (("adam", STEPS), ("four", STEPS // 4), ("three", STEPS // 3)):
        assert sum(outcome[name][1] for outcome in outcomes) == times * once


def test_after_an_outer_step_all_processes_have_the_same_parameters(
    of_four: Outcomes,
) -> None:
    outcomes = of_four("local-steps")
    for outcome in outcomes:
        assert torch.equal(outcome["four"][0], outcomes[0]["four"][0])
    # Eight steps end two steps after the last mean of three.
    assert not torch.equal(outcomes[0]["three"][0], outcomes[1]["three"][0])


def test_outer_step_is_nesterov_on_what_was_moved() -> None:
    theta = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    inner = torch.optim.SGD([theta], lr=1.0)
    local = LocalSteps([theta], inner, every=2, lr=0.5, momentum=0.9)
    expected, velocity = 1.0, 0.0
    for _ in range(3):
        for _ in range(2):
            theta.grad = torch.tensor([0.25], dtype=torch.float64)
            local.step()
        velocity = 0.9 * velocity + 0.5
        expected -= 0.5 * (0.5 + 0.9 * velocity)
        assert abs(theta.item() - expected) < 1e-15


def test_stored_runs_are_repeated_at_their_beginning(of_four: Outcomes) -> None:
    first = matching(stored_runs("local_steps")["results"]["final"], seed=0)
    assert len(first) == len(of_four("stored-run")[0])
    for row in first:
        found = of_four("stored-run")[0][row["way"]]
        assert found == pytest.approx(row["first_losses"], rel=1e-6)


def test_it_is_at_most_fifty_lines_and_refuses_what_is_no_number_of_steps() -> None:
    assert len(source(LocalSteps).splitlines()) <= 50
    theta = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        LocalSteps([theta], torch.optim.SGD([theta], lr=1.0), every=0)
