"""What is particular to Adam, and to AMSGrad."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from adam_tutorial import reference
from tests.optimizers import ADAM, Case, each

each_adam = each(lambda case: case.name == "Adam", backends=ADAM.backends)


@each_adam
@pytest.mark.parametrize(
    ("lr", "beta1", "beta2", "eps"),
    [
        (1e-3, 0.9, 0.999, 1e-8),
        (0.1, 0.0, 0.9, 1e-3),
        (0.01, 0.6, 0.0, 1e-8),
        (0.5, 0.99, 0.5, 1),
    ],
)
def test_adam_follows_algorithm_1_of_the_paper(
    case: Case, lr: float, beta1: float, beta2: float, eps: float
) -> None:
    generator = np.random.default_rng(0)
    start = generator.standard_normal((3, 4))
    parameter = nn.Parameter(torch.tensor(start))
    optimizer = case.new([parameter], lr=lr, betas=(beta1, beta2), eps=eps)
    theta, state = start, None
    for _ in range(200):
        g = generator.standard_normal((3, 4)) * 10 ** generator.uniform(-3, 3)
        parameter.grad = torch.tensor(g)
        optimizer.step()
        state, update = reference.adam(
            state, g, lr=lr, beta1=beta1, beta2=beta2, eps=eps
        )
        theta = theta + update
        np.testing.assert_allclose(
            parameter.detach().numpy(), theta, rtol=2e-12, atol=1e-14
        )
    assert state is not None
    stored = optimizer.state[parameter]
    assert stored["step"] == state.t == 200
    np.testing.assert_allclose(stored["exp_avg"], state.m, rtol=1e-9)
    np.testing.assert_allclose(stored["exp_avg_sq"], state.v, rtol=1e-9)


@each_adam
@pytest.mark.parametrize("capturable", [False, True])
def test_amsgrad_switched_on_in_mid_run_begins_with_the_second_moment_of_that_step(
    case: Case, capturable: bool
) -> None:
    generator = np.random.default_rng(0)
    theta = generator.standard_normal(4)
    weight = nn.Parameter(torch.tensor(theta))
    optimizer = case.new([weight], lr=0.1, betas=(0.9, 0.95), capturable=capturable)
    options: dict[str, Any] = {"lr": 0.1, "beta1": 0.9, "beta2": 0.95}
    adam_state: Any = None
    state: Any = None
    for t in range(40):
        g = generator.standard_normal(4) * (10.0 if t == 12 else 1.0)
        if t == 10:
            optimizer.param_groups[0]["amsgrad"] = True
            count, m, v = adam_state
            state = reference.AMSGradState(count, m, v, np.zeros(4))
        if t < 10:
            adam_state, update = reference.adam(adam_state, g, **options)
        else:
            state, update = reference.amsgrad(state, g, **options)
        theta = theta + update
        weight.grad = torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(
            weight.detach().numpy(), theta, rtol=1e-11, atol=1e-13
        )
    assert (state.v_max > state.v).all()
    np.testing.assert_allclose(
        optimizer.state[weight]["max_exp_avg_sq"], state.v_max, rtol=1e-11
    )
