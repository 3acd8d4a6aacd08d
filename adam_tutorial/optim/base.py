"""What all optimizers of this package share; each adds its update rule and nothing else.

A subclass says which moments a parameter has and how one step computes its update, in
the dtype and layout that it is handed. Everything a training script relies on besides
is here: groups, closures, dtypes, weight decay, non-finite gradients, checkpoints.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, overload

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.optim.optimizer import Optimizer, ParamsT

from adam_tutorial.optim.checkpoints import checked_state
from adam_tutorial.optim.checks import as_plain_numbers, check_defaults, check_group
from adam_tutorial.theory import bias_correction

__all__ = ["AdamFamily", "one_minus_power", "to_average", "to_average_of_squares"]

State = dict[str, Tensor]
Settings = dict[str, Any]

HALF = (torch.float16, torch.bfloat16)


class AdamFamily(Optimizer):
    """Base of the optimizers: takes care of everything but the update rule.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or parameter groups.
    defaults : dict
        Hyper-parameters of groups that do not set their own.

    Raises
    ------
    ValueError, TypeError
        A hyper-parameter, a flag, a group or a parameter is not valid.

    Notes
    -----
    A subclass defines ``moments`` and :meth:`_update`. Its hyper-parameters in
    ``defaults`` are named as in :mod:`torch.optim`.
    """

    moments: tuple[str, ...] = ()
    """Names of the state's tensors of the parameter's shape; they start at zero."""

    scalars: tuple[tuple[str, float], ...] = ()
    """Names and first values of the state's numbers, beside ``step``."""

    decoupled = False
    """Whether weight decay shrinks the parameter, where the group does not say."""

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        check_defaults(defaults)
        super().__init__(params, as_plain_numbers(defaults))

    def _update(self, g: Tensor, state: State, settings: Settings) -> Tensor:
        """Move the state by one gradient, in place, and return what is added to the parameter.

        ``g`` and the moments are real and of one dtype, float32 or float64. ``state["t"]`` is the
        number of the step: an int, or a tensor where a graph is recorded.
        """
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, after checking its hyper-parameters and its tensors.

        Raises
        ------
        ValueError, TypeError
            As the constructor does; nothing has been added then.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"a parameter group must be a dict, got {param_group!r}")
        group = dict(param_group)
        if isinstance(group.get("params"), Iterator):
            group["params"] = list(
                group["params"]
            )  # the check would use the iterator up
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        check_group(group, self.defaults, taken=taken, owner=type(self).__name__)
        super().add_param_group(as_plain_numbers(group))

    @_disable_dynamo
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint of this class, or of torch's class of the same name.

        Tensors are copied: the checkpoint, and whoever else loads it, stay independent.
        Moments of half-precision parameters are float32 whatever the checkpoint holds.

        Parameters
        ----------
        state_dict : dict
            What ``state_dict()`` returned.

        Raises
        ------
        ValueError, TypeError
            It was made with the other kind of weight decay or by another rule, or does
            not fit the parameters. Nothing has been changed then.
        """
        # Written anew rather than called on the base class, because that casts moments
        # to the dtype of the parameter: a float32 second moment of a bfloat16 weight
        # would lose its digits, and could not move any more.
        state_dict = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict) or state_dict
        self.__setstate__(checked_state(self, state_dict))
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step with every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients; called once, before the step.

        Returns
        -------
        loss : float or None
            What the closure returned.

        Raises
        ------
        TypeError
            A gradient is sparse. No parameter has been changed then.
        FloatingPointError
            A gradient is not finite, and the group's ``nonfinite`` is ``"raise"``. No
            parameter has been changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            if self._scaler_allows_a_step() and self._gradients_allow_a_step():
                for group in self.param_groups:
                    self._init_group(group)
                    self._step_group(group)
        return loss

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether GradScaler leaves the division by its scale to the step, as with torch's fused.

        It refuses to divide float16 gradients itself.
        """
        return bool(self.defaults.get("fused"))

    def _scaler_allows_a_step(self) -> bool:
        """Return False if a GradScaler has found that a gradient is not finite."""
        found_inf = getattr(self, "found_inf", None)
        return found_inf is None or found_inf.item() == 0

    def _gradients_allow_a_step(self) -> bool:
        """Raise for gradients that cannot be used; return False for those to be skipped."""
        bad = None
        for index, group in enumerate(self.param_groups):
            for place, parameter in enumerate(group["params"]):
                gradient = parameter.grad
                if gradient is None:
                    continue
                if gradient.layout != torch.strided:
                    raise TypeError(
                        f"{type(self).__name__} needs dense gradients, got one of"
                        f" layout {gradient.layout} for {_name(group, index, place)};"
                        " use torch.optim.SparseAdam, or Embedding(sparse=False)"
                    )
                if group.get("nonfinite", "pass") == "pass" or _is_finite(gradient):
                    continue
                if group["nonfinite"] == "raise":
                    raise FloatingPointError(
                        f"the gradient of {_name(group, index, place)} is not finite"
                    )
                bad = bad or _name(group, index, place)
        if bad:
            # Not silent: a run that skips every step would look like one that has
            # converged.
            warnings.warn(
                f"skipped the step: the gradient of {bad} is not finite",
                RuntimeWarning,
                stacklevel=4,
            )
        return not bad

    def _moment_names(self, group: Settings) -> tuple[str, ...]:
        """Return the names of the moments that the group's settings ask for."""
        return (
            (*self.moments, "max_exp_avg_sq") if group.get("amsgrad") else self.moments
        )

    def _init_group(self, group: Settings) -> None:
        """Give each parameter with a gradient the state that is missing.

        The name is the one that ``torch.compile`` looks for: it runs this method
        instead of tracing it.
        """
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if "step" not in state:
                # torch keeps counters in float32, which cannot count further than
                # 2**24.
                device = parameter.device if group.get("capturable") else "cpu"
                state["step"] = torch.zeros((), dtype=torch.float64, device=device)
                for name, value in self.scalars:
                    state[name] = torch.full(
                        (), value, dtype=torch.float64, device=device
                    )
            for name in self._moment_names(group):
                if name not in state:
                    # Also when AMSGrad is switched on in mid-run: its maximum begins at
                    # zero.
                    state[name] = torch.zeros_like(
                        parameter,
                        dtype=moment_dtype(parameter),
                        memory_format=torch.preserve_format,
                        requires_grad=False,
                    )

    def _step_group(self, group: Settings) -> None:
        recorded = bool(group.get("capturable") or group.get("differentiable"))
        settings = {**group, **(_as_doubles(group) if recorded else _as_floats(group))}
        for parameter in group["params"]:
            if parameter.grad is not None:
                self._step_parameter(
                    parameter, self.state[parameter], settings, recorded
                )

    def _step_parameter(
        self, parameter: Tensor, stored: State, settings: Settings, recorded: bool
    ) -> None:
        if settings.get("differentiable"):
            # The graph of the step before still needs the old values.
            for name in stored:
                stored[name] = stored[name].clone()
        stored["step"] += 1
        # Complex numbers are pairs of real ones, each with its own second moment.
        target = _as_real(parameter)
        state: Any = dict(stored)
        for name in self._moment_names(settings):
            state[name] = _as_real(stored[name])
        state["t"] = stored["step"] if recorded else int(stored["step"])
        g = _as_real(parameter.grad.resolve_conj())  # type: ignore[union-attr]

        # Half precision is the format of the parameter, not of the arithmetic: eps
        # would be zero in float16, and 1 - beta2 would be lost in bfloat16.
        theta = target.float() if parameter.dtype in HALF else target
        g = g.to(theta.dtype)
        scale = getattr(self, "grad_scale", None)
        if scale is not None:
            g = g / scale
            parameter.grad.div_(scale)  # type: ignore[union-attr]  # torch's fused step does too
        if settings["maximize"]:
            g = -g
        weight_decay = settings["weight_decay"]
        if weight_decay != 0:
            if settings.get("decoupled_weight_decay", self.decoupled):
                theta.mul_(1 - settings["lr"] * weight_decay)
            else:
                g = g.add(theta, alpha=weight_decay)
        theta.add_(self._update(g, state, settings))
        if theta is not target:
            target.copy_(theta)


