"""Two hosts on one machine, joined by a link whose bandwidth and delay are set.

The hosts are network namespaces and the link is a pair of virtual Ethernet devices, so
the processes talk through the TCP of two machines and see nothing else of each other.
It needs Linux with the programs ``unshare``, ``nsenter``, ``ip`` and ``tc``, and the
right to make namespaces, which most systems give to all users. Nothing of it is left
when the program that runs inside ends, whatever way it ends.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from adam_tutorial.distributed import tree_all_reduce
from adam_tutorial.study.experiments.records import parser_of, provenance, write
from adam_tutorial.theory import all_reduce_cost

__all__ = [
    "NoHosts",
    "fitted",
    "join",
    "measure",
    "on_two_hosts",
    "set_link",
]

RATES = (20, 50, 100)
SIZES = tuple(2**power for power in range(14, 21))
REPEATS = 9

PROGRAMS = ("unshare", "nsenter", "ip", "tc")
# A process namespace as well: when its first process ends, all others are killed.
ALONE = (
    *("unshare", "--user", "--map-root-user", "--net", "--mount"),
    *("--pid", "--fork", "--kill-child", "sh", "-ec"),
)
HOSTS = """
mount -t tmpfs tmpfs /run
for host in 0 1; do ip netns add host$host; done
ip link add name wire netns host0 type veth peer name wire netns host1
for host in 0 1; do
  ip -n host$host address add 10.0.0.$((host + 1))/24 dev wire
  ip -n host$host link set wire up
  ip -n host$host link set lo up
done
"""
RUN = """
export MASTER_ADDR=10.0.0.1 MASTER_PORT=29500 WORLD_SIZE=2 GLOO_SOCKET_IFNAME=wire
RANK=1 nsenter --net=/run/netns/host1 "$@" >"$PRINTED.1" 2>&1 & other=$!
RANK=0 nsenter --net=/run/netns/host0 "$@" >"$PRINTED.0" 2>&1
wait $other
"""


class NoHosts(RuntimeError):
    """Two hosts cannot be made on this system; the message says why."""


def on_two_hosts(command: Sequence[str], *, timeout: float = 300) -> str:
    """Run a command on each of two hosts that are joined by a link.

    Parameters
    ----------
    command : sequence of str
        Is told by its environment what ``env://`` of :mod:`torch.distributed` needs.
        The device of the link is called ``wire``.
    timeout : float
        Seconds.

    Returns
    -------
    str
        What the first host printed.

    Raises
    ------
    NoHosts
        A program is missing, or the system refuses.
    RuntimeError
        The command failed on one of them, or took too long.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise NoHosts(f"{', '.join(missing)} cannot be found")
    tried = subprocess.run(
        [*ALONE, HOSTS], capture_output=True, text=True, check=False, timeout=60
    )
    if tried.returncode:
        raise NoHosts(f"no two hosts can be made: {tried.stderr.strip()}")
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "printed"
        problem = ""
        try:
            done = subprocess.run(
                [*ALONE, HOSTS + RUN, "sh", *command],
                env={"OMP_NUM_THREADS": "1", **os.environ, "PRINTED": str(printed)},
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=timeout,
            )
            if done.returncode:
                problem = f"ended with {done.returncode}: {done.stderr}"
        except subprocess.TimeoutExpired:
            problem = f"did not end within {timeout} seconds"
        texts = [
            file.read_text() if file.exists() else ""
            for file in (printed.with_suffix(f".{host}") for host in (0, 1))
        ]
    if problem:
        said = "\n".join(f"--- host {host}\n{text}" for host, text in enumerate(texts))
        raise RuntimeError(f"{' '.join(command)} {problem}\n{said}")
    return texts[0]


def set_link(megabits: float, *, delay: float = 0) -> None:
    """Limit what this host sends; both hosts call it.

    The bucket is small, so that short messages have to wait as well.

    Parameters
    ----------
    megabits : float
        A second, by the token bucket ``tbf``.
    delay : float
        Milliseconds until a packet leaves, by ``netem``.

    Raises
    ------
    OSError
        The kernel lacks one of them.
    """
    at = f"tc qdisc replace dev wire root handle 1: tbf rate {megabits}mbit"
    _call(f"{at} burst 4kb latency 50ms")
    if delay:
        _call(f"tc qdisc replace dev wire parent 1:1 netem delay {delay}ms limit 10000")


def _call(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command}: {done.stderr.strip()}")


def join() -> int:
    """Join the process on the other host, and return this one's rank."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=100))
    return dist.get_rank()


def measure(sizes: Iterable[int] = SIZES, repeats: int = REPEATS) -> dict[int, float]:
    """Return the seconds of an exchange, by the bytes of a vector.

    It is that of :func:`~adam_tutorial.distributed.tree_all_reduce`.

    Parameters
    ----------
    sizes : iterable of int
        Bytes, multiples of four.
    repeats : int
        The shortest of so many is taken: what else a machine does only adds.
    """
    shortest = {}
    for size in sizes:
        vector, times = torch.ones(size // 4), []
        for _ in range(repeats):
            dist.barrier()
            started = time.perf_counter()
            tree_all_reduce(vector)
            times.append(time.perf_counter() - started)
        shortest[size] = min(times)
    return shortest


def fitted(seconds: dict[int, float], ranks: int = 2) -> tuple[float, float]:
    """Return latency (seconds) and bandwidth (bytes per second) of measured times.

    Least squares of relative errors, so that small messages count as much as large.
    A latency is not negative.

    Parameters
    ----------
    seconds : dict
        As :func:`measure` returns them.
    ranks : int
        How many processes took part.
    """
    costs = [all_reduce_cost(size, ranks, "halves") for size in seconds]
    rows = np.array([[cost.messages, cost.bytes] for cost in costs], dtype=float)
    times = np.array(list(seconds.values()))
    scaled = rows / times[:, None]
    # Columns of one size: bytes outweigh messages by six decades otherwise.
    scale = np.linalg.norm(scaled, axis=0)
    found, *_ = np.linalg.lstsq(scaled / scale, np.ones(len(times)))
    latency, inverse = found / scale
    if latency < 0:  # too small to be seen
        latency, inverse = 0.0, scaled[:, 1].sum() / (scaled[:, 1] @ scaled[:, 1])
    return float(latency), float(1 / inverse)


def main() -> None:
    """Measure the link at each rate, and write the record."""
    module = "adam_tutorial.study.experiments.link"
    out = parser_of(module).parse_args().out
    started = time.monotonic()
    printed = on_two_hosts([sys.executable, "-m", module, "host"])
    record = {
        **provenance(module, out, seconds=time.monotonic() - started),
        "threads": 1,
        "results": json.loads(printed.splitlines()[-1]),
    }
    write(out, record)


def on_this_host() -> None:
    """Measure, and print the rows if this is the first host."""
    is_first = join() == 0
    rows = []
    for rate in RATES:
        set_link(rate)
        dist.barrier()
        rows.append({"megabits": rate, "seconds": measure()})
    if is_first:
        print(json.dumps(rows))
    dist.destroy_process_group()


if __name__ == "__main__":
    if sys.argv[1:] == ["host"]:
        on_this_host()
    else:
        main()
