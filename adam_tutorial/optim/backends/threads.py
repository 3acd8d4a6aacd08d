"""Threads that share the work of one native call; made when first needed.

Numba's own parallel loops end the process when two Python threads step at once, or kill
the child of a fork. Python's threads do neither, and they are enough: a kernel runs
without the interpreter's lock.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["share"]

_pools: list[ThreadPoolExecutor] = []


def _forget() -> None:
    _pools.clear()


if hasattr(os, "register_at_fork"):
    # The child of a fork has the pool, but not its threads: it would wait forever.
    os.register_at_fork(after_in_child=_forget)


def share(work: Callable[[int, int], object], borders: Sequence[int]) -> None:
    """Call ``work(first, last)`` for each pair of neighbours; return when all is done.

    The caller does the first part, and whatever no thread can be had for. Whatever is
    raised meanwhile, such as by Ctrl-C, comes out when all parts are done.
    """
    parts = list(itertools.pairwise(borders))
    running: list[Future[object]] = []
    try:
        # One by one: where the last one fails, the others must be known.
        for part in parts[1:]:
            running.append(_pool().submit(work, *part))  # noqa: PERF401
    except RuntimeError:
        # The interpreter is about to end, or the system has no thread left.
        for part in parts[len(running) + 1 :]:
            work(*part)
    work(*parts[0])
    _finish(running)


def _finish(running: Sequence[Future[object]]) -> None:
    try:
        for future in running:
            future.result()
    except BaseException:
        for future in running:
            future.exception()
        raise


def _pool() -> ThreadPoolExecutor:
    if not _pools:
        _pools.append(ThreadPoolExecutor(os.cpu_count(), "adam_tutorial"))
    return _pools[0]
