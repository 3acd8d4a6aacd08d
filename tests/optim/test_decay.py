"""Weight decay, as a penalty and decoupled."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.optim.steps import assert_same, new_parameters, take_steps
from tests.optimizers import ADAM, ADAMW, Case, each


def decaying_alone(case: Case, steps: int) -> torch.Tensor:
    """Decay by half, at a learning rate of 0.1, with gradients of zero."""
    theta = nn.Parameter(torch.tensor([3.0, -2.0, 0.0], dtype=torch.float64))
    optimizer = case.new([theta], lr=0.1, weight_decay=0.5)
    for _ in range(steps):
        theta.grad = torch.zeros(3, dtype=torch.float64)
        optimizer.step()
    return theta.detach()


def shrunk(steps: int) -> torch.Tensor:
    theta = torch.tensor([3.0, -2.0, 0.0], dtype=torch.float64)
    for _ in range(steps):
        theta *= 1 - 0.1 * 0.5
    return theta


@each(lambda case: case.decoupled)
def test_decoupled_decay_shrinks_by_exactly_one_minus_lr_times_decay(
    case: Case,
) -> None:
    theta = decaying_alone(case, 30)
    assert torch.equal(theta, shrunk(30))
    start = torch.tensor([3.0, -2.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(theta, start * 0.95**30, rtol=1e-13, atol=0)


@each(lambda case: not case.decoupled)
def test_penalty_does_not_shrink_by_one_minus_lr_times_decay(case: Case) -> None:
    # After one step alone, RAdam's would: its first steps are linear in the gradient.
    difference = (decaying_alone(case, 2) - shrunk(2)).abs()
    assert difference[:2].min() > 1e-3
    assert difference[2] == 0


@each(lambda case: not case.decoupled and case.first_step_is_sign)
def test_penalty_moves_by_lr_times_sign_of_the_parameter_where_the_loss_is_flat(
    case: Case,
) -> None:
    theta = nn.Parameter(torch.tensor([300.0, -0.02, 0.0], dtype=torch.float64))
    optimizer = case.new([theta], lr=1e-3, weight_decay=0.5, eps=1e-12)
    before = theta.detach().clone()
    theta.grad = torch.zeros(3, dtype=torch.float64)
    optimizer.step()
    torch.testing.assert_close(
        theta.data, before - 1e-3 * before.sign(), rtol=1e-9, atol=0
    )


@each(lambda case: case.decoupled)
def test_decoupled_decay_does_not_enter_the_state(case: Case) -> None:
    plain, decayed = new_parameters(), new_parameters()
    first = case.new(plain, weight_decay=0)
    second = case.new(decayed, weight_decay=0.9)
    take_steps(first, plain, range(5))
    take_steps(second, decayed, range(5))
    for one, other in zip(plain, decayed, strict=True):
        assert first.state[one].keys() == second.state[other].keys()
        for name, value in first.state[one].items():
            assert torch.equal(value, second.state[other][name])
    assert not torch.equal(plain[0], decayed[0])


@each(lambda case: not case.decoupled)
def test_penalty_enters_the_state(case: Case) -> None:
    plain, decayed = new_parameters(), new_parameters()
    first = case.new(plain, weight_decay=0)
    second = case.new(decayed, weight_decay=0.9)
    take_steps(first, plain, range(5))
    take_steps(second, decayed, range(5))
    for name in case.moments_of(plain[0].shape):
        assert not torch.equal(
            first.state[plain[0]][name], second.state[decayed[0]][name]
        )


@pytest.mark.parametrize("backend", ADAMW.backends)
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_adam_with_decoupled_decay_is_adamw(backend: str, decay: float) -> None:
    one, other = new_parameters(), new_parameters()
    first = ADAM.on(backend).new(
        one, lr=0.1, weight_decay=decay, decoupled_weight_decay=True
    )
    take_steps(first, one, range(20))
    second = ADAMW.on(backend).new(other, lr=0.1, weight_decay=decay)
    take_steps(second, other, range(20))
    assert_same(one, other)


@pytest.mark.parametrize("backend", ADAMW.backends)
def test_adamw_without_decay_is_adam(backend: str) -> None:
    plain, decayed = new_parameters(), new_parameters()
    take_steps(ADAM.on(backend).new(plain, lr=0.1), plain, range(20))
    take_steps(
        ADAMW.on(backend).new(decayed, lr=0.1, weight_decay=0), decayed, range(20)
    )
    assert_same(plain, decayed)
