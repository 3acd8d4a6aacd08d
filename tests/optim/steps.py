"""Parameters, gradients and steps for the tests of the optimizers."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial._types import Float64Array
from tests.optimizers import Case

SHAPES = ((3, 4), (5,), (), (2, 0))


def numbers(
    seed: int, shape: Sequence[int] = (5, 3), dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return normal random numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=dtype)


def new_parameters(
    dtype: torch.dtype = torch.float64, shapes: Iterable[Sequence[int]] = SHAPES
) -> list[nn.Parameter]:
    """Return one parameter of each shape, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(tuple(shape), generator=generator, dtype=dtype))
        for shape in shapes
    ]


def gradients_of(seed: int, steps: int) -> list[Float64Array]:
    """Return random gradients of five numbers; their sizes differ by factors of ten."""
    generator = np.random.default_rng(seed)
    return [
        generator.standard_normal(5) * 10 ** generator.uniform(-2, 2) + 0.1
        for _ in range(steps)
    ]


def shapes_in_torch(case: Case) -> tuple[tuple[int, ...], ...]:
    """Return the shapes that PyTorch's optimizer takes."""
    # A mean over no elements divides by zero there.
    return tuple(shape for shape in SHAPES if case.elementwise or 0 not in shape)


def copies(parameters: Iterable[Tensor]) -> list[nn.Parameter]:
    """Return parameters with the same values."""
    return [nn.Parameter(parameter.detach().clone()) for parameter in parameters]


def set_gradients(parameters: Iterable[Tensor], step: int) -> None:
    """Set random gradients, whose size changes over the steps by factors of ten."""
    generator = torch.Generator().manual_seed(1000 + step)
    size = 10 ** math.sin(step / 7)
    for parameter in parameters:
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = (noise * size + 0.2).to(parameter.dtype)


def take_steps(
    optimizer: Optimizer,
    parameters: Sequence[Tensor],
    steps: range,
    scheduler: Any = None,
) -> None:
    """Take the steps of these numbers, each with gradients of its own."""
    for step in steps:
        set_gradients(parameters, step)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def trained(
    make: Any,
    parameters: list[nn.Parameter] | None = None,
    *,
    steps: int = 20,
    **settings: Any,
) -> Any:
    """Return an optimizer that has taken some steps."""
    parameters = new_parameters() if parameters is None else parameters
    optimizer = make(parameters, **settings)
    take_steps(optimizer, parameters, range(steps))
    return optimizer


def follow(
    make: Any, start: Sequence[float], gradients: Iterable[Any], **settings: Any
) -> Tensor:
    """Return where an optimizer ends that is given these gradients, in float64."""
    theta = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = make([theta], **settings)
    for gradient in gradients:
        theta.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return theta.detach()


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return the parameters of all groups."""
    return [
        parameter for group in optimizer.param_groups for parameter in group["params"]
    ]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Save, and load in the way that runs no code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


def frozen(value: Any) -> Any:
    """Return the value with its tensors written out, to compare before and after."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)} {value.tolist()}"
    if isinstance(value, dict):
        return {key: frozen(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [frozen(entry) for entry in value]
    return value


def snapshot(optimizer: Optimizer) -> Any:
    """Return all that an optimizer and its parameters hold, written out."""
    return frozen([optimizer.state_dict(), parameters_of(optimizer)])


def assert_same(first: Iterable[Tensor], second: Iterable[Tensor]) -> None:
    """Compare to the last bit."""
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def assert_close(
    ours: Iterable[Tensor], theirs: Iterable[Tensor], *, rtol: float = 1e-10
) -> None:
    """Compare up to rounding."""
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=1e-13)
