from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adam_tutorial.study.data import Images, split

Labels = NDArray[np.int64]
NAMES = ("train", "validation", "test")


@st.composite
def problems(draw: st.DrawFn) -> tuple[Labels, dict[str, int]]:
    """Draw labels of up to five classes, and sizes of up to three parts that fit."""
    counts = draw(st.lists(st.integers(0, 60), max_size=5))
    labels = np.repeat(np.arange(len(counts)), counts)
    if draw(st.booleans()):
        labels = np.random.default_rng(len(labels)).permutation(labels)
    cuts = draw(
        st.lists(st.integers(0, len(labels)), min_size=3, max_size=3).map(sorted)
    )
    sizes = np.diff([0, *cuts]).tolist()
    return labels, dict(zip(NAMES, sizes, strict=True))


SEEDS = st.integers(0, 2**32)


@given(problems(), SEEDS)
def test_parts_have_the_sizes_asked_for_and_share_no_example(
    problem: tuple[Labels, dict[str, int]], seed: int
) -> None:
    labels, sizes = problem
    parts = split(labels, sizes, seed=seed)
    assert {name: len(rows) for name, rows in parts.items()} == sizes
    rows = np.concatenate(list(parts.values()))
    assert len(set(rows.tolist())) == len(rows)
    assert set(rows.tolist()) <= set(range(len(labels)))


@given(problems(), SEEDS)
def test_each_part_holds_the_classes_in_proportion(
    problem: tuple[Labels, dict[str, int]], seed: int
) -> None:
    labels, sizes = problem
    assume(len(labels) > 0)
    shares = np.bincount(labels) / len(labels)
    classes = np.count_nonzero(shares)
    for name, rows in split(labels, sizes, seed=seed).items():
        counts = np.bincount(labels[rows], minlength=len(shares))
        # Each class is rounded by less than 1, and shares in the rounding of the
        # others: less than 2 examples for classes of equal size, less than 1 for two
        # classes.
        bound = (1 - shares) + shares * (classes - 1)
        assert (np.abs(counts - sizes[name] * shares) <= bound + 1e-9).all()


@given(problems(), SEEDS)
def test_same_seed_gives_the_same_split(
    problem: tuple[Labels, dict[str, int]], seed: int
) -> None:
    labels, sizes = problem
    first, second = split(labels, sizes, seed=seed), split(labels, sizes, seed=seed)
    for name in sizes:
        assert first[name].tolist() == second[name].tolist()


def test_another_seed_gives_another_split(digits: Images) -> None:
    first = split(digits.labels, {"train": 100}, seed=0)["train"]
    second = split(digits.labels, {"train": 100}, seed=1)["train"]
    assert set(first.tolist()) != set(second.tolist())


def test_digits_are_split_evenly_although_they_come_sorted(digits: Images) -> None:
    parts = split(digits.labels, {"train": 3500, "validation": 500, "test": 1000})
    for name, each in (("train", 350), ("validation", 50), ("test", 100)):
        counts = np.bincount(digits.labels[parts[name]])
        assert counts.shape == (10,)
        assert np.abs(counts - each).max() <= 2


def test_examples_of_a_part_come_in_random_order(digits: Images) -> None:
    labels = digits.labels[split(digits.labels, {"train": 3500})["train"]]
    # Neither sorted by class nor dealt out in turn: neighbours agree once in ten times.
    assert np.mean(labels[1:] == labels[:-1]) == pytest.approx(0.1, abs=0.02)
    for start in range(0, 3500, 500):
        assert len(set(labels[start : start + 100].tolist())) == 10


def test_indices_are_whole_numbers_that_index_an_array() -> None:
    (rows,) = split(np.array([0, 1, 0, 1]), {"all": 4}).values()
    assert rows.dtype == np.int64
    assert sorted(rows.tolist()) == [0, 1, 2, 3]


def test_labels_are_not_changed() -> None:
    labels = np.array([3, 1, 2, 1, 3])
    split(labels, {"train": 2})
    assert labels.tolist() == [3, 1, 2, 1, 3]


def test_negative_size_is_refused_by_name() -> None:
    message = "sizes['test'] must be at least 0, got -1"
    with pytest.raises(ValueError, match=re.escape(message)):
        split(np.zeros(5, dtype=np.int64), {"train": 3, "test": -1})


def test_sizes_without_names_are_refused() -> None:
    with pytest.raises(TypeError, match=r"sizes must be a mapping .*, got 0\.8"):
        split(np.zeros(5, dtype=np.int64), 0.8)  # type: ignore[arg-type]


def test_sizes_that_add_up_to_more_than_there_is_are_refused() -> None:
    with pytest.raises(
        ValueError, match="sizes must add up to at most 5 examples, got 6"
    ):
        split(np.zeros(5, dtype=np.int64), {"train": 3, "test": 3})
