"""Hyper-parameters: what each may be, and the plain value that it becomes.

An optimizer says which hyper-parameters it has by naming one :class:`Hyperparameter`
for each; checking them, loading older checkpoints and spotting misspelt group keys all
follow from that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, TypedDict

from torch import Tensor

__all__ = [
    "BETAS",
    "COMMON",
    "DECOUPLED",
    "EPS",
    "FLAG_DEFAULTS",
    "Flags",
    "ForeachFlags",
    "FusedFlags",
    "Hyperparameter",
    "Nonfinite",
    "decay_rates",
    "flag",
    "number",
    "parsed",
    "plain",
]

Parse = Callable[[str, Any], Any]
Nonfinite = Literal["pass", "skip", "raise"]
KEEP: Any = object()


@dataclass(frozen=True)
class Hyperparameter:
    """What a hyper-parameter may be.

    Parameters
    ----------
    parse : function
        From the name and what was given to the plain value; raises ValueError or
        TypeError, naming both.
    before : object, optional
        What a checkpoint meant that is older than the hyper-parameter. By default the
        optimizer's own setting stays.
    tensor_with_foreach : bool
        Whether PyTorch takes a tensor for it beside ``foreach=True``.
    """

    parse: Parse
    before: Any = KEEP
    tensor_with_foreach: bool = True


class Flags(TypedDict, total=False):
    """Keyword arguments that every optimizer has, if PyTorch has them."""

    maximize: bool
    capturable: bool
    differentiable: bool
    nonfinite: Nonfinite


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
}


def number(torch_says: str, *, low: float = 0, high: float = math.inf) -> Parse:
    """Accept finite numbers from ``low`` to ``high``.

    ``torch_says`` begins the message as PyTorch's begins: a script may look for it.
    """
    if (low, high) == (0, math.inf):
        words = "not negative"
    else:
        words = f"at least {low:g}" if high == math.inf else f"at most {high:g}"

    def parse(name: str, value: Any) -> Any:
        read = _number(name, value)
        # `not (...)` rather than the reversed comparison, so that NaN is refused too.
        if not (low <= read <= high and math.isfinite(read)):
            raise ValueError(
                f"{torch_says}: {value}; {name} must be finite and {words}"
            )
        return plain(value)

    return parse


def decay_rates(count: int) -> Parse:
    """Accept that many numbers in [0, 1), all of them floats or all of them tensors."""
    words = {2: "a pair of numbers"}.get(count, f"{count} numbers")

    def parse(name: str, value: Any) -> Any:
        if not isinstance(value, tuple | list) or len(value) != count:
            raise TypeError(f"{name} must be {words}, got {value!r}")
        if len({isinstance(rate, Tensor) for rate in value}) > 1:
            raise ValueError(
                f"{name} must be either both floats or both Tensors, got {value!r}"
            )
        for index, rate in enumerate(value):
            if not 0 <= _number(f"{name}[{index}]", rate) < 1:
                raise ValueError(
                    f"Invalid beta parameter at index {index}: {rate};"
                    f" {name}[{index}] must be in [0, 1)"
                )
        return tuple(plain(rate) for rate in value)

    return parse


def flag(name: str, value: Any) -> Any:
    """Accept True and False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def _optional_flag(name: str, value: Any) -> Any:
    if not isinstance(value, bool | None):
        raise TypeError(f"{name} must be True, False or None, got {value!r}")
    return value


def _nonfinite(name: str, value: Any) -> Any:
    choices = ("pass", "skip", "raise")
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    return value


# What every optimizer may have. `nonfinite` is not PyTorch's, so no checkpoint of
# PyTorch says anything about it.
COMMON: dict[str, Hyperparameter] = {
    "lr": Hyperparameter(number("Invalid learning rate"), tensor_with_foreach=False),
    "weight_decay": Hyperparameter(number("Invalid weight_decay value")),
    "maximize": Hyperparameter(flag, before=False),
    "foreach": Hyperparameter(_optional_flag, before=None),
    "capturable": Hyperparameter(flag, before=False),
    "differentiable": Hyperparameter(flag, before=False),
    "fused": Hyperparameter(_optional_flag, before=None),
    "nonfinite": Hyperparameter(_nonfinite),
}

# What several optimizers have beside that.
BETAS = Hyperparameter(decay_rates(2), tensor_with_foreach=False)
EPS = Hyperparameter(number("Invalid epsilon value"))
DECOUPLED = Hyperparameter(flag)


def parsed(
    settings: Mapping[str, Any], known: Mapping[str, Hyperparameter]
) -> dict[str, Any]:
    """Return the settings as plain values, after checking each and all together.

    Parameters
    ----------
    settings : mapping
        Values by name. Keys that are not hyper-parameters are passed on, numbers as
        Python numbers.
    known : mapping
        The hyper-parameters of the optimizer.

    Raises
    ------
    ValueError
        A number is out of range, or two settings contradict each other.
    TypeError
        A value is of the wrong type.
    """
    values = {
        name: known[name].parse(name, value) if name in known else plain(value)
        for name, value in settings.items()
    }
    foreach, fused = values.get("foreach"), values.get("fused")
    if fused and foreach:
        raise ValueError(
            "`fused` and `foreach` cannot be `True` together; got both True"
        )
    if fused and values.get("differentiable"):
        raise ValueError("`fused` does not support `differentiable`; got both True")
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
    if isinstance(value, bool) or type(value) in (int, float):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _number(name: str, value: object) -> float:
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(
                f"Tensor {name} must be 1-element, got shape {tuple(value.shape)}"
            )
        return value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)
