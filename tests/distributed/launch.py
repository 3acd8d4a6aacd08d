"""Start two processes, run scenarios in them, and collect what they return."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.distributed.task import PROCESSES

Scenario = Callable[[int, Path], Any]

ROOT = Path(__file__).parents[2]
PATIENCE = 240
"""Seconds after which the processes are ended: far more than they need on a busy machine."""


class Outcomes:
    """What the scenarios returned, by name and rank."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.folder = folder
        self.words = words

    def __call__(self, scenario: str) -> list[Any]:
        """Return the results of all ranks; fail with the processes' words if there are none."""
        files = [self.folder / f"{scenario}.{rank}.pt" for rank in range(PROCESSES)]
        if not all(file.exists() for file in files):
            said = "\n".join(
                f"--- rank {rank}\n{word}" for rank, word in enumerate(self.words)
            )
            pytest.fail(f"{scenario!r} was not completed\n{said}", pytrace=False)
        return [torch.load(file, weights_only=True) for file in files]


def run_in_two_processes(module: str, folder: Path) -> Outcomes:
    """Run a module that calls :func:`run_scenarios` in two processes that talk to each other."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    environment = {
        "GLOO_SOCKET_IFNAME": loopback,
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "WORLD_SIZE": str(PROCESSES),
    }
    files = [folder / f"output.{rank}" for rank in range(PROCESSES)]
    processes = []
    for rank, file in enumerate(files):
        with file.open("w") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, str(folder)],
                    cwd=ROOT,
                    env={**environment, "RANK": str(rank)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    ends = time.monotonic() + PATIENCE
    try:
        for process in processes:
            process.wait(timeout=max(0.1, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass  # the scenarios that are missing tell
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return Outcomes(folder, [file.read_text() for file in files])


def run_scenarios(scenarios: Mapping[str, Scenario]) -> None:
    """Join the other process and run the scenarios in order; the first error ends all."""
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
