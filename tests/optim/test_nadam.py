"""What is particular to NAdam."""

from __future__ import annotations

from tests.optim.steps import follow
from tests.optimizers import ADAM, Case, each


@each(lambda case: case.name == "NAdam")
def test_nadam_looks_ahead_of_adam(case: Case) -> None:
    turned = [[1.0]] * 20 + [[-1.0]] * 3
    nadam = follow(case.new, [0.0], turned, lr=0.01, momentum_decay=0.1)
    adam = follow(ADAM.new, [0.0], turned, lr=0.01)
    # After the slope has turned, the one that looks ahead has gone back further.
    assert nadam.item() > adam.item()
