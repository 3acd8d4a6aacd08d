"""Norms of gradients, at every step, without waiting for a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from adam_tutorial.doctor.history import Record, Track
from adam_tutorial.doctor.numbers import Before, norms, read
from adam_tutorial.optim.low_precision import local

__all__ = ["Listener"]

PENDING = 256


class Listener:
    """Takes the norms at a step, and reads them later.

    Parameters
    ----------
    optimizer : Optimizer
    record : Record
        What they are written into.
    """

    def __init__(self, optimizer: Optimizer, record: Record) -> None:
        self.optimizer, self.record = optimizer, record
        self._pending: list[tuple[int, list[Track], list[Tensor], list[Tensor]]] = []

    def listen(
        self, step: int, tracks: Iterable[Track], measured: Mapping[int, Before]
    ) -> None:
        """Take the norms of all gradients; look closer at those that are measured."""
        heard: list[Track] = []
        gradients: list[Tensor] = []
        for track in tracks:
            parameter = track.parameter
            gradient = parameter.grad
            if gradient is None or gradient.layout is not torch.strided:
                continue
            heard.append(track)
            gradients.append(local(gradient))
            if measured and id(parameter) in measured:
                measured[id(parameter)].see(gradient, rows=track.embedding)
        if gradients:
            # A GradScaler leaves these for a step that unscales by itself.
            scale = getattr(self.optimizer, "grad_scale", None)
            left_out = getattr(self.optimizer, "found_inf", None)
            scaling = [x for x in (scale, left_out) if x is not None]
            if len(scaling) == 1:
                scaling = [torch.ones(()), left_out] if scale is None else [scale]
            self._pending.append((step, heard, norms(gradients), scaling))
        if len(self._pending) >= PENDING:
            self.flush()

    def flush(self) -> None:
        """Read the norms that are waiting."""
        pending, self._pending = self._pending, []
        values = iter(
            read(number for *_, each, scaling in pending for number in each + scaling)
        )
        for step, heard, each, scaling in pending:
            found = [next(values) for _ in each]
            factor = next(values) if scaling else 1.0
            if len(scaling) > 1 and next(values):
                self.record.left_out += 1
                continue
            self.record.hear(step, heard, [norm / factor for norm in found])
