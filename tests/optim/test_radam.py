"""What is particular to RAdam."""

from __future__ import annotations

import itertools

import pytest

from tests.optim.steps import follow
from tests.optimizers import Case, each

each_radam = each(lambda case: case.name == "RAdam")


@each_radam
def test_first_steps_of_radam_are_plain_momentum_and_the_sixth_is_not(
    case: Case,
) -> None:
    gradients = [[1.0, 100.0]] * 6
    points = [follow(case.new, [0.0, 0.0], gradients[:count]) for count in range(7)]
    moves = [after - before for before, after in itertools.pairwise(points)]
    for move in moves[:5]:
        assert (move[1] / move[0]).item() == pytest.approx(100)
        assert move[0].item() == pytest.approx(-1e-3)
    assert (moves[5][1] / moves[5][0]).item() == pytest.approx(1, rel=1e-5)


@each_radam
def test_penalty_of_the_first_step_is_proportional_to_the_parameter(case: Case) -> None:
    theta = follow(case.new, [2.0], [[0.0]], lr=0.1, weight_decay=0.5)
    assert theta.item() == pytest.approx(2 - 0.1 * 0.5 * 2, rel=1e-9)
