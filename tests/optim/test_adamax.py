"""What is particular to AdaMax."""

from __future__ import annotations

import torch
from torch import nn

from tests.optimizers import Case, each


@each(lambda case: case.name == "Adamax")
def test_adamax_divides_by_a_maximum_that_decays(case: Case) -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = case.new([theta], betas=(0.9, 0.5), eps=0)
    for size, largest in ((8.0, 8.0), (1.0, 4.0), (1.0, 2.0), (1.0, 1.0), (1.0, 1.0)):
        theta.grad = torch.tensor([size], dtype=torch.float64)
        optimizer.step()
        assert optimizer.state[theta]["exp_inf"].item() == largest
