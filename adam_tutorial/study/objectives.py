"""Functions with known minima and exact gradients, and sequences of losses, to watch a rule on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LinearLosses", "PeriodicLosses", "Quadratic", "RandomLosses", "Rosenbrock"]

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Quadratic:
    """A valley ``0.5 * x @ H @ x`` in two dimensions, turned by an angle. The minimum is at 0.

    Parameters
    ----------
    curvatures : tuple of float
        The two eigenvalues of ``H``; both positive.
    angle : float
        Angle in radians by which the axes of the valley are turned against the
        coordinates.

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
        return np.asarray(
            0.5 * np.einsum("...i,ij,...j->...", points, self.hessian, points)
        )

    def gradient(self, x: ArrayLike) -> Array:
        """Return the gradient at points of shape (..., 2), same shape."""
        return np.asarray(np.asarray(x, dtype=np.float64) @ self.hessian)


@dataclass(frozen=True)
class Rosenbrock:
    """Rosenbrock's bent valley ``(1 - x)^2 + b (y - x^2)^2``. The minimum is at (1, 1).

    References
    ----------
    Rosenbrock (1960), "An automatic method for finding the greatest or least value of a
    function".
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
        return np.stack(
            [-2 * (1 - first) - 4 * self.b * first * bend, 2 * self.b * bend], axis=-1
        )


@dataclass(frozen=True)
class LinearLosses(ABC):
    """Losses ``g_t * x`` on an interval, ``g_t`` either steep and rare or gentle and opposite.

    What :class:`PeriodicLosses` and :class:`RandomLosses` have in common.
    """

    steep: float
    gentle: float
    interval: tuple[float, float] = field(default=(-1.0, 1.0), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("steep", "gentle"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(
                    f"{name} must be positive and finite, got {getattr(self, name)!r}; "
                    "the sign of the gentle losses is built in"
                )
        if not self.interval[0] < self.interval[1]:
            raise ValueError(
                f"interval must be (lowest, highest), got {self.interval!r}"
            )

    @abstractmethod
    def gradients(self, steps: int) -> Array:
        """Return the slopes of the first losses, shape (steps,)."""

    @property
    @abstractmethod
    def mean_gradient(self) -> float:
        """The slope of the average loss."""

    def gradient(self, t: int) -> float:
        """Return the slope of loss number ``t``, counted from 1; it is the same everywhere."""
        if t < 1:
            raise ValueError(
                f"t must be at least 1 (the first loss is t = 1), got {t!r}"
            )
        return float(self.gradients(t)[-1])

    @property
    def optimum(self) -> float:
        """The end of the interval at which the average loss is lowest."""
        return self.interval[0] if self.mean_gradient > 0 else self.interval[1]

    def regret(self, points: ArrayLike) -> Array:
        """Return the regret after each loss.

        Parameters
        ----------
        points : array_like, shape (steps,)
            Where the losses 1, 2, ... were paid.

        Returns
        -------
        ndarray, shape (steps,)
            What was paid up to there, minus what the best single point, chosen
            afterwards, would have paid.

        Raises
        ------
        ValueError
            The points have not one dimension, or one is outside the interval.
        """
        x = np.asarray(points, dtype=np.float64)
        if x.ndim != 1:
            raise ValueError(f"points must have shape (steps,), got {x.shape}")
        low, high = self.interval
        if not np.all((low <= x) & (x <= high)):
            raise ValueError(f"points must be in the interval {self.interval!r}")
        g = self.gradients(len(x))
        total = np.cumsum(g)
        return np.asarray(np.cumsum(g * x) - np.minimum(low * total, high * total))


@dataclass(frozen=True)
class PeriodicLosses(LinearLosses):
    """Losses ``steep * x`` at the first step of every period, ``-gentle * x`` at the others.

    Parameters
    ----------
    steep, gentle : float
        Both positive.
    period : int
        From one steep loss to the next.
    interval : tuple of float
        Lowest and highest point allowed.

    Raises
    ------
    ValueError
        A slope is not positive, the period is less than 2, or the interval is empty.

    References
    ----------
    Reddi, Kale, Kumar (2018), Theorem 1 (3, 1, period 3) and section 5 (1010, 10,
    period 101).

    Examples
    --------
    >>> losses = PeriodicLosses(3.0, 1.0, 3)
    >>> losses.gradients(6).tolist()
    [3.0, -1.0, -1.0, 3.0, -1.0, -1.0]
    >>> losses.optimum
    -1.0
    >>> losses.regret([1.0, 1.0, 1.0]).tolist()
    [6.0, 4.0, 2.0]
    """

    steep: float = 3.0
    gentle: float = 1.0
    period: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period < 2:
            raise ValueError(f"period must be at least 2, got {self.period!r}")

    def gradients(self, steps: int) -> Array:
        """Return the slopes of the first losses, shape (steps,)."""
        g = np.full(steps, -float(self.gentle))
        g[:: self.period] = self.steep
        return g

    @property
    def mean_gradient(self) -> float:
        """The slope of the average loss over a period."""
        return (self.steep - (self.period - 1) * self.gentle) / self.period


@dataclass(frozen=True)
class RandomLosses(LinearLosses):
    """Losses ``steep * x`` with a small probability, ``-gentle * x`` otherwise, independently.

    Parameters
    ----------
    steep, gentle : float
        Both positive.
    probability : float
        Of a steep loss, between 0 and 1.
    seed : int
        Of the draws; the first losses of a longer sequence are the same.
    interval : tuple of float
        Lowest and highest point allowed.

    Raises
    ------
    ValueError
        A slope is not positive, the probability is not between 0 and 1, or the interval
        is empty.

    References
    ----------
    Reddi, Kale, Kumar (2018), section 5 (1010, 10, probability 0.01).

    Examples
    --------
    >>> losses = RandomLosses(1010.0, 10.0, 0.01)
    >>> round(losses.mean_gradient, 9)
    0.2
    """

    steep: float = 1010.0
    gentle: float = 10.0
    probability: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.probability < 1:
            raise ValueError(
                f"probability must be between 0 and 1, got {self.probability!r}"
            )

    def gradients(self, steps: int) -> Array:
        """Return the slopes of the first losses, shape (steps,)."""
        rare = np.random.default_rng(self.seed).random(steps) < self.probability
        return np.where(rare, float(self.steep), -float(self.gentle))

    @property
    def mean_gradient(self) -> float:
        """The slope of the expected loss."""
        return self.probability * self.steep - (1 - self.probability) * self.gentle
