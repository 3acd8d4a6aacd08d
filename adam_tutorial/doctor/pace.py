"""Which steps are looked at, and what is looked at in the others.

After a backward pass nothing of this program is in the processor's caches: a line of
Python costs a microsecond and more, an operation of PyTorch ten. So most steps are let
pass after a look at one small gradient.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

__all__ = ["Pace", "Sentinel"]

FIRST_MEASURED = 10
FIRST_HEARD = 64
GAPS = 5
LARGE = 1e38


class Sentinel:
    """One small gradient far from the loss, which a NaN nearer to it reaches.

    Parameters
    ----------
    parameters : iterable of Tensor
        In the order of the model. The smallest of the first four is taken.
    """

    def __init__(self, parameters: Iterable[Tensor] = ()) -> None:
        # Reading a number waits for an accelerator, or for other processes.
        able = [
            p
            for p in parameters
            if p.device.type == "cpu"
            and p.is_floating_point()
            and not hasattr(p, "to_local")
        ]
        self.parameter = min(able[:4], key=lambda p: p.numel(), default=None)
        self.is_armed = True

    def is_calm(self) -> bool:
        """Return whether its gradient is finite, or nobody wants to know any more."""
        if self.parameter is None or not self.is_armed:
            return True
        gradient = self.parameter.grad
        return gradient is None or -LARGE < gradient.sum().item() < LARGE


class Pace:
    """Says which steps are measured, and after which step it listens next.

    Parameters
    ----------
    every : int
        The first ten steps are measured, and then every so many.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def is_due(self, step: int) -> bool:
        """Return whether a step is measured."""
        return step <= FIRST_MEASURED or step % self.every == 0

    def following(self, step: int, sentinel: Sentinel) -> int:
        """Return the next step at which the norms of all gradients are taken.

        The gaps are irregular, four steps in the mean, so that no rhythm of the
        program, such as two losses that take turns, is in step with them.
        """
        if step < FIRST_HEARD or sentinel.parameter is None:
            return step + 1
        gap = 2 + (step * 0x9E3779B1 >> 13) % GAPS
        return min(step + gap, (step // self.every + 1) * self.every)
