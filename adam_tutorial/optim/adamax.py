"""AdaMax."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from adam_tutorial.optim.averages import one_minus_power, to_average
from adam_tutorial.optim.base import BaseOptimizer, Settings, Slot, State
from adam_tutorial.optim.hyperparameters import COMMON, EPS, Flags, decay_rates

__all__ = ["Adamax"]


class Adamax(BaseOptimizer):
    """AdaMax as a drop-in for :class:`torch.optim.Adamax`.

    Parameters
    ----------
    params, lr, betas, weight_decay, foreach, maximize, differentiable, capturable,
    nonfinite, max_grad_norm, state_dtype
        As for :class:`Adam`.
    eps : float
        Added to the absolute value of each gradient.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`.

    References
    ----------
    Kingma, Ba (2015), section 7.1, Algorithm 2.

    Examples
    --------
    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Adamax([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.9000, -1.9000])
    """

    hyperparameters = COMMON | {
        "betas": decay_rates(2),
        "eps": EPS,
    }
    flags = ("foreach", "maximize", "differentiable", "capturable")
    state_slots = (Slot("exp_avg"), Slot("exp_inf", signed=False))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        **flags: Unpack[Flags],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults, {**flags, "foreach": foreach})

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        beta1, beta2 = settings["betas"]
        m, u = state["exp_avg"], state["exp_inf"]
        to_average(m, g, beta1)
        u.copy_((u * beta2).maximum(g.abs() + settings["eps"]))
        update: Tensor = m.div(u).mul_(
            -settings["lr"] / one_minus_power(beta1, state["t"])
        )
        return update
