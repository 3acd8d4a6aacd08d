"""Gradient descent."""

from __future__ import annotations

from numpy.typing import ArrayLike

from adam_tutorial._types import Array
from adam_tutorial.reference.rule import as_float, rule

__all__ = ["gradient_descent"]


@rule
def gradient_descent(
    state: None, gradient: ArrayLike, *, lr: float = 1e-2
) -> tuple[None, Array]:
    """Step against the gradient, in proportion to its size.

    Parameters
    ----------
    state : None
        Gradient descent keeps no state.
    gradient : array_like
        Of any shape.
    lr : float
        Learning rate.

    Returns
    -------
    state, update : None, ndarray

    Raises
    ------
    ValueError
        ``lr`` is negative or not finite.

    References
    ----------
    Cauchy (1847).

    Examples
    --------
    >>> _, update = gradient_descent(None, [3.0, -4.0], lr=0.1)
    >>> update.round(4).tolist()
    [-0.3, 0.4]
    """
    g = as_float(gradient)
    return state, -lr * g
