"""The limit that memory sets: the bytes of a step, moved with next to no arithmetic."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

__all__ = ["stream"]

# Below this, a second thread costs more than it brings.
LEAST_BYTES_A_THREAD = 2**20


def stream(moved: int, threads: int) -> Callable[[], None]:
    """Return a function that reads four arrays and writes three, as a step does.

    Parameters
    ----------
    moved : int
        Bytes that are read and written, together.
    threads : int
        How many share the work, each with a range of the bytes.

    Raises
    ------
    ImportError
        numba is not installed.
    """
    kernel = _kernel()
    # By PyTorch's allocator, so that the pages are those of its parameters. Ones: pages
    # of zeros that are never written to would all be the same page, and in the cache.
    size = -(-moved // (7 * 8))
    arrays = [torch.ones(size, dtype=torch.int64).numpy() for _ in range(4)]
    threads = max(1, min(threads, moved // LEAST_BYTES_A_THREAD))
    ends = [size * k // threads for k in range(threads + 1)]
    first, *others = [
        [array[start:end] for array in arrays] for start, end in pairwise(ends)
    ]
    pool = ThreadPoolExecutor(max(1, len(others)))

    def step() -> None:
        running = [pool.submit(kernel, *part) for part in others]
        kernel(*first)
        for future in running:
            future.result()

    return step


@functools.cache
def _kernel() -> Callable[..., None]:
    """Compile the loop; it needs no lock of the interpreter while it runs."""
    numba: Any = importlib.import_module("numba")

    def move(p: Any, g: Any, m: Any, v: Any) -> None:
        for i in range(p.size):
            p[i] += g[i]
            m[i] += g[i]
            v[i] += g[i]

    array = numba.int64[::1]
    compiled: Callable[..., None] = numba.njit(
        numba.void(array, array, array, array), nogil=True
    )(move)
    return compiled
