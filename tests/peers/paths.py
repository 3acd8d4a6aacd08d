"""Follow a peer's optimizer along gradients, and ours beside it, in float64."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adam_tutorial import optim

# Before the first import of Keras. Its settings must not be read from, or written to, the home
# folder of whoever runs the tests.
os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())

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
    import jax
    import optax

    with jax.enable_x64(True):
        transformation = make(**settings)
        theta = jax.numpy.asarray(start)
        state = transformation.init(theta)
        update = jax.jit(transformation.update)
        points = [start]
        for t in range(1, steps + 1):
            change, state = update(jax.numpy.asarray(gradient(points[-1], t)), state, theta)
            theta = optax.apply_updates(theta, change)
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
    import keras

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
    if module == "optax":
        import optax

        return getattr(optax, attribute)  # type: ignore[no-any-return]
    if module == "keras.optimizers":
        import keras

        return getattr(keras.optimizers, attribute)  # type: ignore[no-any-return]
    return getattr({"torch.optim": torch.optim, "adam_tutorial.optim": optim}[module], attribute)  # type: ignore[no-any-return]


FOLLOW: dict[str, Callable[..., Array]] = {
    "torch": follow_torch,
    "adam_tutorial": follow_torch,
    "optax": follow_optax,
    "keras": follow_keras,
}


def difference(path: Array, other: Array) -> float:
    """Return the largest distance of two paths, relative to the largest extent of the first."""
    extent = np.abs(path).max(axis=0)
    extent = np.maximum(extent, np.abs(np.diff(path, axis=0)).sum(axis=0))
    return float((np.abs(path - other) / np.maximum(extent, 1e-300)).max())
