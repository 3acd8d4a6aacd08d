from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from adam_tutorial import optim

RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
FLAGS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "maximize": True},
    {"amsgrad": True},
    {"capturable": True},
    {"foreach": True, "capturable": True},
]


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Iterator[None]:
    """Torch shows most warnings once; here each use must be free of them."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


def options_of(rule: Any, **wanted: Any) -> dict[str, Any]:
    return {k: v for k, v in wanted.items() if k in inspect.signature(rule).parameters}


def numbers(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    # Away from zero, where the root and the sign have no derivative.
    values = torch.randn(4, generator=generator, dtype=dtype)
    return (values + values.sgn()).requires_grad_()


def learning_rate(value: float = 0.3) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def after_steps(
    rule: Any, theta: Tensor, lr: Tensor, gradients: Any, **flags: Any
) -> Tensor:
    """Return the parameter after one step with each gradient, as a function of all arguments."""
    theta = theta.clone()
    optimizer = rule([theta], lr=lr, differentiable=True, **flags)
    for gradient in gradients:
        theta.grad = gradient(theta) if callable(gradient) else gradient
        optimizer.step()
    return theta


@each_rule
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_step_has_the_derivatives_by_parameter_gradient_and_learning_rate(
    rule: Any, flags: dict[str, Any]
) -> None:
    options = options_of(rule, eps=1e-3, **flags)

    def step(theta: Tensor, gradient: Tensor, lr: Tensor) -> Tensor:
        return after_steps(rule, theta, lr, [gradient], **options)

    assert torch.autograd.gradcheck(step, (numbers(0), numbers(1), learning_rate()))


@each_rule
@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("steps", [2, 7])
def test_unrolled_steps_have_the_derivatives_of_all_their_gradients(
    rule: Any, flags: dict[str, Any], steps: int
) -> None:
    # With betas of 0.9, RAdam turns adaptive within seven steps.
    options = options_of(rule, eps=1e-3, betas=(0.7, 0.9), **flags)

    def unrolled(theta: Tensor, lr: Tensor, *gradients: Tensor) -> Tensor:
        return after_steps(rule, theta, lr, gradients, **options)

    gradients = [numbers(seed) for seed in range(1, steps + 1)]
    assert torch.autograd.gradcheck(unrolled, (numbers(0), learning_rate(), *gradients))


@each_rule
def test_derivative_goes_through_gradients_that_depend_on_the_parameter(
    rule: Any,
) -> None:
    options = options_of(rule, eps=1e-3, weight_decay=0.1)

    def gradient(theta: Tensor) -> Tensor:
        point = theta.clone()
        (slope,) = torch.autograd.grad((point**4).sum(), point, create_graph=True)
        return slope

    def trained(theta: Tensor, lr: Tensor) -> Tensor:
        return after_steps(rule, theta, lr, [gradient, gradient], **options)

    assert torch.autograd.gradcheck(trained, (numbers(0), learning_rate(0.1)))


def test_learning_rate_can_be_learned_by_the_loss_after_the_step() -> None:
    lr = learning_rate(0.01)
    start, target = (
        torch.zeros(3, dtype=torch.float64),
        torch.full((3,), 0.5, dtype=torch.float64),
    )
    for _ in range(100):
        theta = after_steps(
            optim.Adam, start, lr, [-torch.ones(3, dtype=torch.float64)]
        )
        (slope,) = torch.autograd.grad((theta - target).square().sum(), lr)
        lr = (lr - 0.05 * slope).detach().requires_grad_()
    # One step of Adam moves by lr, and the target is 0.5 away.
    assert lr.item() == pytest.approx(0.5, rel=1e-6)


@each_rule
def test_step_that_is_not_differentiable_records_nothing(rule: Any) -> None:
    theta = numbers(0)
    theta.grad = numbers(1)
    optimizer = rule([theta])
    optimizer.step()
    assert theta.is_leaf
    assert not any(value.requires_grad for value in optimizer.state[theta].values())


@each_rule
def test_tensor_that_requires_a_gradient_is_a_learning_rate_like_any_other(
    rule: Any,
) -> None:
    theta, other = numbers(0), numbers(0)
    theta.grad = other.grad = numbers(1).detach()
    rule([theta], lr=learning_rate()).step()
    rule([other], lr=0.3).step()
    assert torch.equal(theta, other)
