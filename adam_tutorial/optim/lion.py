"""Lion."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from adam_tutorial.optim.averages import to_average
from adam_tutorial.optim.base import BaseOptimizer, Settings, Slot, State
from adam_tutorial.optim.hyperparameters import COMMON, ForeachFlags, decay_rates

__all__ = ["Lion"]


class Lion(BaseOptimizer):
    """Lion: step by the sign of an average. Half the state of Adam.

    Parameters
    ----------
    params, foreach, maximize, capturable, differentiable
        As for :class:`Adam`.
    nonfinite, max_grad_norm, state_dtype
        As for :class:`Adam`.
    lr : float or Tensor
        Length of every coordinate's step. The authors advise three to ten times less
        than for Adam, and as many times more weight decay, so that
        ``lr * weight_decay`` stays.
    betas : tuple of float or of Tensor
        Share of the average in the step; share that the average keeps. There is no
        average of squares.
    weight_decay : float
        As for :class:`AdamW`.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`.

    References
    ----------
    Chen et al. (2023), "Symbolic Discovery of Optimization Algorithms", algorithm 2.

    Examples
    --------
    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Lion([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.9000, -1.9000])
    """

    hyperparameters = COMMON | {
        "betas": decay_rates(2),
    }
    state_slots = (Slot("exp_avg"),)
    decoupled = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.99),
        weight_decay: float = 0,
        **flags: Unpack[ForeachFlags],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults, flags)

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        m = state["exp_avg"]
        beta1, beta2 = settings["betas"]
        direction: Tensor = m * beta1 + g * (1 - beta1)
        to_average(m, g, beta2)
        return direction.sign_().mul_(-settings["lr"])
