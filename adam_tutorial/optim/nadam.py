"""NAdam."""

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
    number,
)

__all__ = ["NAdam"]


class NAdam(BaseOptimizer):
    """NAdam as a drop-in for :class:`torch.optim.NAdam`.

    Parameters
    ----------
    params, lr, betas, eps, weight_decay, foreach, maximize, capturable, differentiable,
    nonfinite, max_grad_norm, state_dtype
        As for :class:`Adam`.
    momentum_decay : float
        How fast the momentum rises from half of ``betas[0]`` to ``betas[0]``: half of
        the rise takes about ``17 / momentum_decay`` steps, 4,245 with the default.
    decoupled_weight_decay : bool
        True decays as :class:`AdamW` does.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`.

    References
    ----------
    Dozat (2016), "Incorporating Nesterov Momentum into Adam".

    Examples
    --------
    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = NAdam([theta], lr=0.1)
    >>> for _ in range(20):
    ...     optimizer.zero_grad()
    ...     (theta**2).sum().backward()
    ...     optimizer.step()
    >>> abs(theta.item()) < 0.3
    True
    """

    hyperparameters = COMMON | {
        "betas": decay_rates(2),
        "eps": EPS,
        "momentum_decay": number("Invalid momentum_decay value"),
        "decoupled_weight_decay": flag(),
    }
    state_slots = (
        Slot("exp_avg"),
        Slot("exp_avg_sq", signed=False),
        Slot("mu_product", first=1.0, number=True),
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **flags: Unpack[ForeachFlags],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, flags)

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        t, m, v = state["t"], state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = settings["betas"]
        decay, lr = settings["momentum_decay"], settings["lr"]
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * decay))
        state["mu_product"] = product = state["mu_product"] * mu
        to_average(m, g, beta1)
        to_average_of_squares(v, g, beta2)
        ahead = m * (mu_next / (1 - product * mu_next)) + g * ((1 - mu) / (1 - product))
        root_of_v_hat = (v / one_minus_power(beta2, t)).sqrt_()
        update: Tensor = ahead.div_(root_of_v_hat + settings["eps"]).mul_(-lr)
        return update
