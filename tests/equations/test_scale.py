"""The equations of training in several processes."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adam_tutorial.distributed import LocalSteps
from adam_tutorial.reference import adam, trajectory
from adam_tutorial.theory import Exchange, all_reduce_cost, memory

floats = st.floats(-1e3, 1e3)
counts = st.integers(1, 6)
LATENCY, BANDWIDTH = 3e-4, 2e8


@pytest.mark.equation("scale-mean")
@given(counts, counts, st.integers(0, 2**31))
def test_mean_of_means_of_equal_parts_is_the_mean(
    ranks: int, rows: int, seed: int
) -> None:
    g = np.random.default_rng(seed).normal(size=(ranks, rows, 3))
    np.testing.assert_allclose(
        g.mean(axis=1).mean(axis=0), g.reshape(-1, 3).mean(axis=0), atol=1e-14
    )


@pytest.mark.equation("scale-uneven")
@given(st.lists(counts, min_size=1, max_size=6), st.integers(0, 2**31))
def test_means_weighted_by_size_are_the_mean(sizes: list[int], seed: int) -> None:
    g = np.random.default_rng(seed).normal(size=(sum(sizes), 3))
    parts = np.split(g, np.cumsum(sizes)[:-1])
    means = [part.mean(axis=0) for part in parts]
    found = sum(
        size / sum(sizes) * mean for size, mean in zip(sizes, means, strict=True)
    )
    np.testing.assert_allclose(found, g.mean(axis=0), atol=1e-14)
    if len(set(sizes)) > 1:
        assert not np.allclose(np.mean(means, axis=0), g.mean(axis=0), atol=1e-6)


@pytest.mark.equation("scale-sum")
@given(st.integers(2, 64), st.sampled_from([1e-8, 1e-3, 0.5]), st.integers(0, 2**31))
def test_adam_on_sums_is_adam_on_means_with_a_smaller_eps(
    ranks: int, eps: float, seed: int
) -> None:
    slopes = np.random.default_rng(seed).normal(size=3)

    def path(factor: float, eps: float) -> Any:
        def gradient(theta: Any) -> Any:
            return factor * (theta - slopes)

        return trajectory(adam, gradient, np.zeros(3), 10, lr=0.1, eps=eps)

    np.testing.assert_allclose(path(ranks, eps), path(1, eps / ranks), rtol=1e-9)
    if eps == 0.5:
        assert not np.allclose(path(ranks, eps), path(1, eps), rtol=1e-3)


@pytest.mark.equation("scale-order")
def test_half_a_gap_is_lost_alone_and_counts_twice_together() -> None:
    one, half = np.float32(1), np.float32(2**-24)
    assert (one + half) + half == 1
    assert one + (half + half) == 1 + 2**-23


@pytest.mark.equation("scale-zero")
@given(st.integers(1, 64))
def test_zero_leaves_eight_bytes_and_a_share_of_eight(ranks: int) -> None:
    tensors, elements = 64 * ranks, 1000
    held = memory([(elements,)] * tensors, ranks=ranks)
    numbers = tensors * elements
    found = held.total - held.counts
    assert math.isclose(found, numbers * (4 + 4 + 8 / ranks), rel_tol=1e-14)


def passed(ranks: int, size: int, send: Callable[[Any, int], None]) -> tuple[int, int]:
    """Run a program for each rank; return the longest chain of messages, its bytes."""
    clock = [(0, 0)] * ranks
    boxes: dict[tuple[int, int], list[Any]] = {}
    ready = threading.Condition()

    class Rank:
        def __init__(self, number: int) -> None:
            self.number = number
            self.vector = np.arange(size, dtype=float) + number

        def exchange(self, to: int, give: Any, source: int) -> Any:
            """Send to one, receive from another; the clock of the later one counts."""
            with ready:
                at = clock[self.number]
                boxes.setdefault((self.number, to), []).append((at, give))
                ready.notify_all()
                ready.wait_for(lambda: boxes.get((source, self.number)), timeout=10)
                then, got = boxes[source, self.number].pop(0)
                messages, sent = max(at, then)
                clock[self.number] = (messages + 1, sent + max(len(give), len(got)))
            return got

    members = [Rank(number) for number in range(ranks)]
    threads = [
        threading.Thread(target=send, args=(member, ranks)) for member in members
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(np.arange(size, dtype=float) + number for number in range(ranks))
    for member in members:
        np.testing.assert_array_equal(member.vector, total)
    return max(clock)


def ring(self: Any, ranks: int) -> None:
    parts = np.split(self.vector, ranks)
    left, right = (self.number - 1) % ranks, (self.number + 1) % ranks
    for turn in range(2 * (ranks - 1)):
        gives = (self.number - turn) % ranks
        takes = (gives - 1) % ranks
        got = self.exchange(right, parts[gives].copy(), left)
        parts[takes] = parts[takes] + got if turn < ranks - 1 else got
    self.vector = np.concatenate(parts)


def halves(self: Any, ranks: int) -> None:
    first, last, way = 0, len(self.vector), []
    for level in range(ranks.bit_length() - 1):
        partner, middle = self.number ^ 2**level, (first + last) // 2
        low, high = slice(first, middle), slice(middle, last)
        mine, given = (low, high) if self.number < partner else (high, low)
        got = self.exchange(partner, self.vector[given].copy(), partner)
        self.vector[mine] += got
        first, last = mine.start, mine.stop
        way.append((partner, mine, given))
    for partner, mine, given in reversed(way):
        self.vector[given] = self.exchange(partner, self.vector[mine].copy(), partner)


@pytest.mark.equation("scale-ring")
@pytest.mark.parametrize("ranks", [2, 3, 4, 8])
def test_ring_takes_the_messages_and_bytes_of_the_formula(ranks: int) -> None:
    size = 8 * 9 * ranks
    messages, elements = passed(ranks, size, ring)
    cost = all_reduce_cost(8 * size, ranks, "ring")
    assert Exchange(messages, 8 * elements) == cost
    formula = 2 * (ranks - 1) * LATENCY + 2 * (ranks - 1) / ranks * 8 * size / BANDWIDTH
    assert math.isclose(cost.seconds(LATENCY, BANDWIDTH), formula)


@pytest.mark.equation("scale-halves")
@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_halves_take_the_messages_and_bytes_of_the_formula(ranks: int) -> None:
    size = 64
    messages, elements = passed(ranks, size, halves)
    cost = all_reduce_cost(8 * size, ranks, "halves")
    assert Exchange(messages, 8 * elements) == cost
    formula = (
        2 * math.log2(ranks) * LATENCY + 2 * (ranks - 1) / ranks * 8 * size / BANDWIDTH
    )
    assert math.isclose(cost.seconds(LATENCY, BANDWIDTH), formula)


@pytest.mark.equation("scale-tree")
@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5, 8, 1000])
def test_tree_takes_a_whole_vector_at_each_level_up_and_down(ranks: int) -> None:
    # Pairs merge until one is left: the levels of a tree are counted, not computed.
    levels, left = 0, ranks
    while left > 1:
        levels, left = levels + 1, (left + 1) // 2
    cost = all_reduce_cost(1000, ranks, "tree")
    assert cost == Exchange(2 * levels, 2 * levels * 1000)
    formula = 2 * math.ceil(math.log2(ranks)) * (LATENCY + 1000 / BANDWIDTH)
    assert math.isclose(cost.seconds(LATENCY, BANDWIDTH), formula)


@pytest.mark.equation("scale-diloco")
@given(st.floats(0.1, 1), st.floats(0, 0.99), st.lists(floats, min_size=3, max_size=3))
def test_outer_step_is_nesterov_momentum_on_what_was_moved(
    eta: float, mu: float, moves: list[float]
) -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    inner = torch.optim.SGD([theta], lr=1.0)
    local = LocalSteps([theta], inner, every=1, lr=eta, momentum=mu)
    shared = u = 0.0
    for move in moves:
        theta.grad = torch.tensor([move], dtype=torch.float64)
        local.step()
        delta = shared - (shared - move)
        u = mu * u + delta
        shared -= eta * (delta + mu * u)
        assert math.isclose(theta.item(), shared, rel_tol=1e-9, abs_tol=1e-9)
