"""Follow a peer's optimizer along gradients, and ours beside it, in float64."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

# Before the first import of Keras. Its settings must not be read from, or written to, the home
# folder of whoever runs the tests.
keras_home = tempfile.mkdtemp()
atexit.register(shutil.rmtree, keras_home, ignore_errors=True)
os.environ |= {"KERAS_BACKEND": "torch", "KERAS_HOME": keras_home}

Array = NDArray[np.float64]
# Takes the point and the number of the step, from 1.
Gradient = Callable[[Array, int], Array]


def follow_torch(
    make: Callable[..., torch.optim.Optimizer],
    settings: Mapping[str, Any],
    gradient: Gradient,
    start: Array,
    steps: int,
) -> Array:
    """Return every point of a torch-style optimizer, (steps + 1, d)."""
    theta = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = make([theta], **settings)
    points = [start]
    for t in range(1, steps + 1):
        theta.grad = torch.from_numpy(gradient(points[-1], t))
        optimizer.step()
        points.append(theta.detach().numpy().copy())
    return np.array(points)


def follow_optax(
    make: Callable[..., Any],
    settings: Mapping[str, Any],
    gradient: Gradient,
    start: Array,
    steps: int,
) -> Array:
    """Return every point of an Optax transformation, (steps + 1, d)."""
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        transformation = make(**settings)
        theta = jax.numpy.asarray(start)
        state = transformation.init(theta)

        @jax.jit  # type: ignore[untyped-decorator]
        def step(g: Any, state: Any, theta: Any) -> tuple[Any, Any]:
            change, state = transformation.update(g, state, theta)
            return optax.apply_updates(theta, change), state

        points = [start]
        for t in range(1, steps + 1):
            theta, state = step(gradient(points[-1], t), state, theta)
            points.append(np.asarray(theta))
    return np.array(points)


def follow_keras(
    make: Callable[..., Any],
    settings: Mapping[str, Any],
    gradient: Gradient,
    start: Array,
    steps: int,
) -> Array:
    """Return every point of a Keras optimizer on the torch backend, (steps + 1, d)."""
    keras = pytest.importorskip("keras")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    # NumPy 2 warns of the way in which Keras reads its own variables.
    warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
    try:
        theta = keras.Variable(start, dtype="float64")
        optimizer = make(**settings)
        optimizer.build([theta])
        points = [start]
        for t in range(1, steps + 1):
            optimizer.apply([torch.from_numpy(gradient(points[-1], t))])
            points.append(theta.value.detach().numpy().copy())
    finally:
        keras.config.set_floatx(before)
    return np.array(points)


def find(name: str) -> Callable[..., Any]:
    """Return the optimizer of which ``adam_tutorial.conventions`` gives the full name."""
    module, _, attribute = name.rpartition(".")
    found: Callable[..., Any] = getattr(pytest.importorskip(module), attribute)
    return found


FOLLOW: dict[str, Callable[..., Array]] = {
    "torch": follow_torch,
    "adam_tutorial": follow_torch,
    "optax": follow_optax,
    "keras": follow_keras,
}


def difference(path: Array, other: Array) -> float:
    """Return the largest distance between two paths at any step, in any coordinate.

    It is relative to what rounding is relative to: the largest size that the coordinate had, or the
    way that it went if that is longer. A path that is not finite has the distance infinity.
    """
    if not (np.isfinite(path).all() and np.isfinite(other).all()):
        return float("inf")
    way = np.abs(np.diff(path, axis=0)).sum(axis=0)
    return float((np.abs(path - other) / np.maximum(np.abs(path).max(axis=0), way)).max())