def moment_dtype(parameter: Tensor) -> torch.dtype:
    """Return the dtype of a parameter's moments: its own, or float32 for half precision."""
    return torch.float32 if parameter.dtype in HALF else parameter.dtype


def one_minus_power(beta: float | Tensor, t: int | Tensor) -> Any:
    """Return ``1 - beta**t`` in all digits, as a number, or as a tensor if ``t`` is one.

    Parameters
    ----------
    beta : float or Tensor
        Decay rate in [0, 1).
    t : int or Tensor
        Number of the step, from 1.
    """
    if not isinstance(t, Tensor):
        return bias_correction(float(beta), t)
    if isinstance(beta, Tensor):
        return -torch.expm1(t * torch.log(beta.to(t)))
    return -torch.expm1(t * (math.log(beta) if beta > 0 else -math.inf))


def to_average(average: Tensor, value: Tensor, beta: float | Tensor) -> None:
    """Put ``beta * average + (1 - beta) * value`` into ``average``."""
    if isinstance(beta, Tensor):
        average.mul_(beta).add_(value * (1 - beta))
    else:
        average.lerp_(value, 1 - beta)


def to_average_of_squares(average: Tensor, value: Tensor, beta: float | Tensor) -> None:
    """Put ``beta * average + (1 - beta) * value**2`` into ``average``."""
    average.mul_(beta)
    if isinstance(beta, Tensor):
        average.add_(value * value * (1 - beta))
    else:
        average.addcmul_(value, value, value=1 - beta)


