"""The measurement: candidates in turn, in one process, round after round."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from adam_tutorial.bench.candidates import CANDIDATES, Step, Task
from adam_tutorial.bench.results import Absent, Rounds

__all__ = ["BYTES_AN_ELEMENT", "measure", "round_robin"]

WARM_UP = 3
# A measurement takes this long at least; shorter steps are repeated.
LEAST_SECONDS = 5e-3
# Threads of OpenMP go on spinning after their work, and would slow the next one down.
PAUSE = 5e-3
# Parameters, gradients and two moments in float32.
BYTES_AN_ELEMENT = 16

Timer = Callable[[Step], float]


def round_robin(
    steps: Mapping[str, Step], rounds: int, timer: Timer
) -> dict[str, list[float]]:
    """Return what a timer says of every step in each round; the first one changes."""
    names = list(steps)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            seconds[name].append(timer(steps[name]))
    return seconds


def measure(
    task: Task, names: Sequence[str], rounds: int, budget: float, absent: list[Absent]
) -> Iterator[Rounds]:
    """Yield the rounds of a task, a batch of candidates at a time.

    Parameters
    ----------
    task : Task
    names : sequence of str
        Candidates. The first is the reference, and in every batch.
    rounds : int
    budget : float
        Bytes that all tensors of a batch may fill.
    absent : list of Absent
        What cannot be measured is added to it.

    Raises
    ------
    RuntimeError
        The reference cannot be measured.
    """
    reference, *others = names
    with _threads_of_torch(task.threads):
        step, reason = _built(reference, task)
        if step is None:
            raise RuntimeError(
                f"the reference {reference!r} cannot be measured: {reason}"
            )
        once = min(_timer(task, 1)(step) for _ in range(WARM_UP))
        timer = _timer(task, max(1, math.ceil(LEAST_SECONDS / max(once, 1e-9))))
        # One part of the memory for the reference, and one for what a candidate
        # allocates in its step.
        size = int(budget / (BYTES_AN_ELEMENT * task.workload.elements)) - 2
        while True:
            steps = {reference: step, **_batch(task, others, size, absent)}
            with _no_collection():
                seconds = round_robin(steps, rounds, timer)
            yield Rounds(task.workload.name, task.threads, seconds)
            # Let go of their memory before the next ones are built.
            steps.clear()
            if not others:
                return


def _batch(
    task: Task, others: list[str], size: int, absent: list[Absent]
) -> dict[str, Step]:
    """Take candidates from a list, and return the steps of so many that work."""
    gc.collect()
    steps: dict[str, Step] = {}
    while others and len(steps) < size:
        name = others.pop(0)
        step, reason = _built(name, task)
        if step is None:
            absent.append(Absent(task.workload.name, task.threads, name, reason))
        else:
            steps[name] = step
    return steps


def _built(name: str, task: Task) -> tuple[Step | None, str]:
    """Return a step that has been taken a few times; or None and why there is none."""
    candidate = CANDIDATES[name]
    if task.device not in candidate.devices:
        return None, f"runs on {' and '.join(candidate.devices)} only"
    if task.max_grad_norm is not None and not candidate.clips:
        return None, "does not clip gradients"
    try:
        step = candidate.build(task)
        for _ in range(WARM_UP):
            step()
    except Exception as error:  # whatever another library raises
        lines = str(error).strip().splitlines() or [""]
        return None, f"{type(error).__name__}: {lines[0][:120]}"
    return step, ""


def _timer(task: Task, repeats: int) -> Timer:
    """Return what measures the seconds of one step, as the mean of a few."""

    def wait() -> None:
        if task.device == "cuda":
            torch.cuda.synchronize()

    def timer(step: Step) -> float:
        wait()
        time.sleep(PAUSE)
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        wait()
        seconds = (time.perf_counter() - start) / repeats
        return float(f"{seconds:.5g}")  # more digits mean nothing

    return timer


@contextmanager
def _threads_of_torch(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out of the measurement."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
