"""Derivatives of the step itself, which autograd records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from adam_tutorial import optim
from tests.optimizers import ADAM, Case, each, each_optimizer, each_with, is_optimizer


def each_choice(*choices: dict[str, Any]) -> pytest.MarkDecorator:
    """Parametrise by optimizer and settings; the learning rate is a tensor."""
    given = {"differentiable": True, "lr": torch.tensor(0.3)}
    return each_with(*({**given, **choice} for choice in choices))


each_kind_of_step = each_choice(
    {},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "maximize": True},
    {"capturable": True},
)


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Iterator[None]:
    """Torch shows most warnings once; here each use must be free of them."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


def numbers(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    # Away from zero, where the root and the sign have no derivative.
    values = torch.randn(4, generator=generator, dtype=dtype)
    return (values + values.sgn()).requires_grad_()


def learning_rate(value: float = 0.3) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def after_steps(
    case: Case, theta: Tensor, gradients: Iterable[Any], settings: dict[str, Any]
) -> Tensor:
    """Return the parameter after a step with each gradient, as a function of all."""
    theta = theta.clone()
    optimizer = case.new([theta], **settings)
    for gradient in gradients:
        theta.grad = gradient(theta) if callable(gradient) else gradient
        optimizer.step()
    return theta


@each_kind_of_step
def test_step_has_the_derivatives_by_parameter_gradient_and_learning_rate(
    case: Case, chosen: dict[str, Any]
) -> None:
    options = {**chosen, **case.only(eps=1e-3)}

    def step(theta: Tensor, gradient: Tensor, lr: Tensor) -> Tensor:
        return after_steps(case, theta, [gradient], {**options, "lr": lr})

    assert torch.autograd.gradcheck(step, (numbers(0), numbers(1), learning_rate()))


@each_kind_of_step
@pytest.mark.parametrize("steps", [2, 7])
def test_unrolled_steps_have_the_derivatives_of_all_their_gradients(
    case: Case, chosen: dict[str, Any], steps: int
) -> None:
    # With betas of 0.9, RAdam turns adaptive within seven steps.
    options = {**chosen, **case.only(eps=1e-3, betas=(0.7, 0.9))}

    def unrolled(theta: Tensor, lr: Tensor, *gradients: Tensor) -> Tensor:
        return after_steps(case, theta, gradients, {**options, "lr": lr})

    gradients = [numbers(seed) for seed in range(1, steps + 1)]
    assert torch.autograd.gradcheck(unrolled, (numbers(0), learning_rate(), *gradients))


@each_choice({"weight_decay": 0.1}, {"weight_decay": 0.1, "capturable": True})
def test_derivative_goes_through_gradients_that_depend_on_the_parameter(
    case: Case, chosen: dict[str, Any]
) -> None:
    options = {**chosen, **case.only(eps=1e-3)}

    def gradient(theta: Tensor) -> Tensor:
        point = theta.clone()
        (slope,) = torch.autograd.grad((point**4).sum(), point, create_graph=True)
        return slope

    def trained(theta: Tensor, lr: Tensor) -> Tensor:
        return after_steps(case, theta, [gradient] * 2, {**options, "lr": lr})

    assert torch.autograd.gradcheck(trained, (numbers(0), learning_rate(0.1)))


def test_learning_rate_can_be_learned_by_the_loss_after_the_step() -> None:
    lr = learning_rate(0.01)
    start, target = (
        torch.zeros(3, dtype=torch.float64),
        torch.full((3,), 0.5, dtype=torch.float64),
    )
    for _ in range(100):
        settings = {"lr": lr, "differentiable": True}
        theta = after_steps(ADAM, start, [-torch.ones_like(start)], settings)
        (slope,) = torch.autograd.grad((theta - target).square().sum(), lr)
        lr = (lr - 0.05 * slope).detach().requires_grad_()
    # One step of Adam moves by lr, and the target is 0.5 away. The powers of the decay
    # rates have the digits of a float, as PyTorch's.
    assert lr.item() == pytest.approx(0.5, rel=2e-5)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_derivatives_are_those_of_pytorch(name: str) -> None:
    found = []
    for library in (torch.optim, optim):
        start, decay = numbers(0), torch.tensor(0.1, dtype=torch.float64)
        decay.requires_grad_()
        theta = start.clone()
        optimizer = getattr(library, name)(
            [theta], lr=0.1, weight_decay=decay, eps=1e-2, differentiable=True
        )
        for _ in range(3):
            theta.grad = numbers(1).detach()
            optimizer.step()
        found.append(torch.autograd.grad(theta.sum(), (start, decay)))
    for theirs, ours in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-6, atol=0)


@each_optimizer
def test_step_that_is_not_differentiable_records_nothing(case: Case) -> None:
    theta = numbers(0)
    theta.grad = numbers(1)
    optimizer = case.new([theta])
    optimizer.step()
    assert theta.is_leaf
    assert not any(value.requires_grad for value in optimizer.state[theta].values())


@each(is_optimizer, backends=["plain"])
def test_tensor_that_requires_a_gradient_is_a_learning_rate_like_any_other(
    case: Case,
) -> None:
    theta, other = numbers(0), numbers(0)
    theta.grad = other.grad = numbers(1).detach()
    case.new([theta], lr=learning_rate()).step()
    case.new([other], lr=0.3).step()
    assert torch.equal(theta, other)
