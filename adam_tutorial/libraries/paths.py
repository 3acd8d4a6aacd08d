"""Follow an optimizer of PyTorch, Optax, Keras or this package, in float64.

The surest way to learn what a library computes is to give it gradients. Together with
:func:`adam_tutorial.libraries.translate`, which knows what each of them calls its
arguments, this proves a translation. A library is imported only when it is needed.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import as_count, as_float64, as_gradient, check_positive
from adam_tutorial._types import Float64Array

__all__ = ["LIBRARIES", "Followed", "find", "follow", "gap"]

Gradient = Callable[[Float64Array, int], ArrayLike]
Followed = Literal["torch", "adam_tutorial", "optax", "keras"]
LIBRARIES: tuple[Followed, ...] = get_args(Followed)


def find(name: str) -> Callable[..., Any]:
    """Return the class or function that makes an optimizer, from its full name.

    Parameters
    ----------
    name : str
        As :class:`~adam_tutorial.libraries.Translation` gives it, such as
        ``"optax.adamw"``.

    Raises
    ------
    ValueError
        The name does not begin with one of ``LIBRARIES`` and a dot, or the module has
        nothing of that name.
    ImportError
        The library is not installed.

    Examples
    --------
    >>> find("torch.optim.Adam")
    <class 'torch.optim.adam.Adam'>
    """
    module, _, attribute = str(name).rpartition(".")
    if module.partition(".")[0] not in LIBRARIES:
        raise ValueError(
            "name must be a full one such as 'torch.optim.Adam', of one of"
            f" {LIBRARIES}, got {name!r}"
        )
    found = getattr(importlib.import_module(module), attribute, None)
    if found is None:
        raise ValueError(f"{module} has no {attribute!r}")
    make: Callable[..., Any] = found
    return make


def follow(
    library: Followed,
    make: str | Callable[..., Any],
    arguments: Mapping[str, Any],
    gradient: Gradient,
    start: ArrayLike,
    steps: int,
    *,
    eps: Callable[[int], float] | None = None,
) -> Float64Array:
    """Return every point that a library's optimizer visits.

    Parameters
    ----------
    library : {"torch", "adam_tutorial", "optax", "keras"}
        How the optimizer is driven. Keras must run on PyTorch: set the environment
        variable ``KERAS_BACKEND`` to ``torch`` before it is imported.
    make : str or function
        The optimizer or its full name.
    arguments : mapping
        Its arguments, under the library's own names.
    gradient : function
        From the point, shape (d,), and the step number, from 1, to the gradient there.
    start : array_like, shape (d,)
        The first point.
    steps : int
        How many steps to take.
    eps : function, optional
        From the step number to the eps of that step. Optax does not allow it.

    Returns
    -------
    ndarray, shape (steps + 1, d)

    Raises
    ------
    ValueError
        The library is unknown, ``steps`` is negative, ``eps`` is given for Optax, or
        Keras does not run on PyTorch.
    ImportError
        The library is not installed.

    Examples
    --------
    >>> adam = "torch.optim.Adam"
    >>> follow("torch", adam, {"lr": 0.1}, lambda x, t: 2 * x, [1.0], 2).round(4)
    array([[1.    ],
           [0.9   ],
           [0.8004]])
    """
    if library not in LIBRARIES:
        raise ValueError(f"library must be one of {sorted(LIBRARIES)}, got {library!r}")
    steps = as_count("steps", steps)
    if eps is not None and library == "optax":
        raise ValueError(
            "eps must be None for optax: it keeps the eps it was made with"
        )
    maker = find(make) if isinstance(make, str) else make
    first = as_float64("start", start)
    drive = {"optax": _optax, "keras": _keras}.get(library, _torch)
    return drive(maker, arguments, gradient, first, steps, eps)


def gap(path: ArrayLike, other: ArrayLike, lr: float = 1.0) -> Float64Array:
    """Return how far two paths are apart after each step, in learning rates.

    Parameters
    ----------
    path, other : array_like, shape (steps + 1, d)
        Points as :func:`follow` returns them.
    lr : float
        The learning rate: a gap of 1 is about one step of Adam.

    Returns
    -------
    ndarray, shape (steps + 1,)
        The largest distance in any coordinate.

    Raises
    ------
    ValueError
        The two have different shapes, or ``lr`` is not positive and finite.

    Examples
    --------
    >>> gap([[0.0, 0.0], [1.0, 3.0]], [[0.0, 0.0], [1.5, 3.1]], lr=0.1)
    array([0., 5.])
    """
    a, b = as_float64("path", path), as_float64("other", other)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(
            "path and other must be two tables of one shape, got"
            f" {a.shape} and {b.shape}"
        )
    check_positive("lr", lr)
    largest: Float64Array = np.abs(a - b).max(axis=1) / lr
    return largest


def _at(gradient: Gradient, point: Float64Array, t: int) -> Float64Array:
    """Return the gradient at a point, in memory of its own."""
    return as_gradient(gradient(point, t), point, "start").astype(np.float64)


def _torch(
    make: Callable[..., Any],
    arguments: Mapping[str, Any],
    gradient: Gradient,
    start: Float64Array,
    steps: int,
    eps: Callable[[int], float] | None,
) -> Float64Array:
    import torch

    theta = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = make([theta], **arguments)
    points = [start]
    for t in range(1, steps + 1):
        if eps is not None:
            for group in optimizer.param_groups:
                group["eps"] = eps(t)
        theta.grad = torch.from_numpy(_at(gradient, points[-1], t))
        optimizer.step()
        points.append(theta.detach().numpy().copy())
    return np.array(points)


def _optax(
    make: Callable[..., Any],
    arguments: Mapping[str, Any],
    gradient: Gradient,
    start: Float64Array,
    steps: int,
    _: object,
) -> Float64Array:
    jax, optax = importlib.import_module("jax"), importlib.import_module("optax")
    with jax.enable_x64(True):
        transformation = make(**arguments)
        theta = jax.numpy.asarray(start)
        state = transformation.init(theta)

        @jax.jit  # type: ignore[untyped-decorator]
        def step(g: Any, state: Any, theta: Any) -> tuple[Any, Any]:
            change, state = transformation.update(g, state, theta)
            return optax.apply_updates(theta, change), state

        points = [start]
        for t in range(1, steps + 1):
            g = _at(gradient, points[-1], t)
            theta, state = step(g, state, theta)
            points.append(np.asarray(theta))
    return np.array(points)


def _keras(
    make: Callable[..., Any],
    arguments: Mapping[str, Any],
    gradient: Gradient,
    start: Float64Array,
    steps: int,
    eps: Callable[[int], float] | None,
) -> Float64Array:
    import torch

    keras = importlib.import_module("keras")
    if keras.config.backend() != "torch":
        raise ValueError(
            f"Keras must run on PyTorch, but its backend is {keras.config.backend()!r}:"
            " set the environment variable KERAS_BACKEND to torch before importing it"
        )
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        with warnings.catch_warnings():
            # NumPy 2 warns about how Keras reads its own variables.
            warnings.filterwarnings(
                "ignore", "__array__ implementation", DeprecationWarning
            )
            theta = keras.Variable(start, dtype="float64")
            optimizer = make(**arguments)
            optimizer.build([theta])
            points = [start]
            for t in range(1, steps + 1):
                if eps is not None:
                    optimizer.epsilon = eps(t)
                g = _at(gradient, points[-1], t)
                optimizer.apply([torch.from_numpy(g)])
                points.append(theta.value.detach().numpy().copy())
    finally:
        keras.config.set_floatx(before)
    return np.array(points)
