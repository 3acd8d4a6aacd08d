"""Measure and test the optimizers on a GPU, in at most two and a half minutes.

``python tests/gpu/run.py [--out FILE]``, from anywhere, with whatever Python, PyTorch
and Triton there are: nothing is installed. Without a CUDA device it says so, and ends
well (0). It ends with 1 if a test fails or the time is up. The times are written to
``FILE``, as a result of :mod:`adam_tutorial.bench`.

It was run on 29 November 2026 on an NVIDIA H200, with PyTorch 2.11 and Triton 3.6; on
no other GPU, and never on two. The tests of the default, of CUDA graphs and of
compiling are newer.
"""

from __future__ import annotations

import argparse
import faulthandler
import statistics
import sys
import time
import unittest
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from adam_tutorial.bench import (  # noqa: E402
    Result,
    Rounds,
    Workload,
    find_workload,
)
from adam_tutorial.bench.machine import hardware, in_words, versions  # noqa: E402
from adam_tutorial.optim import Adam  # noqa: E402

SECONDS = 140
"""After so many the process ends, whatever it does."""
BENCH_SECONDS = 60
ROUNDS = 15
STEPS = 10
"""In each round, so many steps of each optimizer are measured together."""

WORKLOADS = ("32M", "32M-bf16", "resnet50", "resnet50-bf16", "1000x1024", "1000x64")

REFERENCE = "torch-fused"
CANDIDATES: dict[str, Callable[[Any], Any]] = {
    REFERENCE: lambda p: torch.optim.Adam(p, fused=True),
    "torch-foreach": lambda p: torch.optim.Adam(p, foreach=True),
    "ours-foreach": lambda p: Adam(p, foreach=True),
    "ours": Adam,
}
"""What is measured. "ours" is the optimizer as it comes: by Triton, where it is."""


def new_optimizer(make: Callable[[Any], Any], workload: Workload) -> Any:
    """Return an optimizer of parameters with gradients, which has taken some steps."""
    kind = {"dtype": getattr(torch, workload.dtype), "device": "cuda"}
    parameters = [
        torch.nn.Parameter(torch.randn(shape, **kind)) for shape in workload.shapes
    ]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer = make(parameters)
    for _ in range(3):
        optimizer.step()
    return optimizer


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long the GPU and the program need for an action, the mean of STEPS."""
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    for _ in range(STEPS):
        action()
    last.record()
    torch.cuda.synchronize()
    return float(f"{float(first.elapsed_time(last)) / STEPS / 1e3:.5g}")


def measured(workload: Workload, optimizers: Mapping[str, Any]) -> Rounds:
    """Return the times of a step in each round.

    All are measured in turn, so that whatever slows the machine hits them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(ROUNDS):
        for name, optimizer in optimizers.items():
            seconds[name].append(seconds_of(optimizer.step))
    return Rounds(workload.name, 1, seconds)


def copied() -> float:
    """Return how many gigabytes a second a copy on the GPU reads and writes."""
    source = torch.zeros(2**28, dtype=torch.uint8, device="cuda")
    best = min(seconds_of(source.clone) for _ in range(5))
    return round(2 * source.nbytes / best / 1e9, 1)


def bench(deadline: float, command: str) -> Result:
    """Measure each workload, and print the time of a step and its ratios."""
    began = time.monotonic()
    machine = {**hardware("cuda"), "copy_gb_per_second": copied()}
    print(f"a copy moves {machine['copy_gb_per_second']:.0f} GB/s\n")
    print("milliseconds a step, and how many times as fast as PyTorch's fused")
    print(f"{'':14}" + "".join(f"{name:>20}" for name in CANDIDATES))
    found: list[Rounds] = []
    for workload in map(find_workload, WORKLOADS):
        if time.monotonic() > deadline:
            print("the time is up: the rest is left out")
            break
        optimizers = {
            name: new_optimizer(make, workload) for name, make in CANDIDATES.items()
        }
        rounds = measured(workload, optimizers)
        found.append(rounds)
        cells = "".join(
            f"{1e3 * statistics.median(seconds):11.3f}"
            f"{rounds.ratio(name, to=REFERENCE):8.2f}x"
            for name, seconds in rounds.seconds.items()
        )
        print(f"{workload.name:14}{cells}  {optimizers['ours'].path()}", flush=True)
        del optimizers
        torch.cuda.empty_cache()
    print("the moments of bfloat16 are float32 here, and bfloat16 in PyTorch\n")
    return Result(
        rounds=found,
        absent=[],
        workloads={
            name: {
                "tensors": workload.tensors,
                "elements": workload.elements,
                "bytes": workload.bytes,
            }
            for name in (rounds.workload for rounds in found)
            if (workload := find_workload(name))
        },
        settings={
            "device": "cuda",
            "rounds": ROUNDS,
            "steps": STEPS,
            "max_grad_norm": None,
            "reference": REFERENCE,
        },
        # torch itself says for which CUDA it was built.
        versions={**versions(), "torch": torch.__version__},
        hardware=machine,
        machine=in_words(machine),
        minutes=round((time.monotonic() - began) / 60, 1),
        command=command,
    )


def main() -> int:
    """Run the bench, then the tests; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="a JSON file for the times")
    out = parser.parse_args().out
    started = time.monotonic()
    if not torch.cuda.is_available():
        print("no CUDA device is here: the tests on a GPU and its bench were not run")
        return 0
    # If something hangs, its trace is printed, and the process ends.
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}\n", flush=True)
    # Only the file's name: where it lay is nothing that repeats the run.
    command = "python tests/gpu/run.py" + (f" --out {out.name}" if out else "")
    result = bench(started + BENCH_SECONDS, command)
    if out:
        result.save(out)
    tests = unittest.defaultTestLoader.loadTestsFromName("tests.gpu.test_gpu")
    outcome = unittest.TextTestRunner(verbosity=2).run(tests)
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0 if outcome.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
