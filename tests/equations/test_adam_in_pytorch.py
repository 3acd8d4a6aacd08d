"""The equations of the optimizer in PyTorch.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adam_tutorial.optim import Adam, AdamW

decay_rates = st.floats(0.0, 0.9999)
# Sizes from 1e-6 to 1e6 and both signs; zero is another case, with tests of its own.
sizes = st.floats(-6, 6).map(lambda exponent: 10.0**exponent)
gradients = st.lists(
    st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(lambda pair: pair[0] * pair[1]),
    min_size=1,
    max_size=40,
)


@pytest.mark.equation("lerp")
@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), decay_rates)
def test_lerp_by_one_minus_beta_is_the_moving_average(
    m: float, g: float, beta: float
) -> None:
    lerped = torch.tensor(m, dtype=torch.float64).lerp_(
        torch.tensor(g, dtype=torch.float64), 1 - beta
    )
    assert lerped.item() == pytest.approx(beta * m + (1 - beta) * g, rel=1e-9, abs=1e-9)


@pytest.mark.equation("pytorch-order")
@settings(max_examples=50)
@given(gradients, st.floats(0, 0.999), st.floats(0, 0.9999), st.floats(1e-12, 1e-2))
def test_optimizer_divides_the_step_size_by_one_correction_and_v_by_the_other(
    history: list[float], beta1: float, beta2: float, eps: float
) -> None:
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Adam([theta], lr=0.01, betas=(beta1, beta2), eps=eps)
    for t, g in enumerate(history, start=1):
        before = theta.item()
        theta.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        state = optimizer.state[theta]
        m, v = state["exp_avg"].item(), state["exp_avg_sq"].item()
        step = 0.01 / (1 - beta1**t) * m / (np.sqrt(v / (1 - beta2**t)) + eps)
        assert theta.item() - before == pytest.approx(-step, rel=1e-7, abs=1e-15)


@pytest.mark.equation("adamw-shrink")
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 20), st.floats(-10, 10))
def test_adamw_with_zero_gradient_shrinks_by_one_minus_lr_times_decay(
    lr: float, decay: float, count: int, start: float
) -> None:
    theta = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = AdamW([theta], lr=lr, weight_decay=decay)
    for _ in range(count):
        theta.grad = torch.zeros_like(theta)
        optimizer.step()
    assert theta.item() == pytest.approx(
        start * (1 - lr * decay) ** count, rel=1e-12, abs=1e-300
    )
