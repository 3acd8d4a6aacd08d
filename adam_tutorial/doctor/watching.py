"""Watch an optimizer from its hooks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial._arguments import as_count
from adam_tutorial.doctor.findings import FINDINGS
from adam_tutorial.doctor.history import Record, Track
from adam_tutorial.doctor.listening import Listener
from adam_tutorial.doctor.losses import compare_counts, look_at_first_step
from adam_tutorial.doctor.numbers import Before, before
from adam_tutorial.doctor.ranks import Contributions
from adam_tutorial.doctor.report import Report, report_of
from adam_tutorial.doctor.roll import call_roll
from adam_tutorial.doctor.roster import check_can_be_watched, outside
from adam_tutorial.doctor.samples import (
    look_for_bad_numbers,
    moment_of,
    read_all,
    sample_of,
)
from adam_tutorial.doctor.surroundings import (
    look_at_schedule,
    look_at_unheld,
    steps_of,
)

__all__ = ["Doctor", "watch"]

FIRST_STEPS = 10


def watch(
    optimizer: Optimizer,
    model: nn.Module | None = None,
    *,
    every: int = 50,
    scheduler: Any = None,
    scaler: Any = None,
    start: int = 0,
    meant: Collection[str] = (),
) -> Doctor:
    """Watch what an Adam does in a training run, without changing it.

    Parameters
    ----------
    optimizer : Optimizer
        An Adam, AdamW, NAdam or RAdam of :mod:`torch.optim` or of
        :mod:`adam_tutorial.optim`.
    model : Module, optional
        Gives the parameters their names, and shows those that the optimizer does not
        have.
    every : int
        Each of the first ten steps is measured, and then every so many. Norms of
        gradients are taken at every step.
    scheduler : LRScheduler, optional
        To see whether its learning rates reach the optimizer.
    scaler : GradScaler, optional
        To see whether gradients are clipped before they are unscaled.
    start : int
        How many steps the run had taken when it was resumed.
    meant : collection of str
        Names of findings that are meant, and should not be reported.

    Returns
    -------
    Doctor

    Raises
    ------
    TypeError
        It is not one of these optimizers.
    ValueError
        ``every`` is less than 1, ``start`` is negative, or a name in ``meant`` is
        unknown.

    Notes
    -----
    A measured step needs memory for a copy of the parameters; of one with more than
    ``2**18`` elements, about so many are looked at. On a GPU, only measured steps wait
    for the device. Steps inside of a compiled or captured graph are not seen.

    Examples
    --------
    >>> from adam_tutorial.doctor import watch
    >>> theta = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = torch.optim.Adam([theta], lr=0.1)
    >>> with watch(optimizer) as doctor:
    ...     for _ in range(20):
    ...         optimizer.zero_grad()
    ...         theta.square().sum().backward()
    ...         optimizer.step()
    >>> print(doctor.report().verdict)
    nothing found in 20 steps
    """
    check_can_be_watched(optimizer)
    as_count("every", every, 1)
    as_count("start", start)
    for name in meant:
        if name not in FINDINGS:
            raise ValueError(
                f"meant must have names of findings, got {name!r}; they are"
                f" {sorted(FINDINGS)}"
            )
    return Doctor(optimizer, model, every, scheduler, scaler, start, frozenset(meant))


class Doctor:
    """Watches one optimizer until it is closed, as :func:`watch` makes it."""

    def __init__(
        self,
        optimizer: Optimizer,
        model: nn.Module | None,
        every: int,
        scheduler: Any,
        scaler: Any,
        start: int,
        meant: frozenset[str],
    ) -> None:
        self.optimizer, self.model = optimizer, model
        self._every, self._meant = every, meant
        self._scheduler, self._scaler = scheduler, scaler
        self._record = Record(start=start)
        self._listener = Listener(optimizer, self._record)
        self._tracks: dict[int, Track] = {}
        self._outside: dict[str, Tensor] = {}
        self._signature: tuple[int, ...] = ()
        self._before: dict[int, Before] = {}
        self._measuring = False
        self._resumed = True
        self._age, self._fell = 0.0, False
        self._scheduled = 0
        self._contributions = Contributions()
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
            optimizer.register_load_state_dict_post_hook(self._loaded),
        ]

    def report(self) -> Report:
        """Return what was seen until now.

        Returns
        -------
        Report
        """
        self._listener.flush()
        return report_of(self._record, self._meant)

    def close(self) -> None:
        """Take all hooks away. The report stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._contributions.close()
        self._listener.flush()
        self._before = {}
        self._record.closed = True

    def __enter__(self) -> Doctor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _loaded(self, _optimizer: Optimizer) -> None:
        self._resumed = True
        self._age = 0.0
        for track in self._tracks.values():
            track.counted = None

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not self._record.stopped and not _graph_is_recorded():
            with torch.no_grad(), self._stopping_at_errors():
                self._prepare(optimizer, _has_closure(args, kwargs))

    def _after_step(
        self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not self._record.stopped and not _graph_is_recorded():
            with torch.no_grad(), self._stopping_at_errors():
                self._look(_has_closure(args, kwargs))

    @contextmanager
    def _stopping_at_errors(self) -> Iterator[None]:
        # A run must not end because the one who watches it stumbles.
        try:
            yield
        except Exception as error:
            self._record.stopped = f"{type(error).__name__}: {error}"

    def _prepare(self, optimizer: Optimizer, has_closure: bool) -> None:
        signature = tuple(len(group["params"]) for group in optimizer.param_groups)
        step = self._record.taken + 1
        self._measuring = self._is_due(step) or self._resumed or self._fell
        if self._measuring or signature != self._signature:
            self._signature = signature
            self._call_roll()
        if self._measuring:
            self._before = {
                key: before(track.parameter) for key, track in self._tracks.items()
            }
        if not has_closure:
            self._listener.listen(step, self._tracks.values(), self._before)

    def _is_due(self, step: int) -> bool:
        return step <= FIRST_STEPS or step % self._every == 0

    def _look(self, has_closure: bool) -> None:
        step = self._record.taken + 1
        if has_closure:
            self._listener.listen(step, self._tracks.values(), self._before)
        self._record.taken = step
        if self._measuring:
            self._listener.flush()
            self._measure(step)
            self._before = {}
            self._measuring = self._fell = False
        self._look_at_age()
        self._contributions.listening = self._is_due(step + 1)

    def _look_at_age(self) -> None:
        """See whether t has fallen, and have the next step measured then."""
        for track in self._tracks.values():
            t = self.optimizer.state.get(track.parameter, {}).get("step")
            if isinstance(t, Tensor) and t.device.type == "cpu":
                age = float(t)
                self._fell, self._age = age < self._age, age
            return

    def _call_roll(self) -> None:
        """Bring the list of parameters up to date with the optimizer's groups."""
        optimizer, record = self.optimizer, self._record
        held = call_roll(optimizer, self.model, record, self._tracks)
        if held.keys() != self._tracks.keys():
            parameters = [track.parameter for track in held.values()]
            self._contributions.follow(parameters, record)
        self._tracks = held
        self._outside = outside(optimizer, self.model)
        if self._scheduler is not None:
            if not record.taken:
                self._scheduled = steps_of(self._scheduler) or 0
            look_at_schedule(record, optimizer, self._scheduler)

    def _measure(self, step: int) -> None:
        readings = read_all(
            self.optimizer, self._tracks, self._before, first=self._resumed
        )
        usable = [
            (track, numbers)
            for track, numbers in readings
            if math.isfinite(track.norm) or not math.isfinite(numbers["change"])
        ]
        if not usable:
            return
        record = self._record
        record.measured += 1
        if self._resumed:
            look_at_first_step(record, usable, self._scheduled)
            self._resumed = False
        compare_counts(record, usable)
        for track, numbers in usable:
            look_for_bad_numbers(track, numbers, step)
            track.samples.add(sample_of(track, numbers, step))
        record.moments.add(moment_of(record, usable, step, self._scale()))
        look_at_unheld(record, self._outside)
        self._contributions.compare(record, self._scale())

    def _scale(self) -> float:
        scaler = self._scaler
        return float(scaler.get_scale()) if scaler is not None else 1.0


def _has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return kwargs.get("closure", args[1] if len(args) > 1 else None) is not None


def _graph_is_recorded() -> bool:
    """Return whether a compiler or a CUDA graph would record what is done here."""
    return torch.compiler.is_compiling() or (
        torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
    )
