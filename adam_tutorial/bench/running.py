"""Measure candidates on workloads: the function that the command line calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from adam_tutorial._arguments import as_count, check_positive
from adam_tutorial.bench.candidates import CANDIDATES, Task
from adam_tutorial.bench.machine import (
    cpus,
    free_memory,
    hardware,
    in_words,
    versions,
)
from adam_tutorial.bench.measuring import BYTES_AN_ELEMENT, measure
from adam_tutorial.bench.results import Absent, Result, Rounds, threads_in_words
from adam_tutorial.bench.workloads import Workload, find_workload

__all__ = ["TOPICS", "WORKLOADS", "run"]

WORKLOADS = (
    *("32M", "resnet50", "gpt2-half", "1000x1024", "1000x64", "mlp"),
    *("32M-bf16", "200x4096"),
)
TOPICS: dict[str, dict[str, Any]] = {
    "step": {},
    "clip": {"max_grad_norm": 1.0},
    "growth": {
        "workloads": (
            *(f"1x{2**k}" for k in range(10, 26)),
            *(f"{2**k}x1024" for k in range(1, 13)),
        )
    },
    "numpy": {
        "workloads": ("10M",),
        "candidates": ("numpy-textbook", "numpy-inplace", "numpy-blocked"),
        "reference": "numpy-textbook",
    },
}


def run(
    workloads: Sequence[str] = WORKLOADS,
    candidates: Sequence[str] | None = None,
    *,
    threads: Sequence[int] | None = None,
    rounds: int = 15,
    device: str = "cpu",
    max_grad_norm: float | None = None,
    reference: str = "torch-fused",
    memory: float | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Measure the step of optimizers side by side.

    All candidates of a workload are built, each with tensors of its own, and then take
    turns: every one once a round, beginning with another one each round. Where memory
    is short they do so in several batches, each with the reference among them. A step
    of less than 5 ms is repeated, and the time divided. A candidate that is not
    installed, or refuses the task, is left out, with its reason in the result.

    Parameters
    ----------
    workloads : sequence of str
        Names such as ``"32M"``, ``"resnet50"`` or ``"1000x64"`` (tensors x elements).
    candidates : sequence of str, optional
        Names of ``CANDIDATES``. The default is all that have ``default``.
    threads : sequence of int, optional
        Numbers of threads to measure with. The default is 1 and all CPUs.
    rounds : int
        How often each candidate is measured.
    device : {"cpu", "cuda"}
    max_grad_norm : float, optional
        Measure clipping and step together: ``clip_grad_norm_`` before the step, or what
        an optimizer has of its own.
    reference : str
        The candidate that the others are compared with.
    memory : float, optional
        GiB that the tensors may fill. The default is three quarters of what is free.
    report : function, optional
        Called with a line whenever something new is measured.

    Returns
    -------
    Result

    Raises
    ------
    ValueError, TypeError
        An argument is not valid, or a workload does not fit into memory.
    RuntimeError
        The reference cannot be measured.

    Examples
    --------
    >>> result = run(["mlp"], ["torch-fused", "torch"], threads=[1], rounds=2)
    >>> result.candidates, len(result.seconds("mlp", "torch"))
    (['torch-fused', 'torch'], 2)
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be 'cpu': this PyTorch finds no GPU; got 'cuda'")
    if max_grad_norm is not None:
        check_positive("max_grad_norm", max_grad_norm)
    rounds = as_count("rounds", rounds, least=1)
    names = _candidates(candidates, reference)
    counts = _threads(threads, device)
    if memory is not None:
        check_positive("memory", memory)
    budget = 0.75 * free_memory(device) if memory is None else memory * 2**30
    found = _workloads(workloads, budget)

    machine = hardware(device)
    started = time.perf_counter()
    measured: list[Rounds] = []
    absent: list[Absent] = []
    for count in counts:
        for workload in found:
            report(f"{workload.name}, {threads_in_words(count)}")
            task = Task(workload, count, device, max_grad_norm)
            measured += measure(task, names, rounds, budget, absent)
    return Result(
        rounds=measured,
        absent=absent,
        workloads={
            w.name: {"tensors": w.tensors, "elements": w.elements, "bytes": w.bytes}
            for w in found
        },
        settings={
            "device": device,
            "rounds": rounds,
            "max_grad_norm": max_grad_norm,
            "reference": reference,
        },
        versions=versions(),
        hardware=machine,
        machine=in_words(machine),
        minutes=round((time.perf_counter() - started) / 60, 1),
        command="adam_tutorial.bench.run(...)",
    )


def _candidates(candidates: Sequence[str] | None, reference: str) -> list[str]:
    """Return the names to measure, the reference first."""
    if reference not in CANDIDATES:
        raise ValueError(
            f"reference must be of {', '.join(CANDIDATES)}; got {reference!r}"
        )
    if candidates is None:
        candidates = [name for name, c in CANDIDATES.items() if c.default]
    names = _listed("candidates", candidates)
    for name in names:
        if name not in CANDIDATES:
            raise ValueError(
                f"candidates must be of {', '.join(CANDIDATES)}; got {name!r}"
            )
    return list(dict.fromkeys((reference, *names)))


def _workloads(names: Sequence[str], budget: float) -> list[Workload]:
    found = [find_workload(name) for name in dict.fromkeys(_listed("workloads", names))]
    for workload in found:
        # The reference, one other, and what that one allocates in its step.
        needed = 3 * BYTES_AN_ELEMENT * workload.elements
        if needed > budget:
            raise ValueError(
                f"workloads must fit into memory: {workload.name!r} needs"
                f" {needed / 2**30:.1f} GiB, of which {budget / 2**30:.1f} may be used"
            )
    return found


def _listed(name: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list, got {values!r}")
    listed = list(values)
    if not listed:
        raise ValueError(f"{name} must have at least one entry, got {values!r}")
    return listed


def _threads(threads: Sequence[int] | None, device: str) -> list[int]:
    if threads is None:
        return [1] if device == "cuda" else sorted({1, cpus()})
    counts = [as_count("threads", n, least=1) for n in _listed("threads", threads)]
    if max(counts) > cpus():
        raise ValueError(
            f"threads must be at most {cpus()}, the CPUs here, got {max(counts)}"
        )
    return list(dict.fromkeys(counts))