def _is_finite(gradient: Tensor) -> bool:
    """Say whether all elements are finite; of a DTensor, also those that other processes hold."""
    # Counted, since the sum of a DTensor is right in every version of torch: from
    # all(), torch 2.13 reads the own shard only, and the processes would decide
    # differently about one step.
    count = gradient.isfinite().sum()
    if hasattr(count, "full_tensor"):
        count = count.full_tensor()
    return int(count) == gradient.numel()


def _as_real(tensor: Tensor) -> Tensor:
    """Return a view of the tensor's real numbers, of one dimension at least."""
    if tensor.is_complex():
        return torch.view_as_real(tensor)
    # Compiled by torch 2.13, changes of a float64 tensor without dimensions are lost.
    return tensor if tensor.ndim else tensor.view(1)


def _as_floats(group: Settings) -> Settings:
    """Return the group's numbers as Python floats; reading a tensor costs a transfer."""
    floats: Settings = {
        name: _as_float(value)
        for name, value in group.items()
        if name != "params"
        and isinstance(value, Tensor | float | int)
        and not isinstance(value, bool)
    }
    floats["betas"] = tuple(_as_float(beta) for beta in group["betas"])
    return floats


def _as_float(value: float | Tensor) -> float:
    # Detached: torch warns of a number taken from a tensor that requires a gradient.
    return float(value.detach() if isinstance(value, Tensor) else value)


def _as_doubles(group: Settings) -> Settings:
    """Return the group's tensors in float64, so that ``1 - lr * weight_decay`` keeps its digits."""
    doubles: Settings = {
        name: value.double()
        for name, value in group.items()
        if isinstance(value, Tensor) and name != "params"
    }
    doubles["betas"] = tuple(
        beta.double() if isinstance(beta, Tensor) else beta for beta in group["betas"]
    )
    return doubles


def _name(group: Settings, index: int, place: int) -> str:
    if "param_names" in group:
        return f"parameter {group['param_names'][place]!r}"
    shape = tuple(group["params"][place].shape)
    return f"parameter {place} of group {index}, of shape {shape}"
