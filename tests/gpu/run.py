"""Test and measure the optimizers on a GPU, in at most four minutes.

``python tests/gpu/run.py``, from anywhere, with whatever Python, PyTorch and Triton
there are: nothing is installed. Without a CUDA device it says so, and ends well (0).
It ends with 1 if a test fails or the time is up.

It was never run on a GPU so far.
"""

from __future__ import annotations

import faulthandler
import importlib
import platform
import statistics
import sys
import time
import unittest
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from adam_tutorial.optim import Adam  # noqa: E402
from adam_tutorial.optim.backends.by_triton import triton_is_installed  # noqa: E402

SECONDS = 230
ROUNDS = 15
STEPS = 10
"""In each round, so many steps of each optimizer are measured together."""

Shapes = Sequence[tuple[int, ...]]


def resnet50() -> list[tuple[int, ...]]:
    """Return the shapes of the 161 parameters of ResNet-50."""
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            outputs = 4 * width
            convolutions = [
                (width, inputs, 1, 1),
                (width, width, 3, 3),
                (outputs, width, 1, 1),
            ]
            if block == 0:
                convolutions.append((outputs, inputs, 1, 1))
            for shape in convolutions:
                shapes += [shape, (shape[0],), (shape[0],)]
            inputs = outputs
    return [*shapes, (1000, 2048), (1000,)]


WORKLOADS: list[tuple[str, Shapes, str]] = [
    ("1 x 32 M", [(2**25,)], "float32"),
    ("1 x 32 M", [(2**25,)], "bfloat16"),
    ("ResNet-50", resnet50(), "float32"),
    ("ResNet-50", resnet50(), "bfloat16"),
    ("1000 x 1024", [(1024,)] * 1000, "float32"),
    ("1000 x 64", [(64,)] * 1000, "float32"),
]


def candidates() -> dict[str, Callable[[Any], Any]]:
    """Return what is measured, by name; the others are compared to the first."""
    found: dict[str, Callable[[Any], Any]] = {
        "torch fused": lambda p: torch.optim.Adam(p, fused=True),
        "torch foreach": lambda p: torch.optim.Adam(p, foreach=True),
        "our foreach": lambda p: Adam(p, foreach=True),
    }
    if triton_is_installed():
        found["our fused"] = lambda p: Adam(p, fused=True)
    return found


def new_optimizer(make: Callable[[Any], Any], shapes: Shapes, dtype: str) -> Any:
    """Return an optimizer of parameters with gradients, which has taken some steps."""
    kind = {"dtype": getattr(torch, dtype), "device": "cuda"}
    parameters = [torch.nn.Parameter(torch.randn(shape, **kind)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer = make(parameters)
    for _ in range(3):
        optimizer.step()
    return optimizer


def milliseconds(action: Callable[[], object]) -> float:
    """Return how long the GPU and the program need for an action, STEPS times."""
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    for _ in range(STEPS):
        action()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last)) / STEPS


def measured(
    optimizers: Mapping[str, Any], deadline: float
) -> dict[str, tuple[float, float]]:
    """Return the median time of a step, and the median of the ratios to the first.

    All are measured in turn, so that whatever slows the machine hits them alike.
    """
    times: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(ROUNDS):
        if time.monotonic() > deadline:
            break
        for name, optimizer in optimizers.items():
            times[name].append(milliseconds(optimizer.step))
    reference = next(iter(times.values()))
    return {
        name: (
            statistics.median(found),
            statistics.median(r / t for r, t in zip(reference, found, strict=True)),
        )
        for name, found in times.items()
        if found
    }


def bench(deadline: float) -> None:
    """Print the time of a step for each workload, and its ratio to PyTorch's fused."""
    source = torch.zeros(2**28, dtype=torch.uint8, device="cuda")
    copy = min(milliseconds(source.clone) for _ in range(5))
    print(f"a copy moves {2 * source.nbytes / copy / 1e6:.0f} GB/s\n")
    makes = candidates()
    print("milliseconds a step, and how many times as fast as PyTorch's fused")
    print(f"{'':22}" + "".join(f"{name:>20}" for name in makes))
    for name, shapes, dtype in WORKLOADS:
        if time.monotonic() > deadline:
            print("the time is up: the rest is left out")
            return
        optimizers = {
            key: new_optimizer(make, shapes, dtype) for key, make in makes.items()
        }
        cells = "".join(
            f"{median:11.3f}{ratio:8.2f}x"
            for median, ratio in measured(optimizers, deadline).values()
        )
        print(f"{name:12}{dtype:10}{cells}", flush=True)
        del optimizers
        torch.cuda.empty_cache()
    print("the moments of bfloat16 are float32 here, and bfloat16 in PyTorch")


def main() -> int:
    """Run the tests, then the bench; return the exit code."""
    started = time.monotonic()
    if not torch.cuda.is_available():
        print("no CUDA device is here: the tests on a GPU and its bench were not run")
        return 0
    # If something hangs, its trace is printed, and the process ends.
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    triton = "no Triton"
    if triton_is_installed():
        triton = f"Triton {importlib.import_module('triton').__version__}"
    print(
        f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {triton},"
        f" Python {platform.python_version()}\n",
        flush=True,
    )
    tests = unittest.defaultTestLoader.loadTestsFromName("tests.gpu.test_gpu")
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    print()
    bench(started + SECONDS - 20)
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
