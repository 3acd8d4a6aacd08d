"""Eigenvalues of a Hessian that is too large to write down: all we need are its products.

``product`` is a function that multiplies a vector by the symmetric matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["lanczos", "power_iteration"]

Array = NDArray[np.float64]


def power_iteration(
    product: Callable[[Array], Array], start: ArrayLike, *, iterations: int = 30
) -> tuple[float, Array]:
    """Return the eigenvalue that is largest in size, and its eigenvector.

    Parameters
    ----------
    product : function
        Multiplies a vector of shape (n,) by the matrix.
    start : array_like, shape (n,)
        Where to begin: at random, or at the eigenvector of a matrix near by.
    iterations : int
        Number of products. The error of the eigenvalue shrinks by the square of the
        ratio of the second eigenvalue to the first with each.

    Returns
    -------
    value : float
        May be negative.
    vector : ndarray, shape (n,)
        Of length 1.

    Raises
    ------
    ValueError
        ``iterations`` is less than 1, or ``start`` is zero or not a vector.

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
    product: Callable[[Array], Array], start: ArrayLike, *, iterations: int = 60
) -> Array:
    """Return estimates of the extreme eigenvalues, the largest first.

    Parameters
    ----------
    product : function
        Multiplies a vector of shape (n,) by the matrix.
    start : array_like, shape (n,)
        Where to begin: at random.
    iterations : int
        Number of products, at most n.

    Returns
    -------
    ndarray, shape (iterations,) or less
        The eigenvalues of the matrix as it acts in the space of
        ``start, A start, A A start ...``. Those at both ends are close to eigenvalues
        of the matrix, those in the middle need not be. Of an eigenvalue that occurs
        several times only one is seen.

    Raises
    ------
    ValueError
        ``iterations`` is less than 1, or ``start`` is zero or not a vector.

    References
    ----------
    Lanczos (1950), "An iteration method for the solution of the eigenvalue problem of
    linear differential and integral operators".

    Examples
    --------
    >>> lanczos(lambda v: v * [3.0, 2.0, -1.0], [1.0, 1.0, 1.0], iterations=3).round(6).tolist()
    [3.0, 2.0, -1.0]
    """
    basis = [_unit(start, iterations)]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(iterations):
        image = np.asarray(product(basis[-1]), dtype=np.float64)
        scale = float(np.linalg.norm(image))
        diagonal.append(float(basis[-1] @ image))
        # Twice: once leaves so much rounding that eigenvalues would appear several
        # times.
        for _ in range(2):
            for known in basis:
                image = image - (known @ image) * known
        length = float(np.linalg.norm(image))
        if length <= 1e-12 * scale:  # the space is complete
            break
        beside.append(length)
        basis.append(image / length)
    beside = beside[: len(diagonal) - 1]
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    return np.asarray(np.linalg.eigvalsh(matrix)[::-1])


def _unit(start: ArrayLike, iterations: int) -> Array:
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations!r}")
    vector = np.asarray(start, dtype=np.float64)
    length = np.linalg.norm(vector)
    if vector.ndim != 1 or not 0 < length < np.inf:
        raise ValueError(
            f"start must be a finite vector other than 0, got shape {vector.shape},"
            f" length {length}"
        )
    return np.asarray(vector / length)
