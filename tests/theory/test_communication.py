"""Costs of communication: what is refused, and what is best where."""

from __future__ import annotations

import pytest

from adam_tutorial.theory import Exchange, all_reduce_cost


def test_one_process_sends_nothing() -> None:
    for algorithm in ("ring", "tree", "halves"):
        assert all_reduce_cost(1e9, 1, algorithm) == (0, 0)


@pytest.mark.parametrize("ranks", [2, 4, 64, 1024])
def test_halves_are_never_slower_than_ring_and_tree(ranks: int) -> None:
    for size in (1, 1e5, 1e9):
        ring, tree, halves = (
            all_reduce_cost(size, ranks, algorithm).seconds(1e-4, 1e9)
            for algorithm in ("ring", "tree", "halves")
        )
        assert halves <= min(ring, tree)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="power of two for 'halves', got 6"):
        all_reduce_cost(1, 6, "halves")
    with pytest.raises(ValueError, match="one of ring, tree, halves; got 'star'"):
        all_reduce_cost(1, 2, "star")
    with pytest.raises(ValueError, match="size"):
        all_reduce_cost(-1, 2)
    with pytest.raises(ValueError, match="ranks must be at least 1, got 0"):
        all_reduce_cost(1, 0)
    with pytest.raises(ValueError, match="latency"):
        Exchange(1, 1).seconds(-1, 1)
    with pytest.raises(ValueError, match="bandwidth"):
        Exchange(1, 1).seconds(1, 0)
