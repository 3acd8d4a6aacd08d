"""What is remembered of a run. Its size does not grow with the number of steps."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

from adam_tutorial.doctor.roster import Hyperparameters

__all__ = ["Moment", "Record", "Sample", "Thinned", "Track", "median", "over"]

T = TypeVar("T")
RECENT = 1000
SPIKE = 10.0
"""A gradient is called a spike if its norm is so many times the median before it."""


class Thinned(Generic[T]):
    """A series of which evenly spaced members are kept, the first and last always.

    Parameters
    ----------
    limit : int
        How many are kept, at most.
    """

    def __init__(self, limit: int = 64) -> None:
        self.limit, self._every, self._count = limit, 1, 0
        self._kept: list[T] = []
        self._last: list[T] = []

    def add(self, item: T) -> None:
        """Append a member."""
        if self._count % self._every == 0:
            self._kept.append(item)
            self._last = []
        else:
            self._last = [item]
        self._count += 1
        if len(self._kept) >= self.limit:
            last = self._kept[-1]
            self._kept = self._kept[::2]
            self._every *= 2
            self._last = [] if self._kept[-1] is last else [last]

    def __iter__(self) -> Iterator[T]:
        return iter((*self._kept, *self._last))

    def __len__(self) -> int:
        return len(self._kept) + len(self._last)

    @property
    def seen(self) -> int:
        """How many there were."""
        return self._count

    @property
    def last(self) -> T | None:
        """The last member."""
        kept = self._last or self._kept
        return kept[-1] if kept else None


@dataclass(frozen=True, slots=True)
class Sample:
    """A parameter at one measured step; shares are of its elements."""

    step: int
    t: float
    lr: float
    weight: float
    update: float
    change: float
    longest: float
    below_eps: float
    dead: float
    still: float
    signal: float
    v: float
    decay: float
    gradient: float
    largest: float
    zeros: float
    drift: float


@dataclass(frozen=True, slots=True)
class Moment:
    """The run at one measured step."""

    step: int
    lrs: tuple[float, ...]
    ratio: float
    below_eps: float
    still: float
    largest: float
    norm: float
    scale: float


@dataclass
class Track:
    """One parameter over the run.

    Parameters
    ----------
    parameter : Tensor
    name : str
    group : int
    joined : int
        How many steps had been taken when it was first seen.
    """

    parameter: Tensor
    name: str
    group: int
    joined: int
    settings: Hyperparameters
    embedding: bool = False
    with_gradient: int = 0
    zero: int = 0
    norm: float = math.nan
    largest: tuple[float, int] = (0.0, 0)
    shares: tuple[float, float] = (math.inf, 0.0)
    bad: dict[str, tuple[int, str]] = field(default_factory=dict)
    samples: Thinned[Sample] = field(default_factory=Thinned)
    began_zero: bool = False
    counted: tuple[float, int, float] | None = None

    def hear(self, step: int, norm: float, total: float) -> None:
        """Take in the norm of a gradient."""
        self.with_gradient += 1
        self.norm = norm
        if not math.isfinite(norm):
            kind = "NaN" if math.isnan(norm) else "infinite"
            self.bad.setdefault("gradient", (step, kind))
        elif norm == 0:
            self.zero += 1
        elif norm > self.largest[0]:
            self.largest = (norm, step)
        if 0 < total < math.inf:
            low, high = self.shares
            share = norm / total
            self.shares = (min(low, share), max(high, share))


@dataclass
class Record:
    """Everything that is known about a run.

    Attributes
    ----------
    taken, measured, left_out : int
        Steps that were seen, that were measured, and that a GradScaler left out.
    recent, norms : deque, Thinned
        Norms of all gradients together: of the last thousand steps, and of the run.
    lost : dict
        What was lost of the state, and the sentence that says so.
    schedule : Thinned
        Step, the scheduler's count, its learning rates, those of the groups.
    unheld : dict
        Parameters that the optimizer does not have: in how many measured steps they
        had a gradient, their first value, and whether it has changed.
    summed : list of float
        Norm of the gradient over the sum of the norms that this rank has added.
    """

    start: int = 0
    taken: int = 0
    measured: int = 0
    left_out: int = 0
    closed: bool = False
    stopped: str = ""
    tracks: list[Track] = field(default_factory=list)
    groups: list[Hyperparameters] = field(default_factory=list)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    norms: Thinned[tuple[int, float]] = field(default_factory=lambda: Thinned(512))
    moments: Thinned[Moment] = field(default_factory=lambda: Thinned(256))
    spikes: int = 0
    largest_spike: tuple[float, int] = (0.0, 0)
    over_limit: int = 0
    limit: float | None = None
    lost: dict[str, tuple[str, dict[str, float]]] = field(default_factory=dict)
    schedule: Thinned[tuple[int, int, tuple[float, ...], tuple[float, ...]]] = field(
        default_factory=Thinned
    )
    foreign_schedule: str = ""
    default_lrs: tuple[float, float] | None = None
    unheld: dict[str, tuple[int, float, bool]] = field(default_factory=dict)
    summed: list[float] = field(default_factory=list)
    ranks: int = 1

    def hear(self, step: int, tracks: Sequence[Track], norms: Sequence[float]) -> None:
        """Take in the norms of the gradients of a step."""
        total = math.sqrt(sum(norm * norm for norm in norms))
        for track, norm in zip(tracks, norms, strict=True):
            track.hear(step, norm, total)
        if not math.isfinite(total):
            return
        if len(self.recent) >= 20:
            usual = self._usual(step)
            times = total / usual if usual else 0.0
            if times > SPIKE:
                self.spikes += 1
                self.largest_spike = max(self.largest_spike, (times, step))
        self.recent.append(total)
        self.norms.add((step, total))
        if self.limit is not None and total > self.limit:
            self.over_limit += 1

    _median: tuple[int, float] = (-1, 0.0)

    def _usual(self, step: int) -> float:
        # Sorting a hundred numbers at each step would be most of what is done there.
        at, usual = self._median
        if not 0 <= step - at < 20 or at < 0:
            latest = list(self.recent)[-100:]
            usual = statistics.median(latest)
            self._median = (step, usual)
        return usual


def median(values: Iterator[float] | Sequence[float]) -> float:
    """Return the median of the finite values, NaN if there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.median(finite) if finite else math.nan


def over(number: float, divisor: float) -> float:
    """Return a quotient, NaN where there is none."""
    return number / divisor if divisor else math.nan
