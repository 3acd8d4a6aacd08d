"""Run scenarios in several processes, and collect what they return."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import coverage
import pytest
import torch
import torch.distributed as dist

Scenario = Callable[[int, Path], Any]

ROOT = Path(__file__).parents[2]
MEASURED = "COVERAGE_IS_MEASURED"
PATIENCE = 240
"""Seconds until the processes are ended: far more than a busy machine needs."""


def output_of(folder: Path, rank: int) -> Path:
    return folder / f"output.{rank}"


class Outcomes:
    """What the scenarios returned, by name and rank."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.folder, self.processes = folder, processes

    def __call__(self, scenario: str) -> list[Any]:
        """Return the results of all ranks; without them, fail with what was printed."""
        files = [
            self.folder / f"{scenario}.{rank}.pt" for rank in range(self.processes)
        ]
        if not all(file.exists() for file in files):
            printed = "\n".join(
                f"--- rank {rank}\n{output_of(self.folder, rank).read_text()}"
                for rank in range(self.processes)
            )
            pytest.fail(f"{scenario!r} was not completed\n{printed}", pytrace=False)
        return [torch.load(file, weights_only=True) for file in files]


def environment() -> dict[str, str]:
    """Return the environment of a process that talks to others on this machine."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    own = {MEASURED: "1"} if coverage.Coverage.current() is not None else {}
    return {
        "GLOO_SOCKET_IFNAME": loopback,
        "OMP_NUM_THREADS": "1",
        **os.environ,
        **own,
    }


def run_in_processes(module: str, folder: Path, count: int) -> None:
    """Run a module that calls :func:`run_scenarios` in some processes, as a group."""
    shared = {**environment(), "WORLD_SIZE": str(count)}
    processes = []
    for rank in range(count):
        with output_of(folder, rank).open("w") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, str(folder)],
                    cwd=ROOT,
                    env={**shared, "RANK": str(rank)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    ends = time.monotonic() + PATIENCE
    try:
        for process in processes:
            process.wait(timeout=max(0.1, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass  # the test of a scenario that is missing fails
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def measured() -> Iterator[None]:
    """Measure coverage in this process if the one that started it does."""
    if MEASURED not in os.environ:
        yield
        return
    measuring = coverage.Coverage(data_suffix=True)
    measuring.start()
    yield
    measuring.stop()
    measuring.save()


@measured()
def run_scenarios(scenarios: Mapping[str, Scenario]) -> None:
    """Join the others and run the scenarios in order, up to the first error."""
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=timedelta(seconds=PATIENCE / 4),
    )
    for name, scenario in scenarios.items():
        torch.save(scenario(rank, folder), folder / f"{name}.{rank}.pt")
    dist.destroy_process_group()
