"""Adam's relatives: each states how its update differs. Younger ones belong here too."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from adam_tutorial.optim.base import (
    AdamFamily,
    Settings,
    State,
    one_minus_power,
    to_average,
    to_average_of_squares,
)

__all__ = ["AdaBelief", "Adamax", "Lion", "NAdam", "RAdam"]

Number = float | Tensor


class Adamax(AdamFamily):
    """AdaMax as a drop-in for :class:`torch.optim.Adamax`.

    Parameters
    ----------
    params, lr, betas, weight_decay, foreach, maximize, differentiable, capturable,
    nonfinite
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
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Adamax([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.9000, -1.9000])
    """

    moments = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        nonfinite: str = "pass",
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
                "nonfinite": nonfinite,
            },
        )

    def _update(self, g: Tensor, state: State, settings: Settings) -> Tensor:
        beta1, beta2 = settings["betas"]
        m, u = state["exp_avg"], state["exp_inf"]
        to_average(m, g, beta1)
        u.copy_(torch.maximum(u * beta2, g.abs() + settings["eps"]))
        return m.div(u).mul_(-settings["lr"] / one_minus_power(beta1, state["t"]))


class NAdam(AdamFamily):
    """NAdam as a drop-in for :class:`torch.optim.NAdam`.

    Parameters
    ----------
    params, lr, betas, eps, weight_decay, foreach, maximize, capturable, differentiable,
    nonfinite
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
    >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = NAdam([theta], lr=0.1)
    >>> for _ in range(20):
    ...     optimizer.zero_grad()
    ...     (theta**2).sum().backward()
    ...     optimizer.step()
    >>> abs(theta.item()) < 0.3
    True
    """

    moments = ("exp_avg", "exp_avg_sq")
    scalars = (("mu_product", 1.0),)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        nonfinite: str = "pass",
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
                "nonfinite": nonfinite,
            },
        )

    def _update(self, g: Tensor, state: State, settings: Settings) -> Tensor:
        t, m, v = state["t"], state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = settings["betas"]
        decay, lr = settings["momentum_decay"], settings["lr"]
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * decay))
        state["mu_product"] *= mu
        product: Any = (
            state["mu_product"] if isinstance(t, Tensor) else state["mu_product"].item()
        )
        to_average(m, g, beta1)
        to_average_of_squares(v, g, beta2)
        ahead = m * (mu_next / (1 - product * mu_next)) + g * ((1 - mu) / (1 - product))
        root_of_v_hat = (v / one_minus_power(beta2, t)).sqrt_()
        update: Tensor = ahead.div_(root_of_v_hat + settings["eps"]).mul_(-lr)
        return update


class RAdam(AdamFamily):
    """RAdam as a drop-in for :class:`torch.optim.RAdam`.

    Parameters
    ----------
    params, lr, betas, weight_decay, foreach, maximize, capturable, differentiable,
    nonfinite
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

    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = RAdam([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.8000, -1.6000])
    """

    moments = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        nonfinite: str = "pass",
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
                "nonfinite": nonfinite,
            },
        )

    def _update(self, g: Tensor, state: State, settings: Settings) -> Tensor:
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


class AdaBelief(AdamFamily):
    """AdaBelief: divide by how far gradients are from their average.

    Parameters
    ----------
    params, lr, betas, foreach, maximize, capturable, differentiable, nonfinite
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
    >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = AdaBelief([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> round(theta.item(), 4)
    0.8889
    """

    moments = ("exp_avg", "exp_avg_var")

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-16,
        weight_decay: float = 0,
        *,
        decoupled_weight_decay: bool = True,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        nonfinite: str = "pass",
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
                "nonfinite": nonfinite,
            },
        )

    def _update(self, g: Tensor, state: State, settings: Settings) -> Tensor:
        t, m, s = state["t"], state["exp_avg"], state["exp_avg_var"]
        beta1, beta2 = settings["betas"]
        to_average(m, g, beta1)
        to_average_of_squares(s, g - m, beta2)
        s.add_(settings["eps"])
        root_of_s_hat = (s / one_minus_power(beta2, t)).sqrt_()
        step_size = settings["lr"] / one_minus_power(beta1, t)
        return m.div(root_of_s_hat + settings["eps"]).mul_(-step_size)


class Lion(AdamFamily):
    """Lion: step by the sign of an average. Half the state of Adam.

    Parameters
    ----------
    params, foreach, maximize, capturable, differentiable, nonfinite
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
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Lion([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.9000, -1.9000])
    """

    moments = ("exp_avg",)
    decoupled = True

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-4,
        betas: tuple[Number, Number] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        nonfinite: str = "pass",
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
                "nonfinite": nonfinite,
            },
        )

    def _update(self, g: Tensor, state: State, settings: Settings) -> Tensor:
        m = state["exp_avg"]
        beta1, beta2 = settings["betas"]
        direction: Tensor = m * beta1 + g * (1 - beta1)
        to_average(m, g, beta2)
        return direction.sign_().mul_(-settings["lr"])
