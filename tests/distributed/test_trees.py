"""Sums along a fixed tree have the same bits in any number of processes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adam_tutorial.distributed import (
    fingerprint,
    tree_all_reduce,
    tree_gradients,
    tree_sum,
)
from adam_tutorial.theory import all_reduce_cost
from tests.distributed.launch import Outcomes

SIZES = (1, 2, 4)
LENGTHS = (1, 2, 3, 5, 1000)


def leaves(count: int, length: int) -> list[torch.Tensor]:
    return [
        torch.randn(length, generator=torch.Generator().manual_seed(rank))
        for rank in range(count)
    ]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("size", SIZES)
def test_processes_add_along_the_same_tree_as_one_does(
    of_four: Outcomes, size: int, length: int
) -> None:
    values = leaves(size, length)
    expected = tree_sum(lambda k: values[k].clone(), 0, size)
    for outcome in of_four("tree")[:size]:
        assert torch.equal(outcome[f"{length} of {size}"][0], expected)


@pytest.mark.parametrize("size", SIZES)
def test_processes_send_the_bytes_of_a_ring_together(
    of_four: Outcomes, size: int
) -> None:
    for length in LENGTHS:
        sent = [o[f"{length} of {size}"][1] for o in of_four("tree")[:size]]
        assert sum(sent) == size * all_reduce_cost(4 * length, size, "halves").bytes


@given(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2**31))
def test_sum_of_subtrees_is_the_sum_of_the_tree(
    levels: int, lower: int, seed: int
) -> None:
    lower = min(lower, levels)
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2**levels, 3, generator=generator)
    width = 2**lower

    def part(number: int) -> torch.Tensor:
        return tree_sum(lambda k: values[k].clone(), number * width, width)

    whole = tree_sum(lambda k: values[k].clone(), 0, 2**levels)
    assert torch.equal(tree_sum(part, 0, 2**levels // width), whole)


def test_at_most_one_tensor_a_level_and_a_leaf_are_held_at_a_time() -> None:
    alive, most = [0], [0]

    class Counted(torch.Tensor):
        def __del__(self) -> None:
            alive[0] -= 1

    def leaf(_: int) -> torch.Tensor:
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return torch.ones(3).as_subclass(Counted)

    tree_sum(leaf, 0, 16)
    assert most[0] == math.log2(16) + 1


@pytest.mark.parametrize("size", [2, 4])
def test_gradients_buffers_and_dropout_do_not_depend_on_the_number_of_processes(
    of_four: Outcomes, size: int
) -> None:
    (alone, *_), shared = of_four("odd-1"), of_four(f"odd-{size}")[:size]
    for outcome in shared:
        assert outcome["fingerprint"] == alone["fingerprint"]
    for outcome in (alone, *shared):
        assert torch.equal(outcome["unused"], torch.zeros(2))
        assert outcome["batches"] == 1
        assert outcome["generator is as before"]


def test_mean_gradient_is_that_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2, dtype=torch.float64)
    x = torch.randn(8, 3, dtype=torch.float64)

    def loss(rows: slice) -> torch.Tensor:
        result: torch.Tensor = model(x[rows]).square().mean()
        return result

    whole = loss(slice(None))
    expected = torch.autograd.grad(whole, list(model.parameters()))
    found = tree_gradients(
        model, lambda k: loss(slice(2 * k, 2 * k + 2)), 4, seed=0, step=0
    )
    assert math.isclose(found.loss, whole.item(), rel_tol=1e-14)
    assert found.bytes_sent == 0
    gradients = [p.grad for p in model.parameters()]
    torch.testing.assert_close(gradients, list(expected), rtol=1e-13, atol=1e-15)


def test_dropout_depends_on_seed_step_and_micro_batch() -> None:
    model = nn.Sequential(nn.Linear(40, 1, bias=False), nn.Dropout(0.5))
    masks = set()

    def loss(_: int) -> torch.Tensor:
        dropped = nn.functional.dropout(torch.ones(40))
        masks.add(tuple(dropped.tolist()))
        result: torch.Tensor = model(torch.ones(1, 40)).sum()
        return result

    runs = list(itertools.product((0, 1), (0, 1)))
    for seed, step in runs * 2:
        tree_gradients(model, loss, 4, seed=seed, step=step)
    assert len(masks) == 4 * len(runs)


def test_what_cannot_be_divided_is_refused() -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="micro_batches must be a power of two, got 6"):
        tree_gradients(model, lambda _: model(torch.ones(2)), 6, seed=0, step=0)
    with pytest.raises(ValueError, match="count must be a power of two, got 3"):
        tree_sum(lambda _: torch.ones(1), 0, 3)
    with pytest.raises(ValueError, match=r"got \(2, 2\) with strides \(2, 1\)"):
        tree_all_reduce(torch.ones(2, 2))
    with pytest.raises(ValueError, match="no gaps"):
        tree_all_reduce(torch.ones(4)[::2])
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="one dtype and device"):
        tree_gradients(mixed, lambda _: torch.ones(1), 2, seed=0, step=0)


def test_fingerprint_sees_values_shapes_dtypes_and_keys() -> None:
    one = torch.tensor([1.0, 2.0])
    different = [
        {"a": one},
        {"b": one},
        {"a": one.double()},
        {"a": one[None]},
        {"a": -one},
        {"a": [one]},
        {"a": [one, None]},
        {"a": 1},
        {"a": "1"},
    ]
    assert len({fingerprint(state) for state in different}) == len(different)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(torch.tensor([0.0])) != fingerprint(torch.tensor([-0.0]))
    assert fingerprint(torch.ones(2, 3).t()) == fingerprint(torch.ones(3, 2))
    assert fingerprint(torch.tensor(1.0, dtype=torch.bfloat16))
