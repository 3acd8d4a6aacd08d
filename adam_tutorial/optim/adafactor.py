"""Adafactor: second moments of a matrix from those of its rows and columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from adam_tutorial.optim.base import BaseOptimizer, Settings, Slot, State
from adam_tutorial.optim.groups import REAL
from adam_tutorial.optim.hyperparameters import (
    COMMON,
    ForeachFlags,
    Hyperparameter,
    number,
)

__all__ = ["Adafactor"]

# PyTorch's messages begin otherwise here than in its other optimizers.
_epsilon1 = number("epsilon1 should be >= 0 but is")
_epsilon2 = number("epsilon2 should be >= 0 but is")


def _read_two_eps(name: str, value: Any) -> Any:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise TypeError(
            f"{name} must be a pair, (a number or None, a number), got {value!r}"
        )
    first, second = value
    return (
        None if first is None else _epsilon1.read(f"{name}[0]", first),
        _epsilon2.read(f"{name}[1]", second),
    )


def _check_two_eps(name: str, value: Any) -> None:
    if value[0] is not None:
        _epsilon1.check(f"{name}[0]", value[0])
    _epsilon2.check(f"{name}[1]", value[1])


class Adafactor(BaseOptimizer):
    """Adafactor as a drop-in for :class:`torch.optim.Adafactor`.

    A matrix of n rows and m columns needs n + m numbers of state, where Adam needs 2nm.

    Parameters
    ----------
    params : iterable
        As for :class:`Adam`, but real.
    lr : float or Tensor
        Largest *relative* step: a step's root mean square is ``min(lr, 1/sqrt(t))``
        times that of the parameter, or less.
    beta2_decay : float
        At step t, the averages of squares keep ``1 - t**beta2_decay`` of what they
        hold: at most 0, so that they forget less and less.
    eps : tuple of float
        The least second moment is ``eps[0]**2``, where None is the smallest step from 1
        in the arithmetic's dtype; the least root mean square of a parameter, for the
        length of a step, is ``eps[1]``.
    d : float
        The update's root mean square is clipped at this, before the length of the step
        is applied; at least 1.
    weight_decay : float
        As for :class:`AdamW`.
    foreach, maximize, nonfinite, max_grad_norm
        As for :class:`Adam`; a parameter's update depends on all its elements, so
        ``foreach`` steps one tensor at a time all the same.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`; also for complex parameters.

    Notes
    -----
    The state has PyTorch's names: ``row_var`` and ``col_var`` for parameters of two or
    more dimensions (the last two are factored), ``variance`` for others. A checkpoint
    of one loads into the other.

    References
    ----------
    Shazeer, Stern (2018), "Adafactor: Adaptive Learning Rates with Sublinear Memory
    Cost", Algorithms 4 and 5.

    Examples
    --------
    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([[3.0, -4.0]]))
    >>> optimizer = Adafactor([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([[ 2.6464, -3.6464]])
    """

    hyperparameters = COMMON | {
        "lr": number("Learning rate should be >= 0 but is"),
        "weight_decay": number("weight_decay should be >= 0 but is"),
        "beta2_decay": number(
            "beta2_decay should be <= 0 but is", low=-math.inf, high=0, always=True
        ),
        "eps": Hyperparameter(_read_two_eps, _check_two_eps),
        "d": number("Clipping threshold d should be >= 1 but is", low=1),
    }
    flags = ("foreach", "maximize")
    refused: ClassVar[Mapping[str, str]] = {
        "state_dtype": "it has a number for each row and column, not for each element"
    }
    decoupled = True
    dtypes = REAL
    elementwise = False

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        **flags: Unpack[ForeachFlags],
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults, flags)

    def slots(self, parameter: Tensor) -> Sequence[Slot]:
        shape = tuple(parameter.shape)
        if len(shape) < 2:
            return (Slot("variance"),)
        return (
            Slot("row_var", shape=(*shape[:-1], 1)),
            Slot("col_var", shape=(*shape[:-2], 1, shape[-1])),
        )

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        if not g.numel():
            return g  # the mean of no numbers is not a number
        t, (eps1, eps2) = state["t"], settings["eps"]
        eps1 = torch.finfo(theta.dtype).eps if eps1 is None else eps1
        lr, share, longest = settings["lr"], t ** settings["beta2_decay"], t**-0.5
        if isinstance(t, Tensor):  # in a compiled step, where lr must be no constant
            share = share.to(g)
            longest = torch.minimum(longest, torch.ones_like(t) * lr).to(g)
        else:
            longest = min(longest, lr)
        if "variance" in state:
            v = state["variance"].lerp_(g.square(), share)
        else:
            rows, columns = state["row_var"], state["col_var"]
            rows.lerp_(g.square().mean(dim=-1, keepdim=True), share)
            columns.lerp_(g.square().mean(dim=-2, keepdim=True), share)
            # Rows times columns has the mean of v twice in it.
            v = (rows @ columns).div_(rows.mean(dim=-2, keepdim=True).clamp(min=eps1))
        update: Tensor = v.clamp(min=eps1**2).rsqrt_().mul_(g)
        clipped = (_root_mean_square(update) / settings["d"]).clamp(min=1)
        length = _root_mean_square(theta).clamp(min=eps2) * longest
        return update.mul_(-length / clipped)


def _root_mean_square(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()
