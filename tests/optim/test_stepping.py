"""What a step does besides the rule: which parameters move, closures, hooks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from adam_tutorial.optim import Adam
from tests.optim.steps import (
    SHAPES,
    assert_close,
    new_parameters,
    set_gradients,
    shapes_in_torch,
    snapshot,
    take_steps,
)
from tests.optimizers import Case, each_in_torch, each_optimizer


@each_optimizer
@pytest.mark.parametrize("maximize", [False, True])
def test_step_leaves_the_gradient_of_the_parameter_alone(
    case: Case, maximize: bool
) -> None:
    parameters = new_parameters()
    set_gradients(parameters, 0)
    before = [copy.deepcopy(parameter.grad) for parameter in parameters]
    case.new(parameters, weight_decay=0.5, maximize=maximize).step()
    for parameter, gradient in zip(parameters, before, strict=True):
        assert parameter.grad is not None
        assert gradient is not None
        assert torch.equal(parameter.grad, gradient)


@each_optimizer
def test_parameter_without_a_gradient_is_skipped(case: Case) -> None:
    parameters = new_parameters()
    optimizer = case.new(parameters, lr=0.1, weight_decay=0.5)
    set_gradients(parameters, 0)
    parameters[1].grad = None
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.step()
    assert not torch.equal(parameters[0], before[0])
    assert torch.equal(parameters[1], before[1])
    assert parameters[1] not in optimizer.state


@each_optimizer
def test_step_without_any_gradient_changes_nothing(case: Case) -> None:
    optimizer = case.new(new_parameters(), lr=0.1, weight_decay=0.5)
    before = snapshot(optimizer)
    optimizer.step()
    assert snapshot(optimizer) == before
    assert not optimizer.state


@each_optimizer
def test_parameter_that_gets_its_first_gradient_later_starts_its_own_count(
    case: Case,
) -> None:
    early, late, alone = (
        nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(3)
    )
    both, single = case.new([early, late], lr=0.1), case.new([alone], lr=0.1)
    early.grad = torch.ones(3, dtype=torch.float64)
    both.step()
    both.step()
    late.grad = alone.grad = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    both.step()
    single.step()
    assert torch.equal(late, alone)
    assert both.state[early]["step"] == 3
    assert both.state[late]["step"] == 1


@each_in_torch
def test_groups_follow_their_own_hyper_parameters(case: Case) -> None:
    parameters = [new_parameters(shapes=shapes_in_torch(case)) for _ in range(2)]
    for make, params in zip((case.new, case.new_in_torch), parameters, strict=True):
        groups = [
            {"params": params[:1], "lr": 0.1, "weight_decay": 0.3},
            {"params": params[1:2], **case.only(betas=(0.5, 0.7), eps=0.1)},
            {"params": params[2:], "maximize": True},
        ]
        take_steps(make(groups, lr=0.01), params, range(100))
    # PyTorch keeps the product of NAdam's momenta in float32.
    assert_close(*parameters, rtol=1e-6 if case.numbers else 1e-10)


@each_optimizer
def test_step_moves_the_tensor_in_place(case: Case) -> None:
    theta = nn.Parameter(torch.ones(3))
    theta.grad = torch.ones(3)
    view = theta.detach()
    place = theta.data_ptr()
    case.new([theta], lr=0.5).step()
    assert theta.data_ptr() == place
    assert torch.equal(view, theta)
    assert not torch.equal(view, torch.ones(3))
    assert theta.requires_grad


@each_optimizer
def test_closure_is_called_once_with_gradients_on_and_its_loss_returned(
    case: Case,
) -> None:
    theta, other = (nn.Parameter(torch.tensor([2.0])) for _ in range(2))
    optimizer = case.new([theta], lr=0.5)
    calls: list[bool] = []

    def closure() -> float:
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = (theta**2).sum()
        torch.autograd.backward(loss)
        return loss.item()

    assert optimizer.step(closure) == 4.0
    assert calls == [True]
    other.grad = torch.tensor([4.0])
    case.new([other], lr=0.5).step()
    assert torch.equal(theta, other)


@each_optimizer
def test_step_without_a_closure_returns_nothing(case: Case) -> None:
    parameters = new_parameters()
    set_gradients(parameters, 0)
    returned: Any = case.new(parameters).step
    assert returned() is None


@each_optimizer
def test_hooks_before_and_after_the_step_are_called(case: Case) -> None:
    parameters = new_parameters()
    set_gradients(parameters, 0)
    optimizer = case.new(parameters)
    seen: list[Any] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(len(optimizer.state)))
    optimizer.register_step_post_hook(lambda *_: seen.append(len(optimizer.state)))
    optimizer.step()
    assert seen == [0, len(SHAPES)]


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Names of the optimizers that a global hook has seen."""
    seen: list[str] = []
    handles = [
        register_optimizer_step_pre_hook(
            lambda o, *_: seen.append(f"before {type(o).__name__}")
        ),
        register_optimizer_step_post_hook(
            lambda o, *_: seen.append(f"after {type(o).__name__}")
        ),
    ]
    yield seen
    for handle in handles:
        handle.remove()


