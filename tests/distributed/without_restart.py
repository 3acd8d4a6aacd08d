"""Kill one of three processes again and again; the others go on, by torchft.

By hand, since torchft is not in the environment of the tests::

    pip install torchft
    python -m tests.distributed.without_restart --kills 100

Each process is a replica of its own. The one that was killed is replaced; the new one
gets parameters, state and step from another, over the network. No checkpoint is read.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from datetime import timedelta
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed
from torch import nn

from adam_tutorial.distributed import fingerprint
from adam_tutorial.optim import Adam

REPLICAS = 3
LAST = 10**9


def replica(number: int, address: str, folder: Path) -> None:
    """Train for ever; note each step that was taken, and what came out."""
    from torchft import Manager, ProcessGroupGloo

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = Adam(model.parameters(), lr=1e-3)

    def state() -> dict[str, Any]:
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}

    def load(loaded: dict[str, Any]) -> None:
        model.load_state_dict(loaded["model"])
        optimizer.load_state_dict(loaded["optimizer"])

    c10d: Any = torch.distributed
    store = c10d.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    manager = Manager(
        pg=ProcessGroupGloo(timeout=timedelta(seconds=5)),
        load_state_dict=load,
        state_dict=state,
        min_replica_size=REPLICAS - 1,
        replica_id=f"replica{number}",
        store_addr="localhost",
        store_port=store.port,
        rank=0,
        world_size=1,
        lighthouse_addr=address,
        timeout=timedelta(seconds=10),
        hostname="localhost",
    )
    while manager.current_step() < LAST:
        manager.start_quorum()
        generator = torch.Generator().manual_seed(
            manager.current_step() * REPLICAS + number
        )
        x = torch.randn(16, 8, generator=generator)
        optimizer.zero_grad()
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        for parameter in model.parameters():
            manager.allreduce(parameter.grad).wait()
        if manager.should_commit():
            optimizer.step()
            with (folder / f"{number}.log").open("a") as log:
                print(manager.current_step(), fingerprint(state()), file=log)
        time.sleep(0.02)


def lines_of(folder: Path, number: int) -> list[str]:
    log = folder / f"{number}.log"
    return log.read_text().splitlines() if log.exists() else []


def main() -> None:
    """Kill, and count what the others did meanwhile."""
    parser = argparse.ArgumentParser(prog="python -m tests.distributed.without_restart")
    parser.add_argument("--kills", type=int, default=100)
    kills = parser.parse_args().kills
    os.environ.setdefault("RUST_LOG", "error")
    from torchft._torchft import LighthouseServer

    # Forked from a process that has everything imported, a replica starts at once.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = get_context("fork")
    addresses = context.SimpleQueue()

    def serve() -> None:
        server = LighthouseServer(
            bind="[::]:0", min_replicas=REPLICAS - 1, join_timeout_ms=100
        )
        addresses.put(server.address())
        signal.pause()

    lighthouse = context.Process(target=serve, daemon=True)
    lighthouse.start()
    address = addresses.get().replace(os.uname().nodename, "localhost")
    with TemporaryDirectory() as name:
        folder = Path(name)

        def start(number: int) -> Any:
            process = context.Process(
                target=replica, args=(number, address, folder), daemon=True
            )
            process.start()
            return process

        def wait_for(numbers: set[int], steps: int) -> float:
            """Return how long it takes until these have taken so many more steps."""
            before = {n: len(lines_of(folder, n)) for n in numbers}
            started = time.monotonic()
            while any(len(lines_of(folder, n)) < before[n] + steps for n in numbers):
                if time.monotonic() - started > 60:
                    sys.exit(f"{numbers} stand still after {done} kills")
                time.sleep(0.01)
            return time.monotonic() - started

        done, pauses = 0, []
        processes = [start(number) for number in range(REPLICAS)]
        wait_for({*range(REPLICAS)}, 3)
        while done < kills:
            victim = random.randrange(REPLICAS)
            others = {*range(REPLICAS)} - {victim}
            time.sleep(random.random() * 0.1)
            processes[victim].kill()
            processes[victim].join()
            pauses.append(wait_for(others, 2))
            done += 1
            processes[victim] = start(victim)
            wait_for({victim}, 2)
        for process in processes:
            process.kill()
        steps: dict[str, set[str]] = {}
        for number in range(REPLICAS):
            for line in lines_of(folder, number):
                step, found = line.split()
                steps.setdefault(step, set()).add(found)
    differ = sum(len(found) > 1 for found in steps.values())
    print(f"torchft {version('torchft')}: {done} kills, {len(steps)} steps taken")
    print(f"the others went on after {sorted(pauses)[len(pauses) // 2]:.1f} s (median)")
    print(f"steps after which two replicas had other bits: {differ}")
    lighthouse.kill()


if __name__ == "__main__":
    main()
