"""Adam and AdamW as PyTorch optimizers, one tensor at a time: the version to read."""

from __future__ import annotations

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

__all__ = ["Adam", "AdamW"]


class Adam(AdamFamily):
    """Adam as a drop-in for :class:`torch.optim.Adam`.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or parameter groups; of dtype float64, float32,
        bfloat16, float16, complex64 or complex128, in any layout.
    lr : float or Tensor
        Learning rate, the paper's alpha.
    betas : tuple of float or of Tensor
        Decay rates of the moving averages of the gradient and of its square, each in
        [0, 1).
    eps : float
        Added to the root of v-hat, outside the root.
    weight_decay : float
        Coefficient of an L2 penalty: ``weight_decay * parameter`` is added to the
        *gradient*. :class:`AdamW` shrinks the parameter instead, which is not the same.
    amsgrad : bool
        Divide by the root of the largest v so far (the maximum is taken over the raw v
        and corrected afterwards, as in PyTorch).
    foreach, fused : bool, optional
        Accepted as PyTorch does; the same computation is done, one parameter at a time.
        With
        ``fused=True``, a GradScaler hands over its scaled gradients, and the step unscales them.
    maximize : bool
        Climb instead of descend.
    capturable : bool
        Keep the step count on the parameter's device and never read it back.
    differentiable : bool
        Let autograd record the step.
    decoupled_weight_decay : bool
        True makes this :class:`AdamW`.
    nonfinite : {"pass", "skip", "raise"}
        What to do when a gradient holds NaN or infinity. ``"pass"``, PyTorch's way:
        compute on, which ruins parameter and moments. ``"skip"``: leave out the step of
        *all* parameters, with a RuntimeWarning. ``"raise"``: FloatingPointError, naming
        the parameter. The last two read every gradient once before the step, and wait
        for the device. Processes with the same gradients (DistributedDataParallel), or
        with shards of them as DTensors (fully_shard), decide alike. Where each holds
        other parameters as plain tensors (ZeroRedundancyOptimizer,
        FullyShardedDataParallel), each decides for its own.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range, flags contradict each other, or a tensor
        cannot be optimized (not a leaf, expanded, or given twice).
    TypeError
        A value or a parameter is of the wrong type, or a group holds a misspelt
        hyper-parameter.

    Notes
    -----
    The state of a parameter is that of torch's class, under the same names: ``step``
    (t),
    ``exp_avg`` (m), ``exp_avg_sq`` (v), and ``max_exp_avg_sq`` with AMSGrad. A checkpoint of one
    loads into the other; PyTorch then rounds the moments of float16 and bfloat16
    parameters to that type. :mod:`torch.distributed.checkpoint` wants every setting in
    the file, and torch's class has no ``nonfinite``: load its checkpoints with
    ``DefaultLoadPlanner(allow_partial_load=True)``.

    Moments of float16 and bfloat16 parameters are float32, and so is the arithmetic;
    only the parameter is rounded. A complex parameter is treated as its real and
    imaginary parts. Gradients must be dense.

    References
    ----------
    Kingma, Ba (2015), Algorithm 1. Reddi, Kale, Kumar (2018) for AMSGrad.

    Examples
    --------
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Adam([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.9000, -1.9000])
    """

    moments = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        nonfinite: str = "pass",
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
                "nonfinite": nonfinite,
            },
        )

    def _update(self, g: Tensor, state: State, settings: Settings) -> Tensor:
        t, m, v = state["t"], state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = settings["betas"]
        to_average(m, g, beta1)
        to_average_of_squares(v, g, beta2)
        if settings["amsgrad"]:
            v_max = state["max_exp_avg_sq"]
            # Not torch.maximum: its derivative needs the v_max that is overwritten
            # here.
            v = v_max.copy_(torch.where(v_max >= v, v_max, v))
        root_of_v_hat = (v / one_minus_power(beta2, t)).sqrt_()
        step_size = settings["lr"] / one_minus_power(beta1, t)
        return m.div(root_of_v_hat + settings["eps"]).mul_(-step_size)


class AdamW(Adam):
    """Adam with decoupled weight decay, as a drop-in for :class:`torch.optim.AdamW`.

    Before each step a parameter is multiplied by ``1 - lr * weight_decay``; the
    gradient, and with it m and v, know nothing of the decay.

    Parameters
    ----------
    params, lr, betas, eps, amsgrad, maximize, foreach, capturable, differentiable,
    fused, nonfinite
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
    >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = AdamW([theta], lr=0.1, weight_decay=0.5)
    >>> theta.grad = torch.zeros(1)
    >>> optimizer.step()
    >>> theta.data
    tensor([0.9500])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        nonfinite: str = "pass",
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
            nonfinite=nonfinite,
        )
