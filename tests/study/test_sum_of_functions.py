"""SFO: it minimises sums of functions, in any space, and survives bad steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from adam_tutorial.study.sum_of_functions import SumOfFunctions

Functions = Callable[[Tensor, int], tuple[float, Tensor]]
FEW = 4


def logistic(size: int, functions: int = FEW) -> Functions:
    """Return the losses of a logistic regression with a penalty."""
    rng = np.random.default_rng(0)
    examples = torch.from_numpy(rng.normal(size=(functions, 30, size)))
    examples *= torch.logspace(0, 0.5, size, dtype=torch.float64)
    labels = torch.from_numpy(rng.choice([-1.0, 1.0], size=(functions, 30)))

    def evaluate(theta: Tensor, index: int) -> tuple[float, Tensor]:
        theta = theta.double().requires_grad_()
        margins = labels[index] * (examples[index] @ theta)
        loss = torch.nn.functional.softplus(-margins).mean() + 0.005 * theta @ theta
        (gradient,) = torch.autograd.grad(loss, theta)
        return loss.item(), gradient

    return evaluate


def slope(evaluate: Functions, theta: Tensor, functions: int = FEW) -> float:
    """Return the length of the gradient of the sum."""
    gradients = [evaluate(theta, index)[1] for index in range(functions)]
    return float(torch.stack(gradients).sum(dim=0).norm())


def quadratic(index: int, size: int = 3) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(index)
    root = rng.normal(size=(size, size))
    curvature = torch.from_numpy(root @ root.T + np.eye(size))
    return curvature, torch.from_numpy(rng.normal(size=size))


def of_quadratics(theta: Tensor, index: int) -> tuple[float, Tensor]:
    curvature, center = quadratic(index)
    moved = theta - center
    return (moved @ curvature @ moved / 2).item(), curvature @ moved


def taken(sfo: SumOfFunctions, steps: int) -> SumOfFunctions:
    for _ in range(steps):
        sfo.step()
    return sfo


def test_minimum_of_a_sum_of_quadratics_is_found_exactly() -> None:
    models = [quadratic(index) for index in range(FEW)]
    total = torch.stack([curvature for curvature, _ in models]).sum(dim=0)
    pull = torch.stack([curvature @ center for curvature, center in models]).sum(dim=0)
    expected = torch.linalg.solve(total, pull)
    sfo = SumOfFunctions(of_quadratics, torch.zeros(3, dtype=torch.float64), FEW)
    assert torch.allclose(taken(sfo, 80).theta, expected, atol=1e-9)


def test_first_step_is_short_and_along_the_gradient() -> None:
    start = torch.full((3,), 2.0, dtype=torch.float64)
    called: list[int] = []

    def evaluate(theta: Tensor, index: int) -> tuple[float, Tensor]:
        called.append(index)
        return of_quadratics(theta, index)

    sfo = taken(SumOfFunctions(evaluate, start, FEW), 1)
    _, gradient = of_quadratics(start, called[0])
    # Two functions are used at first, each with a curvature of a million.
    assert torch.allclose(sfo.theta - start, -gradient / 2e6, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_optimum_is_found_though_the_subspace_is_too_small(dtype: torch.dtype) -> None:
    evaluate = logistic(100, 8)

    def rounded(theta: Tensor, index: int) -> tuple[float, Tensor]:
        value, gradient = evaluate(theta, index)
        return value, gradient.to(dtype)

    sfo = SumOfFunctions(rounded, torch.ones(100, dtype=dtype), 8)
    before = slope(evaluate, sfo.theta, 8)
    taken(sfo, 500)
    assert slope(evaluate, sfo.theta, 8) < 1e-3 * before
    known = sfo._directions[: sfo._rank].double()
    assert len(known) <= 3 * 8 + 3
    rounding = 100 * torch.finfo(dtype).eps
    products = known @ known.T
    assert torch.allclose(products, torch.eye(len(known)).double(), atol=rounding)


def test_same_problem_turned_into_a_larger_space_gives_the_same_path() -> None:
    evaluate = logistic(40)
    rng = np.random.default_rng(1)
    turn = torch.from_numpy(np.linalg.qr(rng.normal(size=(90, 40)))[0])

    def turned(theta: Tensor, index: int) -> tuple[float, Tensor]:
        value, gradient = evaluate(turn.T @ theta, index)
        return value, turn @ gradient

    start = torch.ones(40, dtype=torch.float64)
    small = SumOfFunctions(evaluate, start, FEW)
    large = SumOfFunctions(turned, turn @ start, FEW)
    for _ in range(25):  # the subspace was collapsed twice
        small.step()
        large.step()
        assert torch.allclose(turn.T @ large.theta, small.theta, atol=1e-6)
    assert large.evaluations == small.evaluations


def test_seed_decides_which_functions_come_first_and_nothing_else() -> None:
    evaluate = logistic(8)
    start = torch.ones(8, dtype=torch.float64)
    paths = [
        taken(SumOfFunctions(evaluate, start, FEW, seed=seed), 10).theta
        for seed in (0, 0, 3)
    ]
    assert torch.equal(paths[0], paths[1])
    assert not torch.allclose(paths[0], paths[2])


def test_step_into_the_infinite_is_taken_back() -> None:
    evaluate = logistic(8)
    refused = []

    def walled(theta: Tensor, index: int) -> tuple[float, Tensor]:
        value, gradient = evaluate(theta, index)
        if theta.norm() > 3:  # the start lies within, and so does the optimum
            refused.append(index)
            return math.inf, gradient * math.nan
        return value, gradient

    sfo = SumOfFunctions(walled, torch.ones(8, dtype=torch.float64), FEW)
    taken(sfo, 300)
    assert refused
    assert sfo.evaluations > 300
    assert slope(evaluate, sfo.theta) < 1e-6


def test_failed_step_of_a_function_that_is_not_convex_is_halved() -> None:
    centers = torch.tensor([[0.0, 0.5], [0.3, 0.0], [0.1, 0.2]], dtype=torch.float64)
    values: list[float] = []

    def evaluate(theta: Tensor, index: int) -> tuple[float, Tensor]:
        moved = theta - centers[index]
        # Flat at a distance, so that quadratic models promise too much.
        square = moved @ moved
        return (1 - torch.exp(-square)).item(), 2 * moved * torch.exp(-square)

    start = torch.tensor([1.2, -0.9], dtype=torch.float64)
    sfo = SumOfFunctions(evaluate, start, 3)
    for _ in range(80):
        sfo.step()
        values.append(sum(evaluate(sfo.theta, index)[0] for index in range(3)))
    assert sfo.evaluations > 80
    assert values[-1] < 0.25 < 1 < values[0]


def test_memory_grows_with_the_number_of_functions() -> None:
    size = 3000

    def evaluate(theta: Tensor, index: int) -> tuple[float, Tensor]:
        moved = theta - index
        return (moved @ moved).item(), 2 * moved

    kept = [
        taken(SumOfFunctions(evaluate, torch.zeros(size), functions), 3).numbers / size
        for functions in (4, 8)
    ]
    # Directions, and what is small beside them.
    assert [math.floor(one) for one in kept] == [3 * 4 + 3, 3 * 8 + 3 + 2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"functions": 1}, "functions must be at least 2, got 1"),
        ({"memory": 0}, "memory must be at least 1, got 0"),
    ],
)
def test_too_few_are_refused(changed: dict[str, int], message: str) -> None:
    arguments = {"functions": 3, **changed}
    with pytest.raises(ValueError, match=message):
        SumOfFunctions(of_quadratics, torch.zeros(3), **arguments)
