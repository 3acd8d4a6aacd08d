"""Follow a peer's optimizer along gradients, in float64, and compare paths."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from adam_tutorial import libraries
from adam_tutorial._types import Float64Array
from adam_tutorial.libraries.paths import Followed

# Before the first import of Keras, which must not read settings from the home folder or
# write them there.
keras_home = tempfile.mkdtemp()
atexit.register(shutil.rmtree, keras_home, ignore_errors=True)
os.environ |= {"KERAS_BACKEND": "torch", "KERAS_HOME": keras_home}

# Takes the point and the number of the step, from 1.
Gradient = Callable[[Float64Array, int], Float64Array]


def find(name: str) -> Callable[..., Any]:
    """Return the optimizer with this name; skip the test if its library is missing."""
    for library in {"optax": ("jax", "optax")}.get(
        name.split(".")[0], (name.split(".")[0],)
    ):
        pytest.importorskip(library)
    return libraries.find(name)


def follow(
    library: Followed,
    make: Callable[..., Any],
    settings: Mapping[str, Any],
    gradient: Gradient,
    start: Float64Array,
    steps: int,
) -> Float64Array:
    """Return every point of a library's optimizer, (steps + 1, d)."""
    return libraries.follow(library, make, settings, gradient, start, steps)


FOLLOW: dict[str, Callable[..., Float64Array]] = {
    library: partial(follow, library) for library in libraries.LIBRARIES
}


def difference(path: Float64Array, other: Float64Array) -> float:
    """Return the largest distance between two paths at any step, in any coordinate.

    It is relative to what rounding is relative to: the coordinate's largest value, or
    the length of its path if that is larger. It is infinite if a path is not finite.
    """
    if not (np.isfinite(path).all() and np.isfinite(other).all()):
        return float("inf")
    length = np.abs(np.diff(path, axis=0)).sum(axis=0)
    size = np.maximum(np.abs(path).max(axis=0), length)
    return float((np.abs(path - other) / size).max())
