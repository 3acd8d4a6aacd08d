"""Half precision, complex numbers, and parameters of all types side by side."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial.optim import Adam
from tests.optim.steps import numbers
from tests.optimizers import (
    Case,
    each,
    each_optimizer,
    each_optimizer_exactly,
    each_with,
    in_torch,
)

HALF = (torch.float16, torch.bfloat16)
each_half = pytest.mark.parametrize("dtype", HALF, ids=str)
is_complex = lambda case: case.complex


# Half precision


@each_optimizer
@each_half
def test_zero_gradient_leaves_a_half_precision_weight_where_it_is(
    case: Case, dtype: torch.dtype
) -> None:
    weight = nn.Parameter(numbers(0, dtype=dtype))
    before = weight.detach().clone()
    optimizer = case.new([weight], weight_decay=0)
    for _ in range(3):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert torch.equal(weight, before)


def test_zero_gradient_ruins_a_float16_weight_in_torch() -> None:
    """Why the test above is there: 1e-8 is zero in float16, and 0 / 0 is NaN."""
    weight = nn.Parameter(torch.ones(3, dtype=torch.float16))
    weight.grad = torch.zeros_like(weight)
    torch.optim.Adam([weight]).step()
    assert weight.isnan().all()


@each(lambda case: case.optimizer is Adam)
@each_half
def test_smallest_float16_gradient_moves_the_weight_as_far_as_a_large_one(
    case: Case, dtype: torch.dtype
) -> None:
    small = 2.0**-24  # 6e-8; its square is far below what float16 can hold
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=dtype))
    weight.grad = torch.tensor([small, -small], dtype=dtype)
    assert weight.grad.count_nonzero() == 2
    optimizer = case.new([weight], lr=0.25, eps=1e-15)
    optimizer.step()
    assert weight.tolist() == [0.75, -1.75]
    v = optimizer.state[weight]["exp_avg_sq"]
    torch.testing.assert_close(v, torch.full((2,), small**2 * 1e-3), rtol=1e-6, atol=0)


@each(lambda case: case.optimizer is Adam)
@each_half
def test_second_moment_of_a_half_precision_weight_decays_and_grows(
    case: Case, dtype: torch.dtype
) -> None:
    weight = nn.Parameter(torch.ones(1, dtype=dtype))
    optimizer = case.new([weight], lr=0.0)

    def steps(count: int, gradient: float) -> float:
        for _ in range(count):
            weight.grad = torch.full((1,), gradient, dtype=dtype)
            optimizer.step()
        return float(optimizer.state[weight]["exp_avg_sq"])

    full = 1 - 0.999**500
    assert steps(500, 1.0) == pytest.approx(full, rel=1e-4)
    assert steps(500, 0.0) == pytest.approx(full * 0.999**500, rel=1e-4)
    # Beside a large second moment, one small step of growth is not rounded away either.
    assert steps(1, 1.0) == pytest.approx(full * 0.999**501 + 1e-3, rel=1e-4)


def test_second_moment_of_a_bfloat16_weight_cannot_decay_in_torch() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    optimizer = torch.optim.Adam([weight], lr=0.0)
    history = []
    for gradient in (30.0, *[0.0] * 100):
        weight.grad = torch.full((1,), gradient, dtype=torch.bfloat16)
        optimizer.step()
        history.append(optimizer.state[weight]["exp_avg_sq"].item())
    assert history[0] == history[100] > 0


@each_optimizer_exactly
def test_moments_are_as_precise_as_the_parameter_and_float32_at_least(
    case: Case,
) -> None:
    for dtype in case.dtypes:
        weight = nn.Parameter(numbers(0, dtype=dtype))
        weight.grad = numbers(1, dtype=dtype)
        optimizer = case.new([weight])
        optimizer.step()
        expected = torch.float32 if dtype in HALF else dtype
        state = optimizer.state[weight]
        for name in ("step", *case.numbers):
            assert state[name].dtype == torch.float64
        for name in case.moments_of(weight.shape):
            assert state[name].dtype == expected
        assert weight.dtype == weight.grad.dtype == dtype


@each_optimizer
@each_half
@pytest.mark.parametrize("maximize", [False, True])
def test_step_of_a_half_precision_weight_is_that_of_float32_rounded(
    case: Case, dtype: torch.dtype, maximize: bool
) -> None:
    options: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1, "maximize": maximize}
    half, single = (
        nn.Parameter(numbers(0, dtype=dtype)),
        nn.Parameter(torch.zeros(5, 3)),
    )
    first, second = case.new([half], **options), case.new([single], **options)
    for seed in range(1, 30):
        half.grad = numbers(seed, dtype=dtype)
        single.data = half.data.float()
        single.grad = half.grad.float()
        first.step()
        second.step()
        assert torch.equal(half, single.to(dtype))
    for name in case.moments_of(half.shape):
        assert torch.equal(first.state[half][name], second.state[single][name])


# Complex numbers


@each_with({}, {"maximize": True}, {"capturable": True}, where=[is_complex])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_parameter_is_its_real_and_its_imaginary_part(
    case: Case, chosen: dict[str, Any], dtype: torch.dtype
) -> None:
    options = {"lr": 0.05, "weight_decay": 0.1, **chosen}
    one = nn.Parameter(numbers(0, dtype=dtype))
    two = nn.Parameter(torch.view_as_real(one.detach().clone()))
    first, second = case.new([one], **options), case.new([two], **options)
    for seed in range(1, 20):
        one.grad = numbers(seed, dtype=dtype)
        two.grad = torch.view_as_real(one.grad.clone())
        first.step()
        second.step()
    assert torch.equal(torch.view_as_real(one.detach()), two)
    for name in case.moments_of(one.shape):
        moment = first.state[one][name]
        assert moment.dtype == dtype
        assert torch.equal(torch.view_as_real(moment), second.state[two][name])


@each(in_torch, is_complex)
@pytest.mark.usefixtures("float64")  # PyTorch keeps a product of NAdam's in this type
def test_complex_parameter_moves_as_in_torch(case: Case) -> None:
    weights = [nn.Parameter(numbers(0, dtype=torch.complex128)) for _ in range(2)]
    for make, weight in zip((case.new, case.new_in_torch), weights, strict=True):
        optimizer = make([weight], lr=0.05, weight_decay=0.1)
        for seed in range(1, 200):
            weight.grad = numbers(seed, dtype=torch.complex128)
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-10, atol=1e-13)


@each(is_complex)
def test_conjugated_gradient_counts_as_the_number_it_stands_for(case: Case) -> None:
    lazy, plain = (nn.Parameter(numbers(0, dtype=torch.complex64)) for _ in range(2))
    lazy.grad = numbers(1, dtype=torch.complex64).conj()
    assert lazy.grad.is_conj()
    plain.grad = lazy.grad.resolve_conj()
    case.new([lazy]).step()
    case.new([plain]).step()
    assert torch.equal(lazy, plain)


# Together


@each_optimizer
def test_parameters_of_all_dtypes_in_one_group_move_as_each_alone(case: Case) -> None:
    together = [nn.Parameter(numbers(0, dtype=dtype)) for dtype in case.dtypes]
    alone = [nn.Parameter(numbers(0, dtype=dtype)) for dtype in case.dtypes]
    options = {"lr": 0.01, "weight_decay": 0.1}
    optimizers = [
        case.new(together, **options),
        *(case.new([weight], **options) for weight in alone),
    ]
    for seed in range(1, 6):
        for weight in (*together, *alone):
            weight.grad = numbers(seed, dtype=weight.dtype)
        for optimizer in optimizers:
            optimizer.step()
    for one, other, dtype in zip(together, alone, case.dtypes, strict=True):
        assert one.dtype == dtype
        assert torch.equal(one, other)
        assert not torch.equal(one, numbers(0, dtype=dtype))


@each_optimizer_exactly
@pytest.mark.usefixtures("float64")
def test_default_dtype_of_torch_has_no_influence(case: Case) -> None:
    weight, other = (nn.Parameter(torch.ones(3, dtype=torch.float32)) for _ in range(2))
    weight.grad = other.grad = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float32)
    optimizer = case.new([weight], lr=0.5)
    optimizer.step()
    for name in case.moments_of(weight.shape):
        assert optimizer.state[weight][name].dtype == torch.float32
    assert weight.dtype == torch.float32
    torch.set_default_dtype(torch.float32)
    case.new([other], lr=0.5).step()
    assert torch.equal(weight, other)
