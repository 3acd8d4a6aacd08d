"""Follow a rule step by step: its points, its updates, its states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import as_count, as_gradient, check_between
from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, takes_theta

__all__ = ["Walk", "trajectory", "walk"]

Rule = Callable[..., tuple[Any, Array]]


class Walk(NamedTuple):
    """What :func:`walk` returns.

    ``points`` has the shape ``(steps + 1, *theta.shape)``, the starting point first;
    ``updates`` has the shape ``(steps, *theta.shape)``; ``states`` is the list of the
    states after each step.
    """

    points: Array
    updates: Array
    states: list[Any]


def walk(
    rule: Rule,
    gradient: Callable[[Array], ArrayLike] | ArrayLike,
    theta: ArrayLike = 0.0,
    steps: int | None = None,
    *,
    box: tuple[ArrayLike, ArrayLike] | None = None,
    state: Any = None,
    **hyperparameters: Any,
) -> Walk:
    """Follow a rule from a starting point and keep all that it returns.

    Parameters
    ----------
    rule : function
        One of this package's rules, or one of your own. A rule that takes ``theta`` is
        given the current point.
    gradient : function or array_like
        Takes parameters and returns their gradient; or the gradients themselves, an
        array of shape ``(n, *theta.shape)``.
    theta : array_like
        Starting point. If gradients are given, a number fills an array of their shape.
    steps : int, optional
        Number of steps. If gradients are given, the default is one step for each.
    box : pair of array_like, optional
        Lowest and highest allowed parameters. After each step a point outside is moved
        to the nearest point inside. In a box, this is also the projection in the norm
        that Adam's denominator defines, which the regret theorems use: that norm only
        weighs the coordinates, so each coordinate is clipped on its own.
    state : optional
        The state to start from: None, or what the rule returned.
    **hyperparameters
        Passed on to the rule.

    Returns
    -------
    Walk

    Raises
    ------
    ValueError
        ``steps`` is negative or more than the gradients that are given, ``theta`` does
        not have their shape, the gradient does not have the shape of ``theta``, the box
        is empty, or the rule refuses an argument.
    TypeError
        ``steps`` is missing although ``gradient`` is a function, ``gradient`` is a
        single number, or something is not a number.

    Examples
    --------
    Two steps of Adam on ``x**2``, from 1:

    >>> from adam_tutorial.reference import adam
    >>> points, updates, states = walk(adam, lambda x: 2 * x, 1.0, 2, lr=0.1)
    >>> points.round(3).tolist(), updates.round(3).tolist()
    ([1.0, 0.9, 0.8], [-0.1, -0.1])
    >>> [float(state.m.round(3)) for state in states]
    [0.2, 0.36]

    The updates for given gradients:

    >>> walk(adam, [5.0, 5.0, -5.0], lr=0.1).updates.round(4).tolist()
    [-0.1, -0.1, -0.0262]
    """
    seen = _follow(rule, gradient, theta, steps, box, state, hyperparameters)
    points, updates, states = (list(column) for column in zip(*seen, strict=True))
    # The start has no update, and its state is the one that was given.
    return Walk(np.stack(points), np.stack(updates)[1:], states[1:])


def trajectory(
    rule: Rule,
    gradient: Callable[[Array], ArrayLike],
    theta: ArrayLike,
    steps: int,
    *,
    box: tuple[ArrayLike, ArrayLike] | None = None,
    **hyperparameters: Any,
) -> Array:
    """Follow a rule from a starting point and return all points.

    Parameters
    ----------
    rule, gradient, theta, steps, box, **hyperparameters
        As in :func:`walk`, whose ``points`` are returned.

    Returns
    -------
    ndarray, shape (steps + 1, *shape of theta)
        The starting point first.

    Raises
    ------
    ValueError, TypeError
        As in :func:`walk`.

    Examples
    --------
    Three steps of Adam on ``x**2``, from 1:

    >>> from adam_tutorial.reference import adam
    >>> trajectory(adam, lambda x: 2 * x, [1.0], 3, lr=0.1).round(3).ravel().tolist()
    [1.0, 0.9, 0.8, 0.702]
    """
    # Not walk(...).points: the states would take twice the memory of the points.
    seen = _follow(rule, gradient, theta, steps, box, None, hyperparameters)
    return np.stack([point for point, _, _ in seen])


def _follow(
    rule: Rule,
    gradient: Callable[[Array], ArrayLike] | ArrayLike,
    theta: ArrayLike,
    steps: int | None,
    box: tuple[ArrayLike, ArrayLike] | None,
    state: Any,
    hyperparameters: dict[str, Any],
) -> Iterator[tuple[Array, Array, Any]]:
    """Yield point, update and state at the start (with a zero update) and per step."""
    point = as_float(theta, "theta")
    if not callable(gradient):
        gradients = as_float(gradient, "gradient")
        if gradients.ndim == 0:
            raise TypeError("gradient must be a function, or one gradient per step")
        steps = len(gradients) if steps is None else steps
        check_between("steps", steps, 0, len(gradients))
        shape = gradients.shape[1:]
        if point.ndim == 0:
            point = np.full(shape, point, dtype=gradients.dtype)
        if point.shape != shape:
            raise ValueError(
                f"theta has the shape {point.shape}, but a gradient has {shape}"
            )
    elif steps is None:
        raise TypeError("steps must be given where gradient is a function")
    steps = as_count("steps", steps)
    if box is not None and not np.all(np.asarray(box[0]) <= np.asarray(box[1])):
        raise ValueError(f"box must be (lowest, highest), got {box!r}")
    needs_theta = takes_theta(rule)
    yield point, np.zeros_like(point), state
    for t in range(steps):
        g = (
            as_float(as_gradient(gradient(point), point, "theta"))
            if callable(gradient)
            else gradients[t]
        )
        now: dict[str, Any] = {"theta": point} if needs_theta else {}
        state, update = rule(state, g, **now, **hyperparameters)
        moved = point + update
        point = moved if box is None else np.clip(moved, *box)
        yield point, update, state
