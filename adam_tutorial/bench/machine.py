"""What the bench ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

__all__ = ["cpus", "free_memory", "hardware", "in_words", "versions"]

LIBRARIES = (
    *("torch", "numpy", "numba", "triton", "jax", "optax"),
    *("bitsandbytes", "torchao", "deepspeed"),
)
# What changes how threads and memory are handed out.
VARIABLES = (
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "MALLOC_CONF"),
    *("THP_MEM_ALLOC_ENABLE", "NUMPY_MADVISE_HUGEPAGE", "LD_PRELOAD"),
)


def cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return the versions of Python and of what is installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, Any]:
    """Return what is known of the machine; what is not known is left out.

    ``load`` is how many processes were running of late, other people's among them.
    """
    memory = re.search(r"MemTotal:\s+(\d+) kB", _text("/proc/meminfo"))
    pages = re.search(
        r"\[(\w+)\]", _text("/sys/kernel/mm/transparent_hugepage/enabled")
    )
    found = {
        "cpu": _cpu_model(),
        "cpus": cpus(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "caches": _caches(),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "huge_pages": pages[1] if pages else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "environment": {k: os.environ[k] for k in VARIABLES if k in os.environ},
    }
    return {name: value for name, value in found.items() if value not in (None, {})}


def in_words(found: dict[str, Any]) -> str:
    """Return the hardware in a line."""
    parts = [found.get("gpu"), found["cpu"], f"{found['cpus']} CPUs"]
    parts += [f"{name} {size}" for name, size in found.get("caches", {}).items()]
    if "huge_pages" in found:
        parts.append(f"huge pages: {found['huge_pages']}")
    return ", ".join(part for part in parts if part)


def free_memory(device: str) -> int:
    """Return the bytes that can be had; a guess where the system does not tell."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    free = re.search(r"MemAvailable:\s+(\d+) kB", _text("/proc/meminfo"))
    return int(free[1]) * 2**10 if free else 4 * 2**30


def _cpu_model() -> str:
    model = re.search(r"model name\s*: (.+)", _text("/proc/cpuinfo"))
    return model[1] if model else platform.processor() or platform.machine()


def _caches() -> dict[str, str]:
    """Return the sizes of the first CPU's caches for data, as Linux states them."""
    caches = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(folder / x) for x in ("level", "type", "size"))
        if kind != "Instruction" and size:
            caches[f"L{level}"] = size
    return caches


def _text(file: str | Path) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
