"""Functions and sequences of losses to try a rule on, with exact gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adam_tutorial._arguments import (
    as_vector,
    check_at_least,
    check_in,
    check_positive,
    check_step,
)
from adam_tutorial._types import Float64Array

__all__ = [
    "ImbalancedClasses",
    "LinearLosses",
    "PeriodicLosses",
    "Quadratic",
    "RandomLosses",
    "Rosenbrock",
]


@dataclass(frozen=True)
class Quadratic:
    """A valley ``0.5 * x @ H @ x`` in two dimensions, turned by an angle; minimum at 0.

    Parameters
    ----------
    curvatures : tuple of float
        The two eigenvalues of ``H``; both positive.
    angle : float
        Angle between the axes of the valley and the coordinates, in radians.

    Raises
    ------
    ValueError
        A curvature is not positive.
    """

    curvatures: tuple[float, float] = (1.0, 20.0)
    angle: float = 0.0
    rotation: Float64Array = field(init=False, repr=False, compare=False)
    hessian: Float64Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not min(self.curvatures) > 0:
            raise ValueError(f"curvatures must be positive, got {self.curvatures!r}")
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        rotation = np.array([[cos, -sin], [sin, cos]])
        hessian = rotation @ np.diag(self.curvatures) @ rotation.T
        # Derived once; a frozen dataclass can be set only like this.
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "hessian", hessian)

    def value(self, x: ArrayLike) -> Float64Array:
        """Return the height at points of shape (..., 2), shape (...)."""
        points = np.asarray(x, dtype=np.float64)
        return np.asarray(
            0.5 * np.einsum("...i,ij,...j->...", points, self.hessian, points)
        )

    def gradient(self, x: ArrayLike) -> Float64Array:
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

    def value(self, x: ArrayLike) -> Float64Array:
        """Return the height at points of shape (..., 2), shape (...)."""
        first, second = np.moveaxis(np.asarray(x, dtype=np.float64), -1, 0)
        return np.asarray((1 - first) ** 2 + self.b * (second - first**2) ** 2)

    def gradient(self, x: ArrayLike) -> Float64Array:
        """Return the gradient at points of shape (..., 2), same shape."""
        first, second = np.moveaxis(np.asarray(x, dtype=np.float64), -1, 0)
        bend = second - first**2
        return np.stack(
            [-2 * (1 - first) - 4 * self.b * first * bend, 2 * self.b * bend], axis=-1
        )


@dataclass(frozen=True)
class LinearLosses(ABC):
    """Losses ``g_t * x`` on an interval: few are steep, the others gentle and opposite.

    What :class:`PeriodicLosses` and :class:`RandomLosses` have in common.
    """

    steep: float
    gentle: float
    interval: tuple[float, float] = field(default=(-1.0, 1.0), kw_only=True)

    def __post_init__(self) -> None:
        # Both positive: the sign of the gentle losses is built in.
        check_positive("steep", self.steep)
        check_positive("gentle", self.gentle)
        if not self.interval[0] < self.interval[1]:
            raise ValueError(
                f"interval must be (lowest, highest), got {self.interval!r}"
            )

    @abstractmethod
    def gradients(self, steps: int) -> Float64Array:
        """Return the slopes of the first losses, shape (steps,)."""

    @property
    @abstractmethod
    def mean_gradient(self) -> float:
        """The slope of the average loss."""

    def gradient(self, t: int) -> float:
        """Return the slope of loss ``t``, counted from 1; it does not depend on x."""
        check_step(t)
        return float(self.gradients(t)[-1])

    @property
    def optimum(self) -> float:
        """The end of the interval at which the average loss is lowest."""
        return self.interval[0] if self.mean_gradient > 0 else self.interval[1]

    def regret(self, points: ArrayLike) -> Float64Array:
        """Return the regret after each loss.

        Parameters
        ----------
        points : array_like, shape (steps,)
            Where the losses 1, 2, ... were incurred.

        Returns
        -------
        ndarray, shape (steps,)
            The sum of the losses so far, minus that of the best single point, chosen in
            hindsight.

        Raises
        ------
        ValueError
            The points do not have one dimension, or one is outside the interval.
        """
        x = as_vector("points", points)
        low, high = self.interval
        if not np.all((low <= x) & (x <= high)):
            raise ValueError(f"points must be in the interval {self.interval!r}")
        g = self.gradients(len(x))
        total = np.cumsum(g)
        return np.asarray(np.cumsum(g * x) - np.minimum(low * total, high * total))


@dataclass(frozen=True)
class PeriodicLosses(LinearLosses):
    """Losses ``steep * x`` at the first step of a period, ``-gentle * x`` at others.

    Parameters
    ----------
    steep, gentle : float
        Both positive.
    period : int
        Number of steps from one steep loss to the next.
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
        check_at_least("period", self.period, 2)

    def gradients(self, steps: int) -> Float64Array:
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
    """Independent losses: ``steep * x`` with a probability, ``-gentle * x`` otherwise.

    Parameters
    ----------
    steep, gentle : float
        Both positive.
    probability : float
        Probability of a steep loss, in (0, 1).
    seed : int
        Seed of the draws. A longer sequence begins with the same losses.
    interval : tuple of float
        Lowest and highest point allowed.

    Raises
    ------
    ValueError
        A slope is not positive, the probability is not in (0, 1), or the interval is
        empty.

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
        check_in("(0, 1)", "probability", self.probability)

    def gradients(self, steps: int) -> Float64Array:
        """Return the slopes of the first losses, shape (steps,)."""
        rare = np.random.default_rng(self.seed).random(steps) < self.probability
        return np.where(rare, float(self.steep), -float(self.gentle))

    @property
    def mean_gradient(self) -> float:
        """The slope of the expected loss."""
        return self.probability * self.steep - (1 - self.probability) * self.gentle


@dataclass(frozen=True)
class ImbalancedClasses:
    """A linear softmax classifier on random inputs whose classes are not equally large.

    There are ``groups`` groups of classes: group ``g`` has ``2**g`` classes with
    ``2**(groups - g)`` inputs each. So all groups have the same number of inputs, and
    the size of a class falls in steps with one over its rank. The inputs are uniform on
    [0, 1] and have nothing to do with their labels; there are more coordinates than
    inputs, so that every label can be learned.

    Parameters
    ----------
    groups : int
        At least 2.
    balanced : bool
        Give all classes the same number of inputs (up to one) instead.
    seed : int
        Of the inputs.

    Raises
    ------
    ValueError
        ``groups`` is less than 2.

    References
    ----------
    Kunstner, Milligan, Yadav, Schmidt, Bietti (2024), "Heavy-tailed class imbalance and
    why Adam outperforms gradient descent on language models"; the numbers of classes,
    inputs and coordinates are those of the authors' program, for ``groups = 11``.
    """

    groups: int
    balanced: bool = False
    seed: int = 0
    inputs: Float64Array = field(init=False, repr=False, compare=False)
    labels: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_at_least("groups", self.groups, 2)
        count, size = self.groups, 2**self.groups
        labels = np.repeat(np.arange(size - 1), self._sizes())
        rng = np.random.default_rng(self.seed)
        inputs = rng.uniform(size=(count * size, (count + 1) * size))
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "inputs", inputs)

    def _sizes(self) -> NDArray[np.int64]:
        classes = np.arange(2**self.groups - 1)
        if self.balanced:
            whole, rest = divmod(self.groups * 2**self.groups, len(classes))
            sizes = np.where(classes < rest, whole + 1, whole)
        else:
            sizes = 2 ** (self.groups - self.group(classes))
        return np.asarray(sizes, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the weights: coordinates of an input, classes."""
        return self.inputs.shape[1], 2**self.groups - 1

    def group(self, label: ArrayLike) -> NDArray[np.int64]:
        """Return the groups of classes, which are numbered from 0, largest first."""
        found: NDArray[np.int64] = np.log2(np.asarray(label) + 1).astype(np.int64)
        return found

    def losses_and_gradient(
        self, weights: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return the cross-entropy of each input, and the gradient of their mean.

        Parameters
        ----------
        weights : ndarray, shape (coordinates, classes)

        Returns
        -------
        losses : ndarray, shape (inputs,)
        gradient : ndarray, shape (coordinates, classes)
        """
        rows = np.arange(len(self.labels))
        logits = self.inputs @ weights
        logits -= logits.max(axis=1, keepdims=True)
        right = logits[rows, self.labels].copy()
        probabilities = np.exp(logits, out=logits)
        total = probabilities.sum(axis=1)
        probabilities /= total[:, None]
        probabilities[rows, self.labels] -= 1
        return np.log(total) - right, self.inputs.T @ probabilities / len(rows)
