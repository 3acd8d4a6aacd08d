"""Watch an optimizer from its hooks."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial._arguments import as_count
from adam_tutorial.doctor.findings import FINDINGS
from adam_tutorial.doctor.history import Moment, Record, Sample, Track
from adam_tutorial.doctor.losses import compare_counts, look_at_first_step
from adam_tutorial.doctor.numbers import Before, before, measure, norms, read, sampled
from adam_tutorial.doctor.ranks import Contributions, world_size
from adam_tutorial.doctor.report import Report, report_of
from adam_tutorial.doctor.roster import (
    Hyperparameters,
    check_can_be_watched,
    embeddings,
    names_of,
    outside,
)
from adam_tutorial.optim.low_precision import local

__all__ = ["Doctor", "watch"]

FIRST_STEPS = 10
PENDING = 256
RANK_SAMPLES = 30


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
    """Watches one optimizer, until it is closed; made by :func:`watch`.

    It is a context manager, which closes it.
    """

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
        kind = type(optimizer)
        self._record = Record(
            f"{kind.__module__.split('.')[0]}'s {kind.__name__}", start=start
        )
        self._tracks: dict[int, Track] = {}
        self._outside: dict[str, Tensor] = {}
        self._signature: tuple[int, ...] = ()
        self._pending: list[tuple[int, list[Track], list[Tensor], Any, Any]] = []
        self._before: dict[int, Before] = {}
        self._measuring = False
        self._resumed = True
        self._age, self._fell = 0.0, False
        self._scheduled = 0
        self._contributions: Contributions | None = None
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
        with torch.no_grad():
            self._flush()
        return report_of(self._record, self._meant)

    def close(self) -> None:
        """Take all hooks away. The report stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._contributions is not None:
            self._contributions.close()
        self._flush()
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
        if _graph_is_recorded():
            return
        signature = tuple(len(group["params"]) for group in optimizer.param_groups)
        step = self._record.taken + 1
        due = step <= FIRST_STEPS or step % self._every == 0
        self._measuring = due or self._resumed or self._fell
        if self._measuring or signature != self._signature:
            self._signature = signature
            self._call_roll()
        if self._measuring:
            with torch.no_grad():
                self._before = {
                    key: before(track.parameter) for key, track in self._tracks.items()
                }
        if not _has_closure(args, kwargs):
            self._listen(step)

    def _after_step(
        self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if _graph_is_recorded():
            return
        step = self._record.taken + 1
        if _has_closure(args, kwargs):
            self._listen(step)
        self._record.taken = step
        if self._measuring:
            self._flush()
            with torch.no_grad():
                self._measure(step)
            self._before = {}
            self._measuring = self._fell = False
        elif len(self._pending) >= PENDING:
            self._flush()
        self._look_at_age()
        if self._contributions is not None:
            due = step + 1 <= FIRST_STEPS or (step + 1) % self._every == 0
            self._contributions.listening = due

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
        record.groups = [
            Hyperparameters.of(optimizer, group) for group in optimizer.param_groups
        ]
        names, rows = names_of(optimizer, self.model), embeddings(self.model)
        held: dict[int, Track] = {}
        for index, group in enumerate(optimizer.param_groups):
            for parameter, name in zip(group["params"], names, strict=False):
                track = self._tracks.get(id(parameter))
                if track is None:
                    track = Track(
                        parameter, name, index, record.taken, record.groups[index]
                    )
                    track.embedding = id(parameter) in rows
                    track.began_zero = not bool(sampled(parameter.detach()).any())
                track.group, track.settings = index, record.groups[index]
                held[id(parameter)] = track
        if held.keys() != self._tracks.keys():
            self._listen_to_ranks(held)
        self._tracks = held
        record.tracks = list(held.values())
        self._outside = outside(optimizer, self.model)
        limit = optimizer.defaults.get("max_grad_norm")
        record.limit = None if limit is None else float(limit)
        rate = float(optimizer.defaults["lr"])
        first = record.default_lrs[0] if record.default_lrs else rate
        record.default_lrs = (first, rate)
        self._look_at_schedule()

    def _listen_to_ranks(self, held: dict[int, Track]) -> None:
        self._record.ranks = world_size()
        if self._contributions is not None:
            self._contributions.close()
            self._contributions = None
        if self._record.ranks > 1 and len(self._record.summed) < RANK_SAMPLES:
            self._contributions = Contributions(t.parameter for t in held.values())

    def _look_at_schedule(self) -> None:
        scheduler = self._scheduler
        if scheduler is None:
            return
        theirs = getattr(scheduler, "optimizer", None)
        # A wrapper around the optimizer has its groups.
        if getattr(theirs, "param_groups", None) is not self.optimizer.param_groups:
            self._record.foreign_schedule = type(scheduler).__name__
            return
        count = int(getattr(scheduler, "last_epoch", 0))
        if not self._record.taken:
            self._scheduled = count
        rates: list[Any] = getattr(scheduler, "get_last_lr", list)()
        self._record.schedule.add(
            (
                self._record.taken,
                count,
                tuple(map(float, rates)),
                tuple(group.lr for group in self._record.groups),
            )
        )

    def _listen(self, step: int) -> None:
        """Take the norms of all gradients, without waiting for them."""
        heard: list[Track] = []
        gradients: list[Tensor] = []
        with torch.no_grad():
            for key, track in self._tracks.items():
                gradient = track.parameter.grad
                if gradient is None or gradient.layout is not torch.strided:
                    continue
                heard.append(track)
                gradients.append(local(gradient))
                if self._measuring and key in self._before:
                    self._before[key].see(gradient, rows=track.embedding)
            scale = getattr(self.optimizer, "grad_scale", None)
            left_out = getattr(self.optimizer, "found_inf", None)
            if gradients:
                each = norms(gradients)
                self._pending.append((step, heard, each, scale, left_out))

    def _flush(self) -> None:
        """Read the norms that are waiting."""
        pending, self._pending = self._pending, []
        values = iter(
            read(
                number
                for _, _, each, scale, left_out in pending
                for number in (*each, *(x for x in (scale, left_out) if x is not None))
            )
        )
        for step, heard, each, scale, left_out in pending:
            found = [next(values) for _ in each]
            factor = 1.0 if scale is None else next(values)
            if left_out is not None and next(values):
                self._record.left_out += 1
                continue
            self._record.hear(step, heard, [norm / factor for norm in found])

    def _measure(self, step: int) -> None:
        readings = self._readings()
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
            _look_for_bad_numbers(track, numbers, step)
            track.samples.add(_sample(track, numbers, step))
        record.moments.add(self._moment(usable, step))
        self._look_outside()
        contributions = self._contributions
        if contributions is not None and len(record.summed) < RANK_SAMPLES:
            heard = contributions.taken() / self._scale()
            if heard > 0 and record.recent:
                record.summed.append(record.recent[-1] / heard)
            if len(record.summed) == RANK_SAMPLES:
                contributions.close()

    def _readings(self) -> list[tuple[Track, dict[str, float]]]:
        found = []
        for key, was in self._before.items():
            track = self._tracks[key]
            state = self.optimizer.state.get(track.parameter)
            if was.largest is None or not state:
                continue
            numbers = measure(
                track.parameter, was, state, track.settings, first=self._resumed
            )
            found.append((track, numbers))
        left_out = getattr(self.optimizer, "found_inf", None)
        if left_out is not None and read([left_out])[0]:
            return []
        values = iter(read(x for _, numbers in found for x in numbers.values()))
        return [(t, {name: next(values) for name in numbers}) for t, numbers in found]

    def _moment(
        self, readings: Sequence[tuple[Track, dict[str, float]]], step: int
    ) -> Moment:
        sums = dict.fromkeys(("change", "weight", "alive", "below", "active"), 0.0)
        still = largest = 0.0
        for track, numbers in readings:
            count = track.parameter.numel()
            share = count / numbers["size"]
            if track.parameter.dim() > 1 and not track.began_zero:
                for name in ("change", "weight"):
                    sums[name] += count * numbers[name] ** 2
            for name in ("alive", "below", "active"):
                sums[name] += share * numbers[name]
            still += share * numbers["still"]
            largest = max(largest, numbers["largest"])
        return Moment(
            step,
            tuple(group.lr for group in self._record.groups),
            _over(math.sqrt(sums["change"]), math.sqrt(sums["weight"])),
            _over(sums["below"], sums["alive"]),
            _over(still, sums["active"]),
            largest,
            self._record.recent[-1] if self._record.recent else math.nan,
            self._scale(),
        )

    def _scale(self) -> float:
        scaler = self._scaler
        return float(scaler.get_scale()) if scaler is not None else 1.0

    def _look_outside(self) -> None:
        for name, parameter in self._outside.items():
            if parameter.grad is None:
                continue
            (value,) = read([sampled(parameter.detach()).double().sum()])
            count, first, moved = self._record.unheld.get(name, (0, value, False))
            self._record.unheld[name] = (count + 1, first, moved or value != first)


def _sample(track: Track, numbers: dict[str, float], step: int) -> Sample:
    group, size = track.settings, numbers["size"]
    shrinks = group.lr * group.decay if group.decoupled else 0.0
    return Sample(
        step=step,
        t=numbers["t"],
        lr=group.lr,
        weight=numbers["weight"],
        update=numbers["update"],
        change=numbers["change"],
        longest=_over(numbers["longest"], abs(group.lr)),
        below_eps=_over(numbers["below"], numbers["alive"]),
        dead=1 - numbers["alive"] / size,
        still=_over(numbers["still"], numbers["active"]),
        signal=_over(numbers["signal"], numbers["noise"]),
        v=numbers["v"],
        decay=_over(shrinks * numbers["weight"], numbers["update"]),
        gradient=track.norm,
        largest=numbers["largest"],
        zeros=numbers["zeros"],
        drift=numbers.get("drift", math.nan),
    )


def _look_for_bad_numbers(track: Track, numbers: dict[str, float], step: int) -> None:
    for name, key in (("m", "signal"), ("v", "v"), ("parameter", "change")):
        value = numbers[key]
        if not math.isfinite(value):
            kind = "NaN" if math.isnan(value) else "infinite"
            track.bad.setdefault(name, (step, kind))


def _over(number: float, divisor: float) -> float:
    """Return a quotient, NaN where there is none."""
    return number / divisor if divisor else math.nan


def _has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return kwargs.get("closure", args[1] if len(args) > 1 else None) is not None


def _graph_is_recorded() -> bool:
    """Return whether a compiler or a CUDA graph would record what is done here."""
    return torch.compiler.is_compiling() or (
        torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
    )
