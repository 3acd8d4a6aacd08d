"""MNIST-1D: it repeats, and leaves the generators of others alone."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest

from adam_tutorial.study import MissingLibrary
from adam_tutorial.study.data import DatasetCorrupt, load_mnist1d, series
from tests.study.experiments.stored import mnist1d


def test_there_are_as_many_series_of_each_class_all_of_unit_scale() -> None:
    numbers, labels = mnist1d()
    assert numbers.shape == (5000, 40)
    assert np.bincount(labels).tolist() == [500] * 10
    assert numbers.mean() == pytest.approx(0, abs=1e-4)
    assert numbers.std() == pytest.approx(1, abs=1e-4)
    assert np.array_equal(numbers, numbers.round(4))
    # In random order: otherwise the last thousand were two classes.
    assert len(set(labels[-1000:])) == 10


def test_a_class_is_told_from_its_series() -> None:
    # The mean of a class would be flat if series and labels were not each other's.
    numbers, labels = mnist1d()
    means = np.array([numbers[labels == k].mean(axis=0) for k in range(10)])
    assert means.std(axis=0).mean() > 0.1


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package generate twenty series, which takes no time."""
    from mnist1d import data

    sizes = {**data.get_dataset_args(as_dict=True), "num_samples": 20}
    monkeypatch.setattr(data, "get_dataset_args", lambda: data.ObjectView(sizes))


def test_generators_that_others_draw_from_go_on_where_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small(monkeypatch)

    def drawn() -> tuple[float, float]:
        return random.random(), np.random.random()  # noqa: NPY002

    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    wanted = drawn()
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    with pytest.raises(DatasetCorrupt):
        load_mnist1d()
    assert drawn() == wanted


def test_series_that_are_not_those_of_the_book_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small(monkeypatch)
    with pytest.raises(DatasetCorrupt, match=f"SHA-256 {series.SHA256}, generated"):
        load_mnist1d()


def test_the_package_that_generates_them_is_named_if_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mnist1d", None)
    with pytest.raises(MissingLibrary, match="pip install mnist1d"):
        load_mnist1d()
