"""AdaBelief."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from adam_tutorial.optim.averages import (
    one_minus_power,
    to_average,
    to_average_of_squares,
)
from adam_tutorial.optim.base import BaseOptimizer, Settings, Slot, State
from adam_tutorial.optim.hyperparameters import (
    COMMON,
    EPS,
    ForeachFlags,
    decay_rates,
    flag,
)

__all__ = ["AdaBelief"]


class AdaBelief(BaseOptimizer):
    """AdaBelief: divide by how far gradients are from their average.

    Parameters
    ----------
    params, lr, betas, foreach, maximize, capturable, differentiable
        As for :class:`Adam`.
    nonfinite, max_grad_norm, state_dtype
        As for :class:`Adam`.
    eps : float
        Added to the second moment at *every* step, and to its root. What it adds to the
        corrected moment in all is ``eps / (1 - betas[1])``: 1e-13 with the defaults.
    weight_decay : float
        As for :class:`AdamW`.
    decoupled_weight_decay : bool
        False makes the decay an L2 penalty.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`.

    Notes
    -----
    The authors' package adds RAdam's rectification by default; this class does not.

    References
    ----------
    Zhuang et al. (2020), "AdaBelief Optimizer: Adapting Stepsizes by the Belief in
    Observed Gradients", algorithm 2.

    Examples
    --------
    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = AdaBelief([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> round(theta.item(), 4)
    0.8889
    """

    hyperparameters = COMMON | {
        "betas": decay_rates(2),
        "eps": EPS,
        "decoupled_weight_decay": flag(),
    }
    state_slots = (Slot("exp_avg"), Slot("exp_avg_var", signed=False))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-16,
        weight_decay: float = 0,
        *,
        decoupled_weight_decay: bool = True,
        **flags: Unpack[ForeachFlags],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, flags)

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        t, m, s = state["t"], state["exp_avg"], state["exp_avg_var"]
        beta1, beta2 = settings["betas"]
        to_average(m, g, beta1)
        to_average_of_squares(s, g - m, beta2)
        s.add_(settings["eps"])
        root_of_s_hat = (s / one_minus_power(beta2, t)).sqrt_()
        step_size = settings["lr"] / one_minus_power(beta1, t)
        update: Tensor = m.div(root_of_s_hat + settings["eps"]).mul_(-step_size)
        return update
