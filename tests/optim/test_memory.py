"""How much memory a step needs besides parameters, gradients and state."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.optimizers import ADAM, Case, each_optimizer, each_with

ELEMENTS = 100_000
SIZE = 4 * ELEMENTS
"""Bytes of a parameter."""
COUNT = 4


class Watch(TorchDispatchMode):
    """Sees each operation, and which of the storages that it made are still alive."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = {StorageWeakRef(tensor.untyped_storage()) for tensor in known}
        self.made: dict[StorageWeakRef, int] = {}
        self.peak = 0

    def alive(self) -> int:
        """Bytes of new storages that something still holds."""
        return sum(size for storage, size in self.made.items() if not storage.expired())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = StorageWeakRef(leaf.untyped_storage())
                if storage not in self.known:
                    self.made[storage] = leaf.untyped_storage().nbytes()
        self.peak = max(self.peak, self.alive())
        return result


def new_parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(ELEMENTS, dtype=dtype)) for _ in range(COUNT)]


def watched_step(optimizer: Any, parameters: list[nn.Parameter]) -> Watch:
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.5)
    known = [*parameters, *(p.grad for p in parameters if p.grad is not None)]
    known += [value for entry in optimizer.state.values() for value in entry.values()]
    watch = Watch(known)
    with watch:
        optimizer.step()
    return watch


def size_of_state(optimizer: Any) -> int:
    return sum(
        int(value.untyped_storage().nbytes())
        for entry in optimizer.state.values()
        for value in entry.values()
    )


def test_watch_sees_what_is_alive_at_once_and_what_stays() -> None:
    x = torch.ones(ELEMENTS)
    with Watch([x]) as watch:
        stays = x + 1
        del stays
        stays = (x * 2).add_(1) + (x * 3)
    assert watch.peak == 3 * SIZE
    assert watch.alive() == SIZE == stays.untyped_storage().nbytes()


@each_optimizer
def test_step_holds_at_most_three_temporaries(case: Case) -> None:
    parameters = new_parameters()
    optimizer = case.new(parameters)
    for _ in range(8):  # RAdam's longer formula begins with the sixth
        peak = watched_step(optimizer, parameters).peak / SIZE
    # The plain backend takes one parameter after another, the other all at once.
    assert peak <= 3 * (1 if case.backend == "plain" else COUNT)


def test_step_of_adam_holds_less_than_the_for_loop_of_torch() -> None:
    peaks = []
    for make in (ADAM.new, ADAM.new_in_torch):
        parameters = new_parameters()
        optimizer = make(parameters, foreach=False)
        watched_step(optimizer, parameters)
        peaks.append(round(watched_step(optimizer, parameters).peak / SIZE, 2))
    assert peaks == [2.0, 3.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_step_of_half_precision_needs_float32_copies_of_one_parameter_only(
    dtype: torch.dtype,
) -> None:
    parameters = new_parameters(dtype)
    optimizer = ADAM.new(parameters)
    watched_step(optimizer, parameters)
    # The parameter, the gradient, and the two of float32.
    assert watched_step(optimizer, parameters).peak == 4 * SIZE


@each_with({}, {"maximize": True}, {"weight_decay": 0.1}, {"capturable": True})
def test_step_leaves_nothing_behind_but_the_state(
    case: Case, chosen: dict[str, Any]
) -> None:
    parameters = new_parameters()
    optimizer = case.new(parameters, **chosen)
    first = watched_step(optimizer, parameters)
    assert first.alive() == size_of_state(optimizer)
    shapes = case.moments_of((ELEMENTS,)).values()
    moments = sum(4 * math.prod(shape) for shape in shapes)
    counters = (1 + len(case.numbers)) * 8
    assert first.alive() == COUNT * (moments + counters)
    assert watched_step(optimizer, parameters).alive() == 0
