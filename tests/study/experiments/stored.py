"""What tests of stored runs need so that they can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from adam_tutorial.study.data import DatasetUnavailable, load_mnist1d

Loaded = TypeVar("Loaded")


def need_its_masks(record: Mapping[str, Any]) -> None:
    """Skip the test if this PyTorch may draw other dropout masks than a record's."""
    made_with = record["versions"]["torch"].partition("+")[0]
    if made_with != torch.__version__.partition("+")[0]:
        pytest.skip(
            f"stored with torch {made_with}; other versions draw other dropout masks"
        )


def loaded(load: Callable[[], Loaded]) -> Loaded:
    """Return what a function loads; skip the test if it is not on this machine."""
    try:
        return load()
    except DatasetUnavailable as error:
        name = str(error).partition(":")[0]
        pytest.skip(f"{name} is not on this machine: make test needs no download")


@cache
def mnist1d() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return MNIST-1D, generated once for all tests, which takes seconds."""
    return load_mnist1d()
