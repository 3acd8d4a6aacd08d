"""Softmax regression and dense networks in NumPy, with hand-derived gradients.

Parameters are a list ``[W1, b1, W2, b2, ...]``: each ``W`` has shape (inputs, outputs),
each ``b`` shape (outputs,). One pair is softmax regression; more are a network with
ReLU between its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adam_tutorial._arguments import as_count, check_between, check_in
from adam_tutorial._types import Float64Array
from adam_tutorial.reference.walk import Rule

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


class Step(NamedTuple):
    """One step of :func:`train`.

    ``loss`` is that of the step's examples before the update and ``gradient`` its
    gradient, as one vector; ``parameters`` are those after the update, as a list.
    """

    loss: float
    gradient: Float64Array
    parameters: list[Float64Array]


def softmax(z: Float64Array) -> Float64Array:
    """Turn rows of logits into rows of probabilities.

    Parameters
    ----------
    z : ndarray, shape (n, classes)

    Returns
    -------
    ndarray, shape (n, classes)
        Positive; each row adds up to 1.
    """
    # Subtracting the largest logit changes nothing but keeps exp from overflowing.
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def cross_entropy(z: Float64Array, y: NDArray[np.int64]) -> float:
    """Return the mean of ``-log softmax(z)[y]`` over the rows, in nats.

    Parameters
    ----------
    z : ndarray, shape (n, classes)
        Logits.
    y : ndarray of int, shape (n,)
        Right classes.

    Raises
    ------
    ValueError
        ``y`` has another shape, or a class that is not there.
    """
    _check_labels(y, z.shape)
    shifted = z - z.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_sum - shifted[np.arange(len(y)), y]))


def expected_cross_entropy(
    z: Float64Array, y: NDArray[np.int64], wrong_labels: float
) -> float:
    """Return the mean cross-entropy if a share of the labels is replaced at random.

    Parameters
    ----------
    z : ndarray, shape (n, classes)
        Logits.
    y : ndarray of int, shape (n,)
        Right classes.
    wrong_labels : float
        Share of the labels, in [0, 1], that are replaced by a class drawn at random,
        which may be the right one.

    Raises
    ------
    ValueError
        ``wrong_labels`` is outside [0, 1], or ``y`` does not fit.
    """
    check_in("[0, 1]", "wrong_labels", wrong_labels)
    any_class = np.mean(
        [cross_entropy(z, np.full(len(y), k)) for k in range(z.shape[1])]
    )
    return float((1 - wrong_labels) * cross_entropy(z, y) + wrong_labels * any_class)


def initialise(
    sizes: Sequence[int], generator: np.random.Generator, *, scale: float | None = None
) -> list[Float64Array]:
    """Draw weights at random; biases are zero.

    Parameters
    ----------
    sizes : sequence of int
        Widths of the input, of the hidden layers and of the output.
    generator : numpy.random.Generator
        Source of the draws.
    scale : float, optional
        Standard deviation of every weight. The default is ``sqrt(2 / inputs)`` for each
        layer, which keeps the size of the signal from layer to layer.

    References
    ----------
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers", section 2.2.
    """
    parameters: list[Float64Array] = []
    for inputs, outputs in pairwise(sizes):
        deviation = np.sqrt(2 / inputs) if scale is None else scale
        parameters += [
            deviation * generator.standard_normal((inputs, outputs)),
            np.zeros(outputs),
        ]
    return parameters


def logits(parameters: Sequence[Float64Array], x: Float64Array) -> Float64Array:
    """Return logits of shape (n, classes) for inputs of shape (n, inputs).

    Raises
    ------
    ValueError
        ``parameters`` is not a list of pairs of weights and biases.
    """
    return _activations(parameters, x)[-1]


def loss_and_gradient(
    parameters: Sequence[Float64Array], x: Float64Array, y: NDArray[np.int64]
) -> tuple[float, list[Float64Array]]:
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

    Raises
    ------
    ValueError
        ``parameters`` is not a list of pairs, or ``y`` does not fit.
    """
    activations = _activations(parameters, x)
    z = activations[-1]
    _check_labels(y, z.shape)
    # d loss / d z: softmax minus one-hot, divided by n because the loss is a mean.
    error = softmax(z)
    error[np.arange(len(y)), y] -= 1
    error /= len(y)

    gradient: list[Float64Array] = []
    for layer in range(len(parameters) - 2, -1, -2):
        a = activations[layer // 2]
        gradient = [a.T @ error, error.sum(axis=0), *gradient]
        if layer > 0:
            error = (error @ parameters[layer].T) * (a > 0)
    return cross_entropy(z, y), gradient


def hessian_vector_product(
    parameters: Sequence[Float64Array],
    direction: Sequence[Float64Array],
    x: Float64Array,
    y: NDArray[np.int64],
) -> list[Float64Array]:
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
        The derivative of the gradient along the direction. It is exact, unlike the
        difference of two gradients, which is wrong where a ReLU switches between the
        two points.

    Raises
    ------
    ValueError
        ``parameters`` is not a list of pairs, or ``y`` does not fit.

    References
    ----------
    Pearlmutter (1994), "Fast Exact Multiplication by the Hessian".
    """
    activations = _activations(parameters, x)
    # "moved_q" is the derivative of q along the direction. First the forward pass:
    moved_a, moved_z = [np.zeros_like(x)], np.zeros(0)
    for layer in range(0, len(parameters), 2):
        a, w = activations[layer // 2], parameters[layer]
        moved_z = moved_a[-1] @ w + a @ direction[layer] + direction[layer + 1]
        moved_a.append(moved_z * (activations[layer // 2 + 1] > 0))
    _check_labels(y, moved_z.shape)
    # Then the backward pass, as for the gradient.
    p = softmax(activations[-1])
    error = p.copy()
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    moved_error = p * (moved_z - (p * moved_z).sum(axis=1, keepdims=True)) / len(y)
    result: list[Float64Array] = []
    for layer in range(len(parameters) - 2, -1, -2):
        a, moved = activations[layer // 2], moved_a[layer // 2]
        result = [moved.T @ error + a.T @ moved_error, moved_error.sum(axis=0), *result]
        if layer > 0:
            moved_error = moved_error @ parameters[layer].T + error @ direction[layer].T
            moved_error = moved_error * (a > 0)
            error = (error @ parameters[layer].T) * (a > 0)
    return result


def train(
    parameters: Sequence[Float64Array],
    rule: Rule,
    x: Float64Array,
    y: NDArray[np.int64],
    *,
    steps: int,
    batch_size: int | None = None,
    seed: int = 0,
    wrong_labels: float = 0.0,
    **settings: Any,
) -> Iterator[Step]:
    """Train a network with a rule of ``reference``, step by step.

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
        Examples in a step; by default all of them. Each pass over the examples has a
        new random order, and an incomplete last batch is left out.
    seed : int
        Seed of the order and of the wrong labels.
    wrong_labels : float
        Share of the labels to replace by a random class, drawn again for every step.
    **settings
        Passed on to the rule.

    Yields
    ------
    Step
        Loss, gradient, and parameters after the update. The run ends early at the
        first loss that is not finite.

    Raises
    ------
    ValueError
        ``steps`` is negative, ``batch_size`` is not between 1 and n, or
        ``wrong_labels`` is outside [0, 1].
    """
    check_in("[0, 1]", "wrong_labels", wrong_labels)
    size = len(y) if batch_size is None else batch_size
    steps = as_count("steps", steps)
    check_between("batch_size", size, 1, len(y))
    return _steps(parameters, rule, x, y, steps, size, seed, wrong_labels, settings)


def _steps(
    parameters: Sequence[Float64Array],
    rule: Rule,
    x: Float64Array,
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
        # If the learning rate is too large, the run overflows: a result, no mistake.
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradients = loss_and_gradient(pieces, inputs, labels)
            gradient = flatten(gradients)
            state, update = rule(state, gradient, **settings)
            theta = theta + update
        yield Step(loss, gradient, unflatten(theta, parameters))
        if not np.isfinite(loss):
            return


def accuracy(
    parameters: Sequence[Float64Array], x: Float64Array, y: NDArray[np.int64]
) -> float:
    """Return the share of rows whose largest logit is that of the right class.

    Raises
    ------
    ValueError
        ``parameters`` is not a list of pairs, or ``y`` does not fit.
    """
    z = logits(parameters, x)
    _check_labels(y, z.shape)
    return float(np.mean(z.argmax(axis=1) == y))


def finite_difference(
    f: Callable[[Float64Array], float], theta: Float64Array, *, delta: float = 1e-5
) -> Float64Array:
    """Estimate the gradient of ``f`` by central differences, one coordinate at a time.

    Parameters
    ----------
    f : function
        Takes an array of the shape of ``theta``, returns a number.
    theta : ndarray
        Where to estimate the gradient.
    delta : float
        Half the distance between the two points. The error is about ``delta**2`` times
        the third derivative, plus rounding of about ``1e-16 * |f| / delta``.

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


def flatten(parameters: Sequence[Float64Array]) -> Float64Array:
    """Join all parameters into one vector, in order."""
    return np.concatenate([parameter.ravel() for parameter in parameters])


def unflatten(theta: Float64Array, like: Sequence[Float64Array]) -> list[Float64Array]:
    """Cut a vector into arrays of the shapes of ``like``; inverts :func:`flatten`.

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


def _check_labels(y: NDArray[np.int64], shape: tuple[int, ...]) -> None:
    """Raise ValueError for labels with which NumPy would index or compare wrongly.

    A class of -1 would be the last one, and labels of shape (n, 1) would be compared
    with every row.
    """
    rows, classes = shape
    labels = np.asarray(y)
    if labels.shape != (rows,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"y must be {rows} integers, one for each row of x, got {labels.dtype} of"
            f" shape {labels.shape}"
        )
    if rows and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"y must be classes from 0 to {classes - 1}, got {labels.min()} to"
            f" {labels.max()}"
        )


def _activations(
    parameters: Sequence[Float64Array], x: Float64Array
) -> list[Float64Array]:
    """Return the input of every layer, and the logits last."""
    if not parameters or len(parameters) % 2:
        raise ValueError(
            "parameters must be [W1, b1, W2, b2, ...], got a list of"
            f" {len(parameters)} arrays"
        )
    activations = [x]
    for layer in range(0, len(parameters), 2):
        z = activations[-1] @ parameters[layer] + parameters[layer + 1]
        last = layer == len(parameters) - 2
        activations.append(z if last else np.maximum(z, 0))
    return activations
