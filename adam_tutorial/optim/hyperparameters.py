"""Hyper-parameters: what each may be, and the plain value that it becomes.

An optimizer says which hyper-parameters it has by naming one :class:`Hyperparameter`
for each. Checking them, loading older checkpoints and noticing misspelt keys all
follow from that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "COMMON",
    "EPS",
    "FLAG_DEFAULTS",
    "OWN_FLAGS",
    "Flags",
    "ForeachFlags",
    "FusedFlags",
    "Hyperparameter",
    "Nonfinite",
    "as_float",
    "decay_rates",
    "flag",
    "number",
    "parsed",
    "plain",
    "read",
]

Nonfinite = Literal["pass", "skip", "raise"]
KEEP: Any = object()


@dataclass(frozen=True)
class Hyperparameter:
    """What a hyper-parameter may be.

    Parameters
    ----------
    read : function
        From the name and what was given to the plain value; raises TypeError or
        ValueError, naming both.
    check : function
        Raises ValueError for a value, once read, that nobody should ask for.
    usable : function
        Whether a step can be taken with a value. A schedule may set what ``check``
        refuses, such as a negative learning rate; not what makes every number NaN.
    before : object, optional
        What a checkpoint meant that is older than the hyper-parameter. By default the
        optimizer's own setting stays.
    always : bool
        Whether every checkpoint of the rule has it: one without is another rule's.
    tensor_with_foreach : bool
        Whether PyTorch takes a tensor for it beside ``foreach=True``.
    """

    read: Callable[[str, Any], Any]
    check: Callable[[str, Any], None] = lambda _name, _value: None
    usable: Callable[[Any], bool] = lambda _value: True
    before: Any = KEEP
    always: bool = False
    tensor_with_foreach: bool = True


class Flags(TypedDict, total=False):
    """Keyword arguments that every optimizer has, if PyTorch has them."""

    maximize: bool
    capturable: bool
    differentiable: bool
    nonfinite: Nonfinite
    max_grad_norm: float | None
    state_dtype: torch.dtype | None


class ForeachFlags(Flags, total=False):
    """The same with ``foreach``, which in PyTorch's Adamax may be given by place."""

    foreach: bool | None


class FusedFlags(ForeachFlags, total=False):
    """The same for optimizers that PyTorch has in a fused version."""

    fused: bool | None


FLAG_DEFAULTS: dict[str, Any] = {
    "foreach": None,
    "maximize": False,
    "capturable": False,
    "differentiable": False,
    "fused": None,
    "nonfinite": "pass",
    "max_grad_norm": None,
    "state_dtype": None,
}
# These are not PyTorch's. Every optimizer has them whose rule is elementwise.
OWN_FLAGS = ("nonfinite", "max_grad_norm", "state_dtype")
STATE_DTYPES = (torch.float32, torch.bfloat16, torch.uint8)


def number(
    torch_says: str,
    *,
    low: float = 0,
    high: float = math.inf,
    always: bool = False,
    tensor_with_foreach: bool = True,
) -> Hyperparameter:
    """Describe a finite number from ``low`` to ``high``.

    ``torch_says`` begins the message as PyTorch's begins: a script may look for it.
    """
    if (low, high) == (0, math.inf):
        words = "not negative"
    else:
        words = f"at least {low:g}" if high == math.inf else f"at most {high:g}"

    def check(name: str, value: Any) -> None:
        # `not (...)` rather than the reversed comparison, so that NaN is refused too.
        found = as_float(value)
        if not (low <= found <= high and math.isfinite(found)):
            raise ValueError(
                f"{torch_says}: {value}; {name} must be finite and {words}"
            )

    return Hyperparameter(
        _read_number,
        check,
        math.isfinite,
        always=always,
        tensor_with_foreach=tensor_with_foreach,
    )


def decay_rates(count: int) -> Hyperparameter:
    """Describe that many numbers in [0, 1), all of them floats or all tensors."""
    words = {2: "a pair of numbers"}.get(count, f"{count} numbers")

    def read(name: str, value: Any) -> Any:
        rates = _listed(value)
        if rates is None or len(rates) != count:
            raise TypeError(f"{name} must be {words}, got {value!r}")
        if len({isinstance(rate, Tensor) for rate in rates}) > 1:
            raise ValueError(
                f"{name} must be either both floats or both Tensors, got {value!r}"
            )
        return tuple(_read_number(f"{name}[{i}]", rate) for i, rate in enumerate(rates))

    def check(name: str, value: Any) -> None:
        for index, rate in enumerate(value):
            if not 0 <= as_float(rate) < 1:
                raise ValueError(
                    f"Invalid beta parameter at index {index}: {rate}; {name}[{index}]"
                    " must be in [0, 1)"
                )

    return Hyperparameter(
        read,
        check,
        lambda value: all(0 <= float(rate) < 1 for rate in value),
        always=True,
        tensor_with_foreach=False,
    )


def flag(*, before: Any = KEEP) -> Hyperparameter:
    """Describe True and False, or 0 and 1, as a configuration file may have them."""

    def read(name: str, value: Any) -> bool:
        truth = _read_truth(value)
        if truth is None:
            raise TypeError(f"{name} must be True or False, got {value!r}")
        return truth

    return Hyperparameter(read, before=before)


