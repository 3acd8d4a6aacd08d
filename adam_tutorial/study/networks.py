"""Softmax regression and dense networks in NumPy, with their gradients worked out by hand.

Parameters are a list ``[W1, b1, W2, b2, ...]``: each ``W`` has shape (inputs, outputs),
each ``b`` shape (outputs,). With one pair it is softmax regression, with more it is a
network with ReLU between the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Step",
    "accuracy",
    "cross_entropy",
    "expected_cross_entropy",
    "finite_difference",
    "flatten",
    "hessian_vector_product",
    "initialise",
    "logits",
    "loss_and_gradient",
    "softmax",
    "train",
    "unflatten",
]

Array = NDArray[np.float64]


class Step(NamedTuple):
    """One step of :func:`train`: its loss, the gradient, and the parameters after the update.

    ``loss`` is that of the step's examples before the update, ``gradient`` its gradient in one
    vector, ``parameters`` a list of arrays as the network takes it.
    """

    loss: float
    gradient: Array
    parameters: list[Array]


def softmax(z: Array) -> Array:
    """Turn rows of logits into rows of probabilities.

    Parameters
    ----------
    z : ndarray, shape (n, classes)

    Returns
    -------
    ndarray, shape (n, classes)
        Positive, each row adds up to 1.
    """
    # Subtracting the largest logit changes nothing but keeps exp from overflowing.
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def cross_entropy(z: Array, y: NDArray[np.int64]) -> float:
    """Return the mean of ``-log softmax(z)[y]`` over the rows, in nats.

    Parameters
    ----------
    z : ndarray, shape (n, classes)
        Logits.
    y : ndarray of int, shape (n,)
        Right classes.
    """
    shifted = z - z.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_sum - shifted[np.arange(len(y)), y]))


def expected_cross_entropy(
    z: Array, y: NDArray[np.int64], wrong_labels: float
) -> float:
    """Return the mean cross-entropy over labels of which a share is replaced at random.

    Parameters
    ----------
    z : ndarray, shape (n, classes)
        Logits.
    y : ndarray of int, shape (n,)
        Right classes.
    wrong_labels : float
        Share of the labels, in [0, 1], that a class drawn at random takes the place of.
        The class may be the right one.

    Raises
    ------
    ValueError
        ``wrong_labels`` is outside [0, 1].
    """
    _check_share(wrong_labels)
    any_class = np.mean(
        [cross_entropy(z, np.full(len(y), k)) for k in range(z.shape[1])]
    )
    return float((1 - wrong_labels) * cross_entropy(z, y) + wrong_labels * any_class)


def initialise(
    sizes: Sequence[int], generator: np.random.Generator, *, scale: float | None = None
) -> list[Array]:
    """Draw weights at random; biases are zero.

    Parameters
    ----------
    sizes : sequence of int
        Widths of the input, the hidden layers and the output.
    generator : numpy.random.Generator
        Source of the draws.
    scale : float, optional
        Standard deviation of every weight. By default ``sqrt(2 / inputs)`` of the
        layer, which keeps the size of the signal the same from layer to layer.

    References
    ----------
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers", section 2.2.
    """
    parameters: list[Array] = []
    for inputs, outputs in pairwise(sizes):
        deviation = np.sqrt(2 / inputs) if scale is None else scale
        parameters += [
            deviation * generator.standard_normal((inputs, outputs)),
            np.zeros(outputs),
        ]
    return parameters


def logits(parameters: Sequence[Array], x: Array) -> Array:
    """Return the output of the network for inputs of shape (n, inputs), shape (n, classes)."""
    return _activations(parameters, x)[-1]


def loss_and_gradient(
    parameters: Sequence[Array], x: Array, y: NDArray[np.int64]
) -> tuple[float, list[Array]]:
    """Return the cross-entropy of the network and its gradient for every parameter.

    Parameters
    ----------
    parameters : sequence of ndarray
        ``[W1, b1, W2, b2, ...]``.
    x : ndarray, shape (n, inputs)
    y : ndarray of int, shape (n,)

    Returns
    -------
    loss : float
    gradient : list of ndarray
        Shapes as in ``parameters``.
    """
    activations = _activations(parameters, x)
    z = activations[-1]
    # d loss / d z: softmax minus one-hot, divided by n because the loss is a mean.
    error = softmax(z)
    error[np.arange(len(y)), y] -= 1
    error /= len(y)

    gradient: list[Array] = []
    for layer in range(len(parameters) - 2, -1, -2):
        a = activations[layer // 2]
        gradient = [a.T @ error, error.sum(axis=0), *gradient]
        if layer > 0:
            error = (error @ parameters[layer].T) * (a > 0)
    return cross_entropy(z, y), gradient


def hessian_vector_product(
    parameters: Sequence[Array],
    direction: Sequence[Array],
    x: Array,
    y: NDArray[np.int64],
) -> list[Array]:
    """Return the Hessian of the loss times a vector, without the Hessian.

    Parameters
    ----------
    parameters, direction : sequence of ndarray
        ``[W1, b1, W2, b2, ...]`` and the vector, in the same shapes.
    x : ndarray, shape (n, inputs)
    y : ndarray of int, shape (n,)

    Returns
    -------
    list of ndarray
        How the gradient changes as the parameters move in the direction, per unit of
        movement. Exact, unlike the difference of two gradients, which is wrong wherever
        a ReLU switches between the two points.

    References
    ----------
    Pearlmutter (1994), "Fast Exact Multiplication by the Hessian".
    """
    activations = _activations(parameters, x)
    # "moved_q" is the derivative of q along the direction. First forwards, layer by
    # layer:
    moved_a, moved_z = [np.zeros_like(x)], np.zeros(0)
    for layer in range(0, len(parameters), 2):
        a, w = activations[layer // 2], parameters[layer]
        moved_z = moved_a[-1] @ w + a @ direction[layer] + direction[layer + 1]
        moved_a.append(moved_z * (activations[layer // 2 + 1] > 0))
    # Then backwards, as the gradient goes.
    p = softmax(activations[-1])
    error = p.copy()
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    moved_error = p * (moved_z - (p * moved_z).sum(axis=1, keepdims=True)) / len(y)
    result: list[Array] = []
    for layer in range(len(parameters) - 2, -1, -2):
        a, moved = activations[layer // 2], moved_a[layer // 2]
        result = [moved.T @ error + a.T @ moved_error, moved_error.sum(axis=0), *result]
        if layer > 0:
            moved_error = moved_error @ parameters[layer].T + error @ direction[layer].T
            moved_error = moved_error * (a > 0)
            error = (error @ parameters[layer].T) * (a > 0)
    return result


def train(
    parameters: Sequence[Array],
    rule: Callable[..., tuple[Any, NDArray[np.floating[Any]]]],
    x: Array,
    y: NDArray[np.int64],
    *,
    steps: int,
    batch_size: int | None = None,
    seed: int = 0,
    wrong_labels: float = 0.0,
    **settings: Any,
) -> Iterator[Step]:
    """Train a network with a rule of ``reference``, one step at a time.

    Parameters
    ----------
    parameters : sequence of ndarray
        Where to start.
    rule : function
        Takes a state, a gradient and ``settings``, returns the new state and the
        update.
    x : ndarray, shape (n, inputs)
    y : ndarray of int, shape (n,)
    steps : int
        Number of steps.
    batch_size : int, optional
        Examples in a step; all of them if left out. Every pass over the examples has a
        new random order, and a last incomplete batch is left out.
    seed : int
        Seed of the order and of the wrong labels.
    wrong_labels : float
        Share of the labels that is replaced by a random class, anew in every step.
    **settings
        Passed on to the rule.

    Yields
    ------
    Step
        Loss, gradient, and parameters after the update. The run ends early with the
        first loss that is not finite.

    Raises
    ------
    ValueError
        ``steps`` is negative, ``batch_size`` is not between 1 and n, or ``wrong_labels`` is not
        between 0 and 1.
    """
    _check_share(wrong_labels)
    size = len(y) if batch_size is None else batch_size
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps!r}")
    if not 1 <= size <= len(y):
        raise ValueError(
            f"batch_size must be between 1 and {len(y)}, got {batch_size!r}"
        )
    return _steps(parameters, rule, x, y, steps, size, seed, wrong_labels, settings)


def _steps(
    parameters: Sequence[Array],
    rule: Callable[..., tuple[Any, NDArray[np.floating[Any]]]],
    x: Array,
    y: NDArray[np.int64],
    steps: int,
    size: int,
    seed: int,
    wrong_labels: float,
    settings: dict[str, Any],
) -> Iterator[Step]:
    generator = np.random.default_rng(seed)
    theta, state = flatten(parameters), None
    order = np.arange(0)
    for _ in range(steps):
        if size < len(y):
            if len(order) < size:
                order = generator.permutation(len(y))
            batch, order = order[:size], order[size:]
            inputs, labels = x[batch], y[batch]
        else:  # all of them: no copy, and no order to draw
            inputs, labels = x, y
        pieces = unflatten(theta, parameters)
        if wrong_labels:
            classes = len(pieces[-1])
            wrong = generator.random(size) < wrong_labels
            labels = np.where(wrong, generator.integers(0, classes, size), labels)
        # A run whose learning rate is too large overflows; that is a result, not a
        # mistake.
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradients = loss_and_gradient(pieces, inputs, labels)
            gradient = flatten(gradients)
            state, update = rule(state, gradient, **settings)
            theta = theta + update
        yield Step(loss, gradient, unflatten(theta, parameters))
        if not np.isfinite(loss):
            return


def _check_share(wrong_labels: float) -> None:
    if not 0 <= wrong_labels <= 1:
        raise ValueError(f"wrong_labels must be in [0, 1], got {wrong_labels!r}")


def accuracy(parameters: Sequence[Array], x: Array, y: NDArray[np.int64]) -> float:
    """Return the share of rows whose largest logit is that of the right class."""
    return float(np.mean(logits(parameters, x).argmax(axis=1) == y))


def finite_difference(
    f: Callable[[Array], float], theta: Array, *, delta: float = 1e-5
) -> Array:
    """Estimate the gradient of ``f`` by central differences, one coordinate at a time.

    Parameters
    ----------
    f : function
        Takes an array of the shape of ``theta``, returns a number.
    theta : ndarray
        Where the gradient is wanted.
    delta : float
        Half the distance of the two points. The error is about ``delta**2`` of the
        third derivative plus rounding of about ``1e-16 * |f| / delta``.

    Returns
    -------
    ndarray, same shape as ``theta``
    """
    theta = np.asarray(theta, dtype=np.float64)
    estimate = np.empty_like(theta)
    for index in np.ndindex(theta.shape):
        nudge = np.zeros_like(theta)
        nudge[index] = delta
        estimate[index] = (f(theta + nudge) - f(theta - nudge)) / (2 * delta)
    return estimate


def flatten(parameters: Sequence[Array]) -> Array:
    """Join all parameters in one vector, in order."""
    return np.concatenate([parameter.ravel() for parameter in parameters])


def unflatten(theta: Array, like: Sequence[Array]) -> list[Array]:
    """Cut a vector into arrays of the shapes of ``like``: the inverse of :func:`flatten`.

    Raises
    ------
    ValueError
        The length does not fit.
    """
    needed = sum(parameter.size for parameter in like)
    if theta.shape != (needed,):
        raise ValueError(f"theta must have shape ({needed},), got {theta.shape}")
    ends = np.cumsum([parameter.size for parameter in like])[:-1]
    pieces = np.split(theta, ends)
    return [piece.reshape(p.shape) for piece, p in zip(pieces, like, strict=True)]


def _activations(parameters: Sequence[Array], x: Array) -> list[Array]:
    """Return the input of every layer, and the logits last."""
    activations = [x]
    for layer in range(0, len(parameters), 2):
        z = activations[-1] @ parameters[layer] + parameters[layer + 1]
        last = layer == len(parameters) - 2
        activations.append(z if last else np.maximum(z, 0))
    return activations
