"""What this process adds to a gradient, where several processes share a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from adam_tutorial.doctor.history import Record

__all__ = ["Contributions", "world_size"]

SAMPLES = 30


def world_size() -> int:
    """Return how many processes there are."""
    group = torch.distributed
    if not (group.is_available() and group.is_initialized()):
        return 1
    return group.get_world_size()


class Contributions:
    """Norms of the gradients as the backward pass of this process computes them.

    They are heard before they are added up, over micro-batches or over processes. The
    mean over the processes is at most as long as the longest of them; a sum is longer,
    by the root of their number where they are pure noise.

    Parameters
    ----------
    wanted : function
        Whether the next step will be measured.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self.wanted = wanted
        self._norms: dict[Tensor, list[Tensor]] = {}
        self._leftover = False
        self._handles: list[RemovableHandle] = []

    def follow(self, parameters: Iterable[Tensor], record: Record) -> None:
        """Listen to these parameters, if there are several ranks."""
        self.close()
        record.ranks = world_size()
        if record.ranks > 1 and len(record.summed) < SAMPLES:
            self._handles = [
                parameter.register_hook(partial(self._hear, parameter))
                for parameter in parameters
                if parameter.requires_grad and not hasattr(parameter, "to_local")
            ]

    def compare(self, record: Record, scale: float) -> None:
        """Compare what was heard with the gradient that the optimizer was handed."""
        heard = self._taken() / scale if self._handles else math.nan
        if heard > 0 and record.recent:
            record.summed.append(record.recent[-1] / heard)
        if len(record.summed) >= SAMPLES:
            self.close()

    def _hear(self, parameter: Tensor, gradient: Tensor) -> None:
        if not self.wanted() or gradient.layout is not torch.strided:
            return
        with torch.no_grad():
            if parameter not in self._norms and parameter.grad is not None:
                # What is left from before the step is not this step's.
                self._leftover |= bool(parameter.grad.any())
            norm = torch.linalg.vector_norm(gradient)
            self._norms.setdefault(parameter, []).append(norm)

    def _taken(self) -> float:
        """Return the sum of what was heard since the last call; NaN if unusable."""
        norms, leftover = self._norms, self._leftover
        self._norms, self._leftover = {}, False
        if leftover or not norms:
            return math.nan
        each = (sum(map(float, heard)) for heard in norms.values())
        return math.sqrt(sum(norm * norm for norm in each))

    def close(self) -> None:
        """Stop listening."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
