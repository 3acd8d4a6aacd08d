"""RAdam."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
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

__all__ = ["RAdam"]


class RAdam(BaseOptimizer):
    """RAdam as a drop-in for :class:`torch.optim.RAdam`.

    Parameters
    ----------
    params, lr, betas, weight_decay, foreach, maximize, capturable, differentiable,
    nonfinite, max_grad_norm, state_dtype
        As for :class:`Adam`.
    eps : float
        Added to the root of the *uncorrected* v.
    decoupled_weight_decay : bool
        True decays as :class:`AdamW` does.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`.

    Notes
    -----
    As in PyTorch, steps are adaptive from rho_t > 5 on: with the default betas, from t
    = 6. Until then a step is ``lr`` times the corrected average of the *gradients*:
    large gradients give large steps, so clip them. With ``betas[1] <= 2/3`` rho_t never
    exceeds 5, and no step is adaptive.

    References
    ----------
    Liu et al. (2020), "On the Variance of the Adaptive Learning Rate and Beyond",
    algorithm 2.

    Examples
    --------
    The first steps are plain momentum, proportional to the gradient:

    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = RAdam([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.8000, -1.6000])
    """

    hyperparameters = COMMON | {
        "betas": decay_rates(2),
        "eps": EPS,
        "decoupled_weight_decay": flag(),
    }
    state_slots = (Slot("exp_avg"), Slot("exp_avg_sq", signed=False))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
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
        t, m, v = state["t"], state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = settings["betas"]
        to_average(m, g, beta1)
        to_average_of_squares(v, g, beta2)
        correction2 = one_minus_power(beta2, t)
        rho_inf = 2 / (1 - beta2) - 1
        rho: Any = rho_inf - 2 * t * beta2**t / correction2
        m_hat: Tensor = m * (-settings["lr"] / one_minus_power(beta1, t))
        if not isinstance(rho, Tensor) and rho <= 5:
            return m_hat
        r_squared = (
            (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        )
        root_of_v = v.sqrt() + settings["eps"]
        if not isinstance(rho, Tensor):
            return m_hat.div_(root_of_v).mul_(math.sqrt(r_squared * correction2))
        # Both kinds of step are in the graph; clamped, since r is not real in the first
        # steps.
        factor = (r_squared.clamp(min=0) * correction2).sqrt()
        return torch.where(rho > 5, m_hat * factor / root_of_v, m_hat)
