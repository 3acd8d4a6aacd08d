"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from adam_tutorial.optim.adam import Adam
from adam_tutorial.optim.hyperparameters import FusedFlags

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam with decoupled weight decay, as a drop-in for :class:`torch.optim.AdamW`.

    A step also multiplies the parameter by ``1 - lr * weight_decay``; the gradient, and
    with it m and v, know nothing of the decay.

    Parameters
    ----------
    params, lr, betas, eps, amsgrad, foreach, maximize, capturable, differentiable
        As for :class:`Adam`.
    fused, nonfinite, max_grad_norm, state_dtype
        As for :class:`Adam`.
    weight_decay : float
        A step takes ``lr * weight_decay`` of the parameter away, as in PyTorch. That
        product, with the first ``lr`` of a schedule, is the paper's lambda.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`.

    References
    ----------
    Loshchilov, Hutter (2019), "Decoupled Weight Decay Regularization", Algorithm 2.

    Examples
    --------
    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = AdamW([theta], lr=0.1, weight_decay=0.5)
    >>> theta.grad = torch.zeros(1)
    >>> optimizer.step()
    >>> theta.data
    tensor([0.9500])
    """

    flags = (
        "maximize",
        "foreach",
        "capturable",
        "differentiable",
        "fused",
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **flags: Unpack[FusedFlags],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            decoupled_weight_decay=True,
            **flags,
        )
