"""Eigenvalues of a Hessian that is too large to store, from its products alone.

``product`` is a function that multiplies a vector by the symmetric matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import check_at_least
from adam_tutorial._types import Float64Array

__all__ = ["lanczos", "power_iteration"]

Product = Callable[[Float64Array], Float64Array]


def power_iteration(
    product: Product, start: ArrayLike, *, iterations: int = 30
) -> tuple[float, Float64Array]:
    """Return the eigenvalue of largest absolute value, and its eigenvector.

    Parameters
    ----------
    product : function
        Multiplies a vector of shape (n,) by the matrix.
    start : array_like, shape (n,)
        Where to begin: at random, or at the eigenvector of a similar matrix.
    iterations : int
        Number of products. Each shrinks the error of the eigenvalue by the square of
        the ratio of the second eigenvalue to the first.

    Returns
    -------
    value : float
        May be negative.
    vector : ndarray, shape (n,)
        Of length 1.

    Raises
    ------
    ValueError
        ``iterations`` is less than 1, or ``start`` is zero, not finite, or not a
        vector.

    Examples
    --------
    >>> value, vector = power_iteration(lambda v: v * [3.0, 1.0], [1.0, 1.0])
    >>> round(value, 6), vector.round(6).tolist()
    (3.0, [1.0, 0.0])
    """
    vector = _unit(start, iterations)
    value = 0.0
    for _ in range(iterations):
        image = product(vector)
        value = float(vector @ image)
        length = np.linalg.norm(image)
        if length == 0:  # an eigenvector of the eigenvalue 0
            break
        vector = image / length
    return value, vector


def lanczos(
    product: Product, start: ArrayLike, *, iterations: int = 60
) -> Float64Array:
    """Return estimates of the extreme eigenvalues, the largest first.

    Parameters
    ----------
    product : function
        Multiplies a vector of shape (n,) by the matrix.
    start : array_like, shape (n,)
        Where to begin, usually at random.
    iterations : int
        Number of products, at most n.

    Returns
    -------
    ndarray, shape (iterations,) or less
        The eigenvalues of the matrix A restricted to the space that ``start``,
        ``A start``, ``A A start`` ... span. Those at both ends are close to eigenvalues
        of A, those in the middle need not be. An eigenvalue that occurs several times
        appears once.

    Raises
    ------
    ValueError
        ``iterations`` is less than 1, or ``start`` is zero, not finite, or not a
        vector.

    References
    ----------
    Lanczos (1950), "An iteration method for the solution of the eigenvalue problem of
    linear differential and integral operators".

    Examples
    --------
    >>> values = lanczos(lambda v: v * [3.0, 2.0, -1.0], [1.0, 1.0, 1.0], iterations=3)
    >>> values.round(6).tolist()
    [3.0, 2.0, -1.0]
    """
    basis = [_unit(start, iterations)]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(iterations):
        image = np.asarray(product(basis[-1]), dtype=np.float64)
        scale = float(np.linalg.norm(image))
        diagonal.append(float(basis[-1] @ image))
        # Twice: after one pass rounding errors remain, and eigenvalues appear again.
        for _ in range(2):
            for known in basis:
                image = image - (known @ image) * known
        length = float(np.linalg.norm(image))
        if length <= 1e-12 * scale:  # the product adds no direction
            break
        beside.append(length)
        basis.append(image / length)
    beside = beside[: len(diagonal) - 1]
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    return np.asarray(np.linalg.eigvalsh(matrix)[::-1])


def _unit(start: ArrayLike, iterations: int) -> Float64Array:
    check_at_least("iterations", iterations, 1)
    vector = np.asarray(start, dtype=np.float64)
    length = np.linalg.norm(vector)
    if vector.ndim != 1 or not 0 < length < np.inf:
        raise ValueError(
            f"start must be a finite vector other than 0, got shape {vector.shape},"
            f" length {length}"
        )
    return np.asarray(vector / length)
