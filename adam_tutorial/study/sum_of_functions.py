"""SFO, the quasi-Newton method on minibatches that the Adam paper compares Adam with.

Sohl-Dickstein, Poole and Ganguli, "Fast large-scale optimization by unifying stochastic
gradient and quasi-Newton methods" (2014). Written for the reproduction of the
comparison. Its constants are those of an early version of the authors' program, without
the limit on the length of a step that they added later.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from adam_tutorial._arguments import check_at_least
from adam_tutorial._types import Float64Array

__all__ = ["SumOfFunctions"]

Evaluate = Callable[[Tensor, int], tuple[float, Tensor]]

# The curvature that the first two functions are given: so large that the first step is
# safe, and the first measured one replaces it.
FIRST_CURVATURE = 1e6
# An eigenvalue below the largest one, divided by this, is taken for an error.
LARGEST_CONDITION = 1e8
TINY = 1e-12
# Vectors of length 1 that have less than this of a direction do not have it.
SAME = 1e-7


class SumOfFunctions:
    r"""Minimise a sum of functions with a quadratic model of each.

    Of every function :math:`f_i`, usually the loss on one minibatch, it keeps the place
    :math:`\theta_i` of its last evaluation, value and gradient there, and an
    approximate Hessian :math:`H_i` from the last changes of its gradient (BFGS). It
    goes to the minimum of the sum of the quadratic models, evaluates there the one
    function whose place is farthest away, and replaces that function's model.

    All this happens in the subspace of the places and gradients it knows, which has at
    most :math:`3N + 3` dimensions for N functions. Their directions are what it needs
    memory for: as many numbers for each parameter.

    Parameters
    ----------
    evaluate : function
        Takes a vector of shape (n,) and the number of a function, and returns the
        function's value and its gradient of shape (n,). Each function must be
        deterministic.
    start : Tensor, shape (n,)
        Where to begin. Directions are kept in its type, all else in float64.
    functions : int
        How many there are, N.
    memory : int
        How many changes of a function's gradient its Hessian is made from.
    seed : int
        Of the order in which functions are used for the first time.

    Attributes
    ----------
    theta : Tensor, shape (n,)
        The present point.
    evaluations : int
        How often ``evaluate`` was called.

    Raises
    ------
    ValueError
        Fewer than two functions, or a memory below 1.

    Examples
    --------
    >>> import torch
    >>> centers = torch.tensor([[0.0, 2.0], [4.0, 0.0], [2.0, 1.0]])
    >>> def evaluate(theta, i):
    ...     return (theta - centers[i]).square().sum().item(), 2 * (theta - centers[i])
    >>> sfo = SumOfFunctions(evaluate, torch.zeros(2), 3)
    >>> for _ in range(12):
    ...     sfo.step()
    >>> [round(x, 4) for x in sfo.theta.tolist()]
    [2.0, 1.0]
    """

    theta: Tensor
    evaluations: int

    def __init__(
        self,
        evaluate: Evaluate,
        start: Tensor,
        functions: int,
        *,
        memory: int = 10,
        seed: int = 0,
    ) -> None:
        check_at_least("functions", functions, 2)
        check_at_least("memory", memory, 1)
        self.theta, self.evaluations = start.clone(), 0
        self._start, self._call = start.clone(), evaluate
        self._random = np.random.default_rng(seed)
        # At most 2N + 1 directions are in use after a collapse, N + 2 more have room.
        limit = min(3 * functions + 3, start.numel())
        self._directions = start.new_empty(limit, start.numel())
        self._rank = 0
        # In coordinates of the subspace, relative to the start.
        self._here, self._before = np.zeros(limit), np.zeros(limit)
        self._points = np.zeros((functions, limit))
        self._slopes = np.zeros((functions, limit))
        self._values = np.full(functions, np.nan)
        self._counts = np.zeros(functions, dtype=int)
        self._changes: list[deque[tuple[Float64Array, Float64Array]]] = [
            deque(maxlen=memory) for _ in range(functions)
        ]
        # A function's Hessian is a multiple of the identity plus a matrix.
        self._floors = np.zeros(functions)
        self._curved = np.zeros((functions, limit, limit))
        self._active = np.zeros(functions, dtype=bool)
        self._active[self._random.permutation(functions)[:2]] = True
        self._floors[self._active] = FIRST_CURVATURE
        self._scale, self._expected_gain = 1.0, math.inf
        self._steps_since_growth = 0

    @property
    def numbers(self) -> int:
        """How many numbers it keeps between steps, but for the few of each function."""
        kept = (self._points, self._slopes, self._curved)
        changes = 2 * sum(map(len, self._changes)) * len(self._here)
        return self._directions.numel() + sum(one.size for one in kept) + changes

    def step(self) -> None:
        """Evaluate one function, twice or more if that went wrong, and move."""
        if len(self._here) - 2 < self._rank and len(self._here) < len(self._start):
            self._collapse()
        index = self._choice()
        value, gradient = self._evaluate(self.theta, index)
        other, rejected = None, False
        if self._suspect(index, value, gradient):
            old_value, old_gradient = self._evaluate(self._full(self._before), index)
            rejected = not _finite(value, gradient) or old_value < value
            if rejected:
                other = self._milder(index, value, gradient, old_value)
                self._here = self._before
                value, gradient = old_value, old_gradient
            else:
                other = self._before, old_gradient
        if rejected:
            self._scale /= 2
        else:
            self._scale += (1 - self._scale) / len(self._counts)
        slope = self._coordinates(gradient)
        if self._counts[index]:
            self._note_change(index, self._here, slope)
        self._points[index], self._slopes[index] = self._here, slope
        if other is not None:
            point, its_gradient = other
            self._note_change(index, point, self._coordinates(its_gradient))
        self._values[index] = value
        self._counts[index] += 1
        self._fit_hessian(index)
        self._move(grow=rejected)

    def _evaluate(self, theta: Tensor, index: int) -> tuple[float, Tensor]:
        self.evaluations += 1
        return self._call(theta, index)

    # The subspace

    def _full(self, coordinates: Float64Array) -> Tensor:
        some = torch.from_numpy(coordinates[: self._rank]).to(self._start.dtype)
        return torch.addmv(self._start, self._directions[: self._rank].T, some)

    def _coordinates(self, vector: Tensor) -> Float64Array:
        """Return a vector's coordinates; what is new about it is a new direction."""
        found = np.zeros(len(self._here))
        known, rest = self._directions[: self._rank], vector.clone()
        for _ in range(2):  # the second round takes out what rounding left
            part = known @ rest
            rest -= known.T @ part
            found[: self._rank] += part.double().numpy()
        left = torch.linalg.vector_norm(rest).item()
        rounding = 100 * torch.finfo(vector.dtype).eps
        whole = torch.linalg.vector_norm(vector).item()
        if left > rounding * whole and self._rank < len(found):
            self._directions[self._rank] = rest / left
            found[self._rank] = left
            self._rank += 1
        return found

    def _collapse(self) -> None:
        """Keep the directions of the last points and gradients, and a few others."""
        points, slopes = self._points[self._active], self._slopes[self._active]
        known = np.concatenate((points, slopes, self._here[None], self._before[None]))
        kept = _axes(known[:, : self._rank], np.zeros((self._rank, 0)))
        # What room is left goes to the changes that the Hessians were made from.
        pairs = [vector for one in self._changes for pair in one for vector in pair]
        room = 2 * len(self._counts) + 2 - kept.shape[1]
        if pairs and room > 0:
            others = _axes(np.array(pairs)[:, : self._rank], kept)
            kept = np.hstack((kept, others[:, :room]))
        turn = np.zeros((len(self._here), len(self._here)))
        turn[: kept.shape[1], : self._rank] = kept.T
        turned = torch.from_numpy(kept.T.copy()).to(self._directions.dtype)
        self._directions[: len(turned)] = turned @ self._directions[: self._rank]
        self._rank = len(turned)
        self._here, self._before = turn @ self._here, turn @ self._before
        self._points, self._slopes = self._points @ turn.T, self._slopes @ turn.T
        self._curved = turn @ self._curved @ turn.T
        for one in self._changes:
            for place, (moved, changed) in enumerate(one):
                one[place] = turn @ moved, turn @ changed

    # One function's model

    def _predicted_change(self, index: int) -> float:
        moved = self._here - self._points[index]
        curved = self._floors[index] * moved + self._curved[index] @ moved
        return float(self._slopes[index] @ moved + moved @ curved / 2)

    def _note_change(
        self, index: int, point: Float64Array, slope: Float64Array
    ) -> None:
        moved, changed = point - self._points[index], slope - self._slopes[index]
        if min(np.linalg.norm(moved), np.linalg.norm(changed)) > TINY:
            self._changes[index].append((moved, changed))

    def _fit_hessian(self, index: int) -> None:
        if not self._changes[index]:
            # As curved as the others are in the mean.
            middle = np.median(np.linalg.eigvalsh(self._hessian()))
            self._floors[index] = middle / self._active.sum()
            self._curved[index] = 0
            return
        moves, changes = (
            np.array(some) for some in zip(*self._changes[index], strict=True)
        )
        axes, _ = np.linalg.qr(np.concatenate((moves, changes)).T)
        moves, changes = moves @ axes, changes @ axes
        # The smallest curvature that was seen: of the matrix that turns moves into
        # changes, which has as many singular values above zero as there are moves.
        values = np.linalg.svd(changes.T @ np.linalg.pinv(moves.T), compute_uv=False)
        seen = values[: len(moves)]
        floor = seen[-1] if seen[-1] > 0 else self._floors[self._active].max()
        floor = max(floor, seen[0] / LARGEST_CONDITION)
        hessian = floor * np.eye(axes.shape[1])
        for moved, changed in zip(moves, changes, strict=True):
            image, along = hessian @ moved, changed @ moved
            if along and moved @ image:
                hessian += np.outer(changed, changed) / along
                hessian -= np.outer(image, image) / (moved @ image)
        values, vectors = np.linalg.eigh(hessian)
        wrong = values < np.abs(values).max() / LARGEST_CONDITION
        positive = values[values > 0]
        values[wrong] = np.median(positive) if len(positive) else floor
        self._floors[index] = floor
        self._curved[index] = axes @ (vectors * (values - floor) @ vectors.T) @ axes.T

    def _suspect(self, index: int, value: float, gradient: Tensor) -> bool:
        if not _finite(value, gradient):
            return True
        seen = self._values[self._counts > 0]
        if not self._counts[index]:
            return bool(len(seen) and value > seen.mean() + 3 * seen.std())
        rise = value - self._values[index]
        excess = rise - self._predicted_change(index)
        return bool(rise > 0 and excess > self._expected_gain)

    def _milder(
        self, index: int, value: float, gradient: Tensor, old_value: float
    ) -> tuple[Float64Array, Tensor] | None:
        """Return a failed point, nearer if the function exploded, and its gradient."""
        expected = abs(self._predicted_change(index))
        expected = expected if TINY < expected < math.inf else TINY
        point = self._here
        for _ in range(10):
            if value - old_value < 10 * expected:
                break
            point = 0.99 * self._before + 0.01 * point
            value, gradient = self._evaluate(self._full(point), index)
        return (point, gradient) if _finite(value, gradient) else None

    # The sum

    def _hessian(self) -> Float64Array:
        floor = self._floors[self._active].sum()
        total: Float64Array = self._curved.sum(axis=0) + floor * np.eye(len(self._here))
        return total

    def _choice(self) -> int:
        young = np.flatnonzero(self._active & (self._counts < 2))
        if len(young):
            return int(self._random.choice(young))
        moved = self._here - self._points
        distances = ((moved @ self._hessian()) * moved).sum(axis=1)
        distances[~self._active] = -1
        if distances.max() < TINY and not self._active.all():
            return self._activated()
        return int(distances.argmax())

    def _activated(self) -> int:
        index = int(self._random.choice(np.flatnonzero(~self._active)))
        self._active[index] = True
        return index

    def _move(self, *, grow: bool) -> None:
        hessian = self._hessian()
        moved = self._here - self._points
        gradient = self._slopes.sum(axis=0) + self._floors @ moved
        gradient += np.einsum("nij,nj->i", self._curved, moved)
        change = -self._scale * np.linalg.solve(hessian, gradient)
        self._before, self._here = self._here, self._here + change
        self.theta = self._full(self._here)
        self._expected_gain = float(change @ hessian @ change / 2)
        # More functions are used when those in use agree on little but their noise,
        # after a failure, and after a round without growth.
        slopes = self._slopes[self._active]
        count = len(slopes)
        mean = slopes.mean(axis=0)
        spread = slopes - mean
        power = mean @ np.linalg.solve(hessian, mean)
        noise = (spread.T * np.linalg.solve(hessian, spread.T)).sum()
        grow |= noise / count / (count - 1) >= power
        grow |= self._steps_since_growth > count
        self._steps_since_growth += 1
        tried = self._counts[self._active].min() >= 2
        if grow and tried and not self._active.all():
            self._steps_since_growth = 0
            self._activated()


def _axes(vectors: Float64Array, known: Float64Array) -> Float64Array:
    """Return orthonormal columns for what rows have beside the columns that are known.

    The most common direction comes first; what may be rounding is left out.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = (vectors / np.maximum(lengths, np.finfo(float).tiny)).T
    for _ in range(2):  # the second round takes out what rounding left
        units = units - known @ (known.T @ units)
    axes, sizes, _ = np.linalg.svd(units, full_matrices=False)
    found: Float64Array = axes[:, sizes > SAME]
    return found


def _finite(value: float, gradient: Tensor) -> bool:
    return math.isfinite(value) and bool(gradient.isfinite().all())