@each_optimizer
def test_global_hooks_are_called_outside_those_of_the_optimizer(
    case: Case, calls: list[str]
) -> None:
    parameters = new_parameters()
    optimizer = case.new(parameters)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before this"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after this"))
    take_steps(optimizer, parameters, range(1))
    name = case.optimizer.__name__
    assert calls == [f"before {name}", "before this", "after this", f"after {name}"]


@each_optimizer
def test_sparse_gradient_is_refused_before_any_parameter_moves(case: Case) -> None:
    dense = nn.Parameter(torch.ones(3))
    embedding = nn.Embedding(4, 2, sparse=True)
    optimizer = case.new([dense, embedding.weight], lr=0.1)
    dense.grad = torch.ones(3)
    torch.autograd.backward(embedding(torch.tensor([1])).sum())
    before = snapshot(optimizer)
    with pytest.raises(RuntimeError) as caught:
        optimizer.step()
    assert snapshot(optimizer) == before
    message = str(caught.value)
    name = case.optimizer.__name__
    assert (
        f"{name} needs dense gradients, got one of layout torch.sparse_coo" in message
    )
    assert "for parameter 1 of group 0, of shape (4, 2)" in message
    assert "torch.optim.SparseAdam" in message


# A gradient has the layout of its parameter, but for an embedding's. Parameters of
# these layouts are refused when they are given; one may become sparse later.
SPARSE: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse_coo": Tensor.to_sparse_coo,
    "sparse_csr": Tensor.to_sparse_csr,
    "sparse_csc": Tensor.to_sparse_csc,
    "sparse_bsr": lambda dense: dense.to_sparse_bsr((2, 2)),
    "sparse_bsc": lambda dense: dense.to_sparse_bsc((2, 2)),
}


@each_optimizer
@pytest.mark.filterwarnings("ignore:Sparse .* tensor support:UserWarning")
def test_sparse_gradient_of_every_layout_is_refused_before_any_parameter_moves(
    case: Case,
) -> None:
    for layout, to_sparse in SPARSE.items():
        dense = nn.Parameter(torch.ones(3))
        sparse = nn.Parameter(to_sparse(torch.eye(4)), requires_grad=False)
        dense.grad = torch.ones(3)
        optimizer = case.new([dense, sparse], lr=0.1)
        sparse.requires_grad_()
        sparse.grad = to_sparse(torch.eye(4))
        with pytest.raises(RuntimeError, match=f"got one of layout torch.{layout} for"):
            optimizer.step()
        assert dense.tolist() == [1, 1, 1]
        assert not optimizer.state


def test_tensor_that_is_no_parameter_can_be_trained() -> None:
    theta = torch.ones(2, requires_grad=True)
    optimizer = Adam([theta], lr=0.5)
    torch.autograd.backward(theta.sum())
    optimizer.step()
    assert theta.tolist() == [0.5, 0.5]