def _read_optional_flag(name: str, value: Any) -> bool | None:
    truth = _read_truth(value)
    if truth is None and value is not None:
        raise TypeError(f"{name} must be True, False or None, got {value!r}")
    return truth


def _read_nonfinite(name: str, value: Any) -> Any:
    choices = ("pass", "skip", "raise")
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    return value


def _read_state_dtype(name: str, value: Any) -> Any:
    if value is not None and value not in STATE_DTYPES:
        choices = ", ".join(map(str, STATE_DTYPES))
        raise TypeError(f"{name} must be None or one of {choices}; got {value!r}")
    return value


def _read_limit(name: str, value: Any) -> float | None:
    if value is None:
        return None
    found = _read_number(name, value)
    if isinstance(found, Tensor):
        raise TypeError(f"{name} must be a number or None, got {value!r}")
    return float(found)


def _check_limit(name: str, value: float | None) -> None:
    # Some trainers take 0 for "do not clip"; clipping to 0 would stop every parameter.
    if value is not None and not value > 0:
        raise ValueError(
            f"{name} must be positive, or None for no clipping, got {value!r}"
        )


def read(
    settings: Mapping[str, Any], known: Mapping[str, Hyperparameter]
) -> dict[str, Any]:
    """Return the settings as plain values; any number is one.

    Parameters
    ----------
    settings : mapping
        Values by name. Keys that are not hyper-parameters are passed on, numbers as
        Python numbers.
    known : mapping
        The hyper-parameters of the optimizer.

    Raises
    ------
    TypeError, ValueError
        A value is not of the right kind.
    """
    return {
        name: known[name].read(name, value) if name in known else plain(value)
        for name, value in settings.items()
    }


def parsed(
    settings: Mapping[str, Any], known: Mapping[str, Hyperparameter]
) -> dict[str, Any]:
    """Return the settings as plain values, after checking each and all together.

    Parameters
    ----------
    settings, known : mapping
        As for :func:`read`.

    Raises
    ------
    ValueError
        A number is out of range, or two settings contradict each other.
    TypeError
        A value is of the wrong type.
    """
    values = read(settings, known)
    for name, value in values.items():
        if name in known:
            known[name].check(name, value)
    foreach, fused = values.get("foreach"), values.get("fused")
    if fused and foreach:
        raise ValueError(
            "`fused` and `foreach` cannot be `True` together; got both True"
        )
    if fused and values.get("differentiable"):
        raise ValueError("`fused` does not support `differentiable`; got both True")
    if values.get("state_dtype") and values.get("differentiable"):
        raise ValueError(
            "`state_dtype` does not support `differentiable`: rounding has no"
            f" derivative; got {values['state_dtype']} and True"
        )
    if foreach and not values.get("capturable"):
        for name, hyperparameter in known.items():
            if hyperparameter.tensor_with_foreach:
                continue
            value = values.get(name)
            parts = (
                {f"{name}[{i}]": part for i, part in enumerate(value)}
                if isinstance(value, tuple)
                else {name: value}
            )
            for part, number in parts.items():
                if isinstance(number, Tensor):
                    raise ValueError(
                        f"{part} as a Tensor is not supported for capturable=False and"
                        " foreach=True"
                    )
    return values


def plain(value: Any) -> Any:
    """Return a Python number for a number of NumPy or of another kind.

    A checkpoint with a NumPy number cannot be read by
    ``torch.load(weights_only=True)``. Tensors stay tensors, those of one element lose
    their dimensions.
    """
    if isinstance(value, Tensor):
        return value.reshape(()) if value.ndim and value.numel() == 1 else value
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        return value.item()
    if isinstance(value, bool) or type(value) in (int, float):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _read_number(name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(
            f"Tensor {name} must be 1-element, got shape {tuple(value.shape)}"
        )
    found: Any = plain(value)
    if isinstance(found, bool):
        return int(found)  # False for a weight decay means 0, as in PyTorch
    if not isinstance(found, Tensor | Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return found


def as_float(value: Any) -> float:
    """Return a number, or a tensor of one element, as a float."""
    # Detached: PyTorch warns of a number taken from a tensor that requires a gradient.
    return float(value.detach() if isinstance(value, Tensor) else value)


def _read_truth(value: Any) -> bool | None:
    """Return the truth that True, 1, or NumPy's True stands for; None for others."""
    found = plain(value)
    return bool(found) if isinstance(found, int) and found in (0, 1) else None


def _listed(value: Any) -> Sequence[Any] | None:
    """Return the parts of a tuple, or of what a configuration file has for one."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return None
    return list(value)


# As the optimizers have it that add one number to a root.
EPS = number("Invalid epsilon value")
# What every optimizer may have. Of what is not PyTorch's, no checkpoint of PyTorch says
# anything.
COMMON: dict[str, Hyperparameter] = {
    "lr": number("Invalid learning rate", tensor_with_foreach=False),
    "weight_decay": number("Invalid weight_decay value"),
    "maximize": flag(before=False),
    "foreach": Hyperparameter(_read_optional_flag, before=None),
    "capturable": flag(before=False),
    "differentiable": flag(before=False),
    "fused": Hyperparameter(_read_optional_flag, before=None),
    "nonfinite": Hyperparameter(_read_nonfinite),
    "max_grad_norm": Hyperparameter(_read_limit, _check_limit),
    "state_dtype": Hyperparameter(_read_state_dtype),
}
