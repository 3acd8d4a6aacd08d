"""Shuffled batches: an order for each epoch, and the rest of it after a resume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from adam_tutorial.checkpoint import ShuffledBatches


def epoch_of(batches: ShuffledBatches) -> list[list[int]]:
    """One epoch, counted batch by batch."""
    seen = []
    for batch in batches:
        seen.append(batch)
        batches.advance()
    return seen


def test_each_epoch_has_every_example_once_in_an_order_of_its_own() -> None:
    batches = ShuffledBatches(range(10), 3, drop_last=False)
    epochs = [epoch_of(batches) for _ in range(3)]
    assert [len(epoch) for epoch in epochs] == [4, 4, 4]
    assert [len(batch) for batch in epochs[0]] == [3, 3, 3, 1]
    assert len({str(epoch) for epoch in epochs}) == 3
    for epoch in epochs:
        assert sorted(index for batch in epoch for index in batch) == [*range(10)]
    assert (batches.epoch, batches.position) == (3, 0)


def test_an_incomplete_batch_is_left_out_unless_it_is_wanted() -> None:
    batches = ShuffledBatches(range(10), 3)
    assert len(batches) == 3
    assert [len(batch) for batch in epoch_of(batches)] == [3, 3, 3]
    assert len(ShuffledBatches(range(9), 3, drop_last=False)) == 3


def test_the_seed_decides_the_order() -> None:
    orders = [epoch_of(ShuffledBatches(range(50), 5, seed=seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("used", range(9))
def test_a_resumed_sampler_gives_the_rest_and_then_the_same_epochs(used: int) -> None:
    whole = ShuffledBatches(range(12), 3, seed=5)
    all_of_it = [batch for _ in range(4) for batch in epoch_of(whole)]
    first = ShuffledBatches(range(12), 3, seed=5)
    for _ in range(used):
        first.advance()
    second = ShuffledBatches(range(12), 3)
    second.load_state_dict(first.state_dict())
    rest = []
    while second.epoch < 4:
        rest += epoch_of(second)
    assert rest == all_of_it[used:]


# Workers of a loader are forked, and another test of this process may have loaded JAX,
# which warns of that.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_reading_ahead_counts_nothing() -> None:
    batches = ShuffledBatches(range(12), 3)
    first = next(iter(batches))
    data: Any = torch.arange(12)
    loader = DataLoader[Any](data, batch_sampler=batches, num_workers=1)
    assert next(iter(loader)).tolist() == first
    assert (batches.epoch, batches.position) == (0, 0)
    batches.advance()
    assert next(iter(loader)).tolist() == next(iter(batches)) != first


def test_a_whole_pass_without_counting_is_a_mistake_that_is_named() -> None:
    batches = ShuffledBatches(range(12), 3)
    assert len([*batches]) == 4
    with pytest.raises(RuntimeError, match=r"call advance\(\) after each step"):
        next(iter(batches))
    batches.advance(4)
    assert len([*batches]) == 4


def test_several_batches_can_be_counted_at_once_but_no_more_than_there_are() -> None:
    batches = ShuffledBatches(range(12), 3)
    batches.advance(3)
    with pytest.raises(ValueError, match="batches must be at most 1, got 2"):
        batches.advance(2)
    batches.advance()
    assert (batches.epoch, batches.position) == (1, 0)
    with pytest.raises(ValueError, match="batches must be at least 1"):
        batches.advance(0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 13}, "no batch of 13 examples"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        ShuffledBatches(range(12), **{"batch_size": 3, **settings})


def test_a_state_of_other_data_is_refused_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = ShuffledBatches(range(12), 3, seed=7).state_dict()
    for other in (
        ShuffledBatches(range(13), 3),
        ShuffledBatches(range(12), 4),
        ShuffledBatches(range(12), 3, drop_last=False),
    ):
        before = other.state_dict()
        with pytest.raises(ValueError, match="the rest of the epoch would be another"):
            other.load_state_dict(state)
        assert other.state_dict() == before
    # Another version of NumPy could shuffle in another way.
    sampler = ShuffledBatches(range(12), 3)
    before = sampler.state_dict()
    made = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: made([*seed, 1]))
    with pytest.raises(ValueError, match="this version of NumPy"):
        sampler.load_state_dict(state)
    monkeypatch.undo()
    assert sampler.state_dict() == before
