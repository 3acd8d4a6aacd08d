"""What is particular to AdaBelief."""

from __future__ import annotations

from tests.optim.steps import follow
from tests.optimizers import Case, each


@each(lambda case: case.name == "AdaBelief")
def test_adabelief_steps_further_where_gradients_agree_than_where_they_change(
    case: Case,
) -> None:
    gradients = [[1.0, 3.0 if step % 2 else -1.0] for step in range(200)]
    theta = follow(case.new, [0.0, 0.0], gradients, lr=1e-3, betas=(0.9, 0.999))
    assert theta[0] < 3 * theta[1] < 0
