"""What is particular to Lion."""

from __future__ import annotations

from tests.optim.steps import follow
from tests.optimizers import Case, each


@each(lambda case: case.name == "Lion")
def test_lion_moves_every_coordinate_by_the_learning_rate(case: Case) -> None:
    theta = follow(case.new, [0.0, 0.0, 0.0], [[1e-9, -1e9, 0.0]] * 4, lr=0.5)
    assert theta.tolist() == [-2.0, 2.0, 0.0]
