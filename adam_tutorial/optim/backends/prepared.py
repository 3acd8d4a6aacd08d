"""A step in three parts, for one parameter or for many: prepare, rule, finish.

*Prepare* turns what PyTorch stores into what a formula needs: real numbers, in the
dtype of the arithmetic, with a gradient that is unscaled and points uphill. The *rule*
is the optimizer's. *Finish* writes back what the rule cannot reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from adam_tutorial.optim.low_precision import Dither, decoded, encode, local
from adam_tutorial.optim.state import HALF, Slot, State

__all__ = ["Prepared", "Rule", "apply_rule", "finish", "prepare"]


class Rule(Protocol):
    """What a backend needs of an optimizer."""

    elementwise: ClassVar[bool]

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Mapping[str, Any]
    ) -> Tensor:
        """Move the state and return what is added to theta."""
        ...

    def decouples(self, settings: Mapping[str, Any]) -> bool:
        """Return True if weight decay shrinks the parameter, False for a penalty."""
        ...


@dataclass
class Prepared:
    """A parameter that is ready for its rule.

    Parameters
    ----------
    stored : dict
        The optimizer's state of this parameter, as checkpoints hold it.
    target : Tensor
        The parameter's real numbers, one dimension at least.
    theta : Tensor
        The same in the dtype of the arithmetic: ``target`` itself, or a float32 copy.
    g : Tensor
        The gradient, of theta's shape and dtype.
    state : dict
        What the rule reads and changes: ``t``, the number of this step; tensors, to be
        changed in place; numbers, to be assigned anew. Numbers are tensors where a
        graph is recorded, and Python's otherwise.
    numbers : tuple of str
        Names of the numbers in ``state``, without ``t``.
    rounded : tuple of (Slot, Dither)
        Those entries of ``state`` that are copies of what is stored in fewer bits, and
        how they are rounded.
    """

    stored: State
    target: Tensor
    theta: Tensor
    g: Tensor
    state: State
    numbers: tuple[str, ...]
    rounded: tuple[tuple[Slot, Dither], ...]


def prepare(
    parameter: Tensor,
    stored: State,
    slots: Sequence[Slot],
    settings: Mapping[str, Any],
    *,
    scale: Tensor | None,
    factor: Tensor | None,
    seed: int,
    recorded: bool,
) -> Prepared:
    """Count a parameter's step, and make it and its gradient ready for the rule.

    Parameters
    ----------
    parameter : Tensor
        With a gradient.
    stored : dict
        Its state.
    slots : sequence of Slot
        What the rule needs of the state.
    settings : mapping
        Of its group.
    scale : Tensor, optional
        What the gradient was multiplied by; it is divided in place.
    factor : Tensor, optional
        What the rule's gradient is multiplied by, to clip it.
    seed : int
        Chooses the random bits with which the state is rounded, where it is.
    recorded : bool
        Whether a graph of the step is recorded.
    """
    if settings["differentiable"]:
        # The graph of the step before still needs the old values.
        for name in stored:
            stored[name] = stored[name].clone()
    if not recorded:
        # The native step of a GPU counts there. Moved once, not read at every step.
        stored["step"] = stored["step"].cpu()
    stored["step"] += 1
    t = stored["step"] if recorded else int(stored["step"])
    gradient: Tensor = parameter.grad  # type: ignore[assignment]
    target, g = _as_real(parameter), _as_real(gradient.resolve_conj())
    state_dtype = settings["state_dtype"]
    if state_dtype is not None:
        target, g = _own_parts(target, g)
    # Half precision is the format of the parameter, not of the arithmetic: eps would be
    # zero in float16, and 1 - beta2 would be lost in bfloat16.
    theta = target.float() if parameter.dtype in HALF else target
    g = g.to(theta.dtype)
    state: State = {"t": t}
    rounded: list[tuple[Slot, Dither]] = []
    for slot in slots:
        if slot.number:
            value = stored[slot.name]
            state[slot.name] = value if recorded else float(value)
        elif state_dtype in (None, theta.dtype):
            state[slot.name] = _as_real(stored[slot.name])
        else:
            numbers = decoded(stored, slot.name, theta.dtype, signed=slot.signed)
            state[slot.name] = _as_real(numbers)
            rounded.append((slot, Dither(seed, t, len(rounded))))
    if scale is not None:
        g = g / scale
        parameter.grad.div_(scale)  # type: ignore[union-attr]  # as PyTorch's fused step
    if factor is not None:
        g = g * factor.to(device=g.device, dtype=g.dtype)
    if settings["maximize"]:
        g = -g
    names = tuple(slot.name for slot in slots if slot.number)
    return Prepared(stored, target, theta, g, state, names, tuple(rounded))


def apply_rule(
    optimizer: Rule,
    theta: Any,
    g: Any,
    state: State,
    settings: Mapping[str, Any],
) -> None:
    """Move theta, a tensor or a list of them, by the rule and the weight decay."""
    weight_decay = settings["weight_decay"]
    is_tensor = isinstance(weight_decay, Tensor)
    decays = is_tensor or weight_decay != 0
    decoupled = optimizer.decouples(settings)
    if decays and not decoupled:
        # The derivative by a tensor needs the theta that is overwritten below.
        g = g + (theta.clone() if is_tensor else theta) * weight_decay
    update = optimizer.rule(theta, g, state, settings)
    if decays and decoupled:
        theta.mul_(1 - settings["lr"] * weight_decay)
    theta.add_(update)


def finish(parameter: Prepared) -> None:
    """Write back the numbers of the state, and a parameter in half precision."""
    for name in parameter.numbers:
        # One dimension, for the same reason as in _as_real.
        number, value = parameter.stored[name].view(1), parameter.state[name]
        if isinstance(value, Tensor):
            number.copy_(value)
        else:
            number.fill_(value)
    if parameter.theta is not parameter.target:
        parameter.target.copy_(parameter.theta)
    for slot, dither in parameter.rounded:
        value = parameter.state[slot.name]
        encode(parameter.stored, slot.name, value, dither, signed=slot.signed)


def _own_parts(target: Any, g: Any) -> tuple[Tensor, Tensor]:
    """Return what this process has of a parameter and its gradient."""
    if hasattr(g, "to_local") and g.placements != target.placements:
        g = g.redistribute(placements=target.placements)
    return local(target), local(g)


def _as_real(tensor: Tensor) -> Tensor:
    """Return a view of the tensor's real numbers, of one dimension at least.

    A complex number is a pair of real ones, each with a second moment of its own.
    """
    if tensor.is_complex():
        return torch.view_as_real(tensor)
    # Compiled by torch 2.13, changes of a float64 tensor without dimensions are lost.
    return tensor if tensor.ndim else tensor.view(1)
