"""The lines that many rules share. Each works on a tensor or on a list of tensors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.theory import bias_correction

__all__ = ["one_minus_power", "root_of", "to_average", "to_average_of_squares"]


def to_average(average: Tensor, value: Tensor, beta: float | Tensor) -> None:
    """Put ``beta * average + (1 - beta) * value`` into ``average``.

    Every product and every sum is an operation of its own, here and wherever a rule has
    a native step: so it is rounded as the formula is written, on every CPU, and both
    give the same bits. An operation that does more (``lerp_``, ``addcmul_``) is rounded
    once or twice, depending on the CPU and on PyTorch's version.
    """
    average.mul_(beta).add_(value * (1 - beta))


def to_average_of_squares(average: Tensor, value: Tensor, beta: float | Tensor) -> None:
    """Put ``beta * average + (1 - beta) * value**2`` into ``average``."""
    average.mul_(beta).add_((value * value).mul_(1 - beta))


def root_of(number: Any) -> Any:
    """Return the square root of a number or of a tensor."""
    return number.sqrt() if isinstance(number, Tensor) else math.sqrt(number)


def one_minus_power(beta: float | Tensor, t: int | Tensor) -> Any:
    """Return ``1 - beta**t`` to full precision: a float, or a tensor if ``t`` is one.

    Parameters
    ----------
    beta : float or Tensor
        Decay rate in [0, 1).
    t : int or Tensor
        Number of the step, from 1.
    """
    if not isinstance(t, Tensor):
        return bias_correction(float(beta), t)
    # A schedule may change beta at each step: as a constant of a compiled graph, it
    # would compile the graph anew each time.
    beta = beta.to(t.device) if isinstance(beta, Tensor) else torch.ones_like(t) * beta
    return -torch.expm1(t * torch.log(beta))
