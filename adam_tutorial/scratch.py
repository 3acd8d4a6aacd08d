"""Softmax regression and dense networks in NumPy, with their gradients worked out by hand.

Parameters are a list ``[W1, b1, W2, b2, ...]``: each ``W`` has shape (inputs, outputs), each ``b``
shape (outputs,). With one pair it is softmax regression, with more it is a network with ReLU
between the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "accuracy",
    "cross_entropy",
    "finite_difference",
    "flatten",
    "initialise",
    "logits",
    "loss_and_gradient",
    "softmax",
    "unflatten",
]

Array = NDArray[np.float64]


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
        Standard deviation of every weight. By default ``sqrt(2 / inputs)`` of the layer, which
        keeps the size of the signal the same from layer to layer.

    References
    ----------
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers", section 2.2.
    """
    parameters: list[Array] = []
    for inputs, outputs in pairwise(sizes):
        deviation = np.sqrt(2 / inputs) if scale is None else scale
        parameters += [deviation * generator.standard_normal((inputs, outputs)), np.zeros(outputs)]
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
    delta = softmax(z)
    delta[np.arange(len(y)), y] -= 1
    delta /= len(y)

    gradient: list[Array] = []
    for layer in range(len(parameters) - 2, -1, -2):
        a = activations[layer // 2]
        gradient = [a.T @ delta, delta.sum(axis=0), *gradient]
        if layer > 0:
            delta = (delta @ parameters[layer].T) * (a > 0)
    return cross_entropy(z, y), gradient


def accuracy(parameters: Sequence[Array], x: Array, y: NDArray[np.int64]) -> float:
    """Return the share of rows whose largest logit is that of the right class."""
    return float(np.mean(logits(parameters, x).argmax(axis=1) == y))


def finite_difference(f: Callable[[Array], float], theta: Array, *, h: float = 1e-5) -> Array:
    """Estimate the gradient of ``f`` by central differences, one coordinate at a time.

    Parameters
    ----------
    f : function
        Takes an array of the shape of ``theta``, returns a number.
    theta : ndarray
        Where the gradient is wanted.
    h : float
        Half the distance of the two points. The error is about ``h**2`` of the third derivative
        plus rounding of about ``1e-16 * |f| / h``.

    Returns
    -------
    ndarray, same shape as ``theta``
    """
    theta = np.asarray(theta, dtype=np.float64)
    estimate = np.empty_like(theta)
    for index in np.ndindex(theta.shape):
        nudge = np.zeros_like(theta)
        nudge[index] = h
        estimate[index] = (f(theta + nudge) - f(theta - nudge)) / (2 * h)
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
