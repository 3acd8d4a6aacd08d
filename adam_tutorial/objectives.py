"""Functions with known minima and exact gradients, on which an optimizer can be watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Quadratic", "Rosenbrock"]

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Quadratic:
    """A valley ``0.5 * x @ H @ x`` in two dimensions, turned by an angle. The minimum is at 0.

    Parameters
    ----------
    curvatures : tuple of float
        The two eigenvalues of ``H``; both positive.
    angle : float
        Angle in radians by which the axes of the valley are turned against the coordinates.

    Raises
    ------
    ValueError
        A curvature is not positive.
    """

    curvatures: tuple[float, float] = (1.0, 20.0)
    angle: float = 0.0
    rotation: Array = field(init=False, repr=False, compare=False)
    hessian: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not min(self.curvatures) > 0:
            raise ValueError(f"curvatures must be positive, got {self.curvatures!r}")
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        rotation = np.array([[cos, -sin], [sin, cos]])
        hessian = rotation @ np.diag(self.curvatures) @ rotation.T
        # The dataclass is frozen; these two are derived once, here.
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "hessian", hessian)

    def value(self, x: ArrayLike) -> Array:
        """Return the height at points of shape (..., 2), shape (...)."""
        points = np.asarray(x, dtype=np.float64)
        return np.asarray(0.5 * np.einsum("...i,ij,...j->...", points, self.hessian, points))

    def gradient(self, x: ArrayLike) -> Array:
        """Return the gradient at points of shape (..., 2), same shape."""
        return np.asarray(np.asarray(x, dtype=np.float64) @ self.hessian)


@dataclass(frozen=True)
class Rosenbrock:
    """Rosenbrock's bent valley ``(1 - x)^2 + b (y - x^2)^2``. The minimum is at (1, 1).

    References
    ----------
    Rosenbrock (1960), "An automatic method for finding the greatest or least value of a function".
    """

    b: float = 100.0

    def value(self, x: ArrayLike) -> Array:
        """Return the height at points of shape (..., 2), shape (...)."""
        first, second = np.moveaxis(np.asarray(x, dtype=np.float64), -1, 0)
        return np.asarray((1 - first) ** 2 + self.b * (second - first**2) ** 2)

    def gradient(self, x: ArrayLike) -> Array:
        """Return the gradient at points of shape (..., 2), same shape."""
        first, second = np.moveaxis(np.asarray(x, dtype=np.float64), -1, 0)
        bend = second - first**2
        return np.stack([-2 * (1 - first) - 4 * self.b * first * bend, 2 * self.b * bend], axis=-1)
