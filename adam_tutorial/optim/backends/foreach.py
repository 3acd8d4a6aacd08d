"""The same rule on lists of tensors, by PyTorch's multi-tensor operations.

A rule is written with the methods of tensors; :class:`Tensors` has these methods for a
list of them. So each rule is written once, and this module knows none. It costs one
call for a list where the plain backend makes one for each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._foreach_utils import _get_foreach_kernels_supported_devices

from adam_tutorial.optim.backends import plain
from adam_tutorial.optim.backends.prepared import Prepared, Rule, apply_rule, finish

__all__ = ["Tensors", "is_default", "step"]

# A list is stepped when it has so many elements: each line of a rule holds intermediate
# results as large as the list, so this bounds the memory that a step needs (64 MiB a
# line in float32), unless a single parameter is larger.
ELEMENTS = 2**24

# What multi-tensor operations take, and the numbers of a state.
ORDINARY = frozenset((Tensor, torch.nn.Parameter, int, float))


def is_default(parameters: Iterable[Tensor]) -> bool:
    """Return whether lists are faster for these: on accelerators, as PyTorch has it."""
    devices = _get_foreach_kernels_supported_devices()
    return all(parameter.device.type in devices for parameter in parameters)


def step(
    optimizer: Rule,
    parameters: Iterable[Prepared],
    settings: Mapping[str, Any],
) -> None:
    """Move parameters in lists of equal device, dtype, and numbers such as ``t``.

    Rules that look at more than one element at a time, and tensors of classes of their
    own (DTensor, for one), go the plain way in the same step.
    """
    lists: dict[Any, list[Prepared]] = {}
    elements: dict[Any, int] = {}
    for parameter in parameters:
        if not (optimizer.elementwise and _is_ordinary(parameter)):
            plain.step(optimizer, [parameter], settings)
            continue
        numbers = (parameter.state[name] for name in ("t", *parameter.numbers))
        key = (parameter.theta.device, parameter.theta.dtype, *numbers)
        lists.setdefault(key, []).append(parameter)
        elements[key] = elements.get(key, 0) + parameter.theta.numel()
        if elements[key] >= ELEMENTS:
            _step_list(optimizer, lists.pop(key), settings)
            del elements[key]
    for together in lists.values():
        _step_list(optimizer, together, settings)


def _step_list(
    optimizer: Rule, together: list[Prepared], settings: Mapping[str, Any]
) -> None:
    state = {
        name: (
            Tensors([parameter.state[name] for parameter in together])
            if isinstance(value, Tensor)
            else value
        )
        for name, value in together[0].state.items()
    }
    theta = Tensors([parameter.theta for parameter in together])
    g = Tensors([parameter.g for parameter in together])
    apply_rule(optimizer, theta, g, state, settings)
    for parameter in together:
        for name in parameter.numbers:
            parameter.state[name] = state[name]
        finish(parameter)


def _is_ordinary(parameter: Prepared) -> bool:
    values = (parameter.theta, parameter.g, *parameter.state.values())
    return ORDINARY.issuperset(map(type, values))


def _out_of_place(operation: str) -> Callable[..., Tensors]:
    function = getattr(torch, f"_foreach_{operation}")

    def method(self: Tensors, *others: Any, **options: Any) -> Tensors:
        return Tensors(function(self.tensors, *map(_unwrapped, others), **options))

    return method


def _in_place(operation: str) -> Callable[..., Tensors]:
    function = getattr(torch, f"_foreach_{operation}")

    def method(self: Tensors, *others: Any, **options: Any) -> Tensors:
        function(self.tensors, *map(_unwrapped, others), **options)
        return self

    return method


def _unwrapped(value: Any) -> Any:
    return value.tensors if isinstance(value, Tensors) else value


class Tensors:
    """A list of tensors with the methods of a tensor that rules use.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one device and dtype, of any shapes. In-place methods change them.

    Examples
    --------
    >>> pair = Tensors([torch.ones(2), torch.ones(3)])
    >>> (pair * 2).add_(pair).tensors
    (tensor([3., 3.]), tensor([3., 3., 3.]))
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors

    __add__ = add = _out_of_place("add")
    __sub__ = _out_of_place("sub")
    __mul__ = _out_of_place("mul")
    __truediv__ = div = _out_of_place("div")
    abs = _out_of_place("abs")
    maximum = _out_of_place("maximum")
    sqrt = _out_of_place("sqrt")

    add_ = _in_place("add_")
    addcmul_ = _in_place("addcmul_")
    copy_ = _in_place("copy_")
    div_ = _in_place("div_")
    lerp_ = _in_place("lerp_")
    mul_ = _in_place("mul_")
    sign_ = _in_place("sign_")
    sqrt_ = _in_place("sqrt_")
