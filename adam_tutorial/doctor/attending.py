"""Looks at an optimizer from its hooks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial.doctor.history import Record, Track
from adam_tutorial.doctor.listening import Listener
from adam_tutorial.doctor.losses import compare_counts, look_at_first_step
from adam_tutorial.doctor.numbers import Before, before
from adam_tutorial.doctor.pace import Pace, Sentinel
from adam_tutorial.doctor.ranks import Contributions
from adam_tutorial.doctor.report import Report, report_of
from adam_tutorial.doctor.roll import call_roll
from adam_tutorial.doctor.roster import outside
from adam_tutorial.doctor.samples import (
    look_for_bad_moments,
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

__all__ = ["Doctor"]


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
        self._pace, self._meant = Pace(every), meant
        self._scheduler, self._scaler = scheduler, scaler
        self._record = Record(start=start)
        self._listener = Listener(optimizer, self._record)
        self._tracks: dict[int, Track] = {}
        self._outside: dict[str, Tensor] = {}
        self._signature: tuple[int, ...] = ()
        self._before: dict[int, Before] = {}
        self._sentinel = Sentinel()
        self._next = 0
        self._looking = self._alarmed = self._measuring = False
        self._resumed = True
        self._age, self._fell = 0.0, False
        self._scheduled = 0
        self._contributions = Contributions(
            lambda: self._pace.is_due(self._record.taken + 1)
        )
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
        self._resumed, self._next = True, 0
        self._age = 0.0
        for track in self._tracks.values():
            track.counted = None

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if torch.compiler.is_compiling():
            return
        step = self._record.taken + 1
        calm = self._sentinel.is_calm()
        # Most steps end here.
        if calm and step < self._next:
            return
        if self._record.stopped or _graph_is_captured():
            return
        self._looking, self._alarmed = True, not calm
        with torch.no_grad(), self._stopping_at_errors():
            self._prepare(optimizer, step, _has_closure(args, kwargs))

    def _after_step(
        self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if torch.compiler.is_compiling():
            return
        self._record.taken += 1
        if self._looking:
            self._looking = False
            with torch.no_grad(), self._stopping_at_errors():
                self._look(self._record.taken, _has_closure(args, kwargs))

    @contextmanager
    def _stopping_at_errors(self) -> Iterator[None]:
        # A run must not end because the one who watches it stumbles.
        try:
            yield
        except Exception as error:
            self._looking = False
            self._record.stopped = f"{type(error).__name__}: {error}"

    def _prepare(self, optimizer: Optimizer, step: int, has_closure: bool) -> None:
        signature = tuple(len(group["params"]) for group in optimizer.param_groups)
        self._measuring = self._pace.is_due(step) or self._resumed or self._fell
        if self._alarmed:
            self._listener.flush()
            look_for_bad_moments(optimizer, self._record, step - 1)
        if self._measuring or signature != self._signature:
            self._signature = signature
            self._call_roll()
        if self._measuring:
            self._before = {
                key: before(track.parameter) for key, track in self._tracks.items()
            }
        if not has_closure:
            self._listener.listen(step, self._tracks.values(), self._before)

    def _look(self, step: int, has_closure: bool) -> None:
        if has_closure:
            self._listener.listen(step, self._tracks.values(), self._before)
        if self._measuring:
            self._listener.flush()
            self._measure(step)
            self._before = {}
            self._measuring = self._fell = False
        if self._alarmed:
            self._listener.flush()
            # A GradScaler leaves steps out that are not finite: no news then.
            self._sentinel.is_armed = not any(t.bad for t in self._tracks.values())
        self._look_at_age()
        self._next = self._pace.following(step, self._sentinel)
        if self._fell or self._resumed:
            self._next = step + 1

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
            self._sentinel = Sentinel(parameters)
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


def _graph_is_captured() -> bool:
    """Return whether a CUDA graph would record what is done here."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
