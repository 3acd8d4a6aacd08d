"""Begin to watch an optimizer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn
from torch.optim import Optimizer

from adam_tutorial._arguments import as_count
from adam_tutorial.doctor.attending import Doctor
from adam_tutorial.doctor.findings import FINDINGS
from adam_tutorial.doctor.roster import check_can_be_watched

__all__ = ["watch"]


def watch(
    optimizer: Optimizer,
    model: nn.Module | None = None,
    *,
    every: int = 50,
    scheduler: Any = None,
    scaler: Any = None,
    start: int = 0,
    meant: Collection[str] = (),
) -> Doctor:
    """Watch what an Adam does in a training run, without changing it.

    Parameters
    ----------
    optimizer : Optimizer
        An Adam, AdamW, NAdam or RAdam of :mod:`torch.optim` or of
        :mod:`adam_tutorial.optim`.
    model : Module, optional
        Gives the parameters their names, and shows those that the optimizer does not
        have.
    every : int
        Each of the first ten steps is measured, and then every so many. Norms of
        gradients are taken in the first 64 steps, and then in every fourth or so.
    scheduler : LRScheduler, optional
        To see whether its learning rates reach the optimizer.
    scaler : GradScaler, optional
        To see whether gradients are clipped before they are unscaled.
    start : int
        How many steps the run had taken when it was resumed.
    meant : collection of str
        Names of findings that are meant, and should not be reported.

    Returns
    -------
    Doctor

    Raises
    ------
    TypeError
        It is not one of these optimizers.
    ValueError
        ``every`` is less than 1, ``start`` is negative, or a name in ``meant`` is
        unknown.

    Notes
    -----
    A measured step needs memory for a copy of the parameters; of one with more than
    ``2**18`` elements, about so many are looked at. On a GPU, only measured steps wait
    for the device. Steps inside of a compiled or captured graph are not seen.

    Examples
    --------
    >>> import torch
    >>> from adam_tutorial.doctor import watch
    >>> theta = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = torch.optim.Adam([theta], lr=0.1)
    >>> with watch(optimizer) as doctor:
    ...     for _ in range(20):
    ...         optimizer.zero_grad()
    ...         theta.square().sum().backward()
    ...         optimizer.step()
    >>> print(doctor.report().verdict)
    nothing found in 20 steps
    """
    check_can_be_watched(optimizer)
    as_count("every", every, 1)
    as_count("start", start)
    for name in meant:
        if name not in FINDINGS:
            raise ValueError(
                f"meant must have names of findings, got {name!r}; they are"
                f" {sorted(FINDINGS)}"
            )
    return Doctor(optimizer, model, every, scheduler, scaler, start, frozenset(meant))
