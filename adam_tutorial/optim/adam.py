"""Adam."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from adam_tutorial.optim.averages import (
    one_minus_power,
    root_of,
    to_average,
    to_average_of_squares,
)
from adam_tutorial.optim.base import BaseOptimizer, Settings, Slot, State
from adam_tutorial.optim.hyperparameters import (
    COMMON,
    EPS,
    FusedFlags,
    decay_rates,
    flag,
)

__all__ = ["Adam"]


class Adam(BaseOptimizer):
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
    foreach : bool, optional
        True, and the default on an accelerator without a native call: step lists of
        tensors with PyTorch's multi-tensor operations. False: one tensor at a time, the
        way to read. The results are the same.
    maximize : bool
        Climb instead of descend.
    capturable : bool
        Keep the step count on the parameter's device and never read it back.
    differentiable : bool
        Let autograd record the step. The powers of the decay rates are computed in
        float32 then, as PyTorch does it.
    fused : bool, optional
        True, and the default where ``foreach`` is not given: one native call for all
        parameters. On a CPU it is compiled by Numba (the extra ``fast``); without
        Numba, PyTorch's fused step is called where that computes the same. On an NVIDIA
        GPU with bfloat16 (compute capability 8.0) it is one launch, compiled by Triton,
        which waits for nothing; asked for with True, it was run on an H200, and on no
        other GPU. On ROCm it is not the default. What such a call cannot take goes the
        plain way in the same step, or in lists on a GPU; :meth:`path` says which
        parameters do, and why. With True, a GradScaler hands over its scaled gradients,
        and the step unscales them.
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
    max_grad_norm : float, optional
        Clip: multiply the gradients of all groups by one number, so that their norm
        together is at most this. As ``torch.nn.utils.clip_grad_norm_`` before the step,
        but the gradients in ``.grad`` stay as they are, and the memory is not passed
        through once more. ``gradient_norm`` is the norm before clipping. Over processes
        with shards, see ``nonfinite``.
    state_dtype : {None, torch.float32, torch.bfloat16, torch.uint8}
        How the moments are stored: by default as precise as the parameter, and in
        float32 at least. In bfloat16 they need 4 bytes a parameter instead of 8, in
        uint8 (an 8-bit float below the largest of each block of 256) 2.03. Numbers are
        rounded at random, or averages would stop moving; the module
        ``adam_tutorial.optim.low_precision`` says how. The arithmetic stays that of
        float32. Each group may have its own. A checkpoint does not change it: one of
        any precision, PyTorch's among them, is converted when it is loaded. Not with
        ``differentiable``.

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
    The class derives from :class:`torch.optim.Optimizer`, not from
    :class:`torch.optim.Adam`, and some libraries look for the latter. DeepSpeed's ZeRO
    wants ``"zero_allow_untested_optimizer": true`` in its configuration.
    Stable-Baselines3 sets ``eps=1e-5`` for PyTorch's Adam alone: hand it
    ``optimizer_kwargs={"eps": 1e-5}`` beside ``optimizer_class``.

    The state of a parameter is that of PyTorch's class, under the same names: ``step``
    (t), ``exp_avg`` (m), ``exp_avg_sq`` (v), and ``max_exp_avg_sq`` with AMSGrad. A
    checkpoint of one loads into the other; PyTorch then rounds the moments of float16
    and bfloat16 parameters to that type. :mod:`torch.distributed.checkpoint` wants
    every setting in the file, and PyTorch's class has no ``nonfinite``: load its
    checkpoints with ``DefaultLoadPlanner(allow_partial_load=True)``.

    In uint8, an entry such as ``exp_avg`` is stored as two, ``exp_avg_code`` and
    ``exp_avg_scale``. PyTorch's class does not know these, and refuses to step. Load
    the checkpoint into this class with ``state_dtype=None``, and save that one's. Of a
    DTensor (fully_shard), the checkpoint has float32 in any case, and each process
    rounds its own part. The older FullyShardedDataParallel trains with such a state,
    but cannot gather it: its ``optim_state_dict`` ends in an error.

    Moments of float16 and bfloat16 parameters are float32, and so is the arithmetic;
    only the parameter is rounded. A complex parameter is treated as its real and
    imaginary parts. Gradients must be dense.

    Every way of stepping computes the same: the moments to the last bit, the parameters
    but for the last bit of a square root, in which PyTorch's operations are not rounded
    to the nearest on every CPU. (On a GPU it was tested up to rounding.) The number of
    threads changes nothing. Ctrl-C waits until a step is complete.

    References
    ----------
    Kingma, Ba (2015), Algorithm 1. Reddi, Kale, Kumar (2018) for AMSGrad.

    Examples
    --------
    >>> import torch
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Adam([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.9000, -1.9000])
    """

    hyperparameters = COMMON | {
        "betas": decay_rates(2),
        "eps": EPS,
        "amsgrad": flag(before=False),
        "decoupled_weight_decay": flag(),
    }
    flags = (
        "foreach",
        "maximize",
        "capturable",
        "differentiable",
        "fused",
    )
    state_slots = (
        Slot("exp_avg"),
        Slot("exp_avg_sq", signed=False),
        Slot("max_exp_avg_sq", asked_by="amsgrad", signed=False),
    )

    kernel = "adam"

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
        **flags: Unpack[FusedFlags],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, flags)

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        t, m, v = state["t"], state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = settings["betas"]
        if settings["differentiable"]:
            t = t.float()  # as PyTorch counts there: the hypergradients are the same
        to_average(m, g, beta1)
        to_average_of_squares(v, g, beta2)
        if settings["amsgrad"]:
            v_max = state["max_exp_avg_sq"]
            # The derivative of the maximum needs the v_max that is overwritten here.
            before = v_max.clone() if settings["differentiable"] else v_max
            v = v_max.copy_(before.maximum(v))
        root_of_v_hat = v.sqrt() * (1 / root_of(one_minus_power(beta2, t)))
        step_size = settings["lr"] / one_minus_power(beta1, t)
        update: Tensor = m.div(root_of_v_hat.add_(settings["eps"])).mul_(-step_size)
        return update
