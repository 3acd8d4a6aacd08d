"""Checks of what a user gives to an optimizer, made before the optimizer changes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

__all__ = ["as_plain_numbers", "check_defaults", "check_group"]

SUPPORTED = (
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.complex64,
    torch.complex128,
)
FLAGS = (
    "amsgrad",
    "maximize",
    "capturable",
    "differentiable",
    "decoupled_weight_decay",
)
NONFINITE = ("pass", "skip", "raise")

# Hyper-parameters of torch's optimizers. In a group of an optimizer that lacks one, it
# would be ignored in silence.
OF_OTHERS = {
    *(
        "alpha",
        "betas",
        "eps",
        "lambd",
        "lr",
        "lr_decay",
        "momentum",
        "momentum_decay",
        "rho",
    ),
    *(
        "dampening",
        "weight_decay",
        "nonfinite",
        "amsgrad",
        "centered",
        "nesterov",
        "maximize",
    ),
    *("capturable", "decoupled_weight_decay", "differentiable", "foreach", "fused"),
}

# How torch begins its messages; a script may look for them.
AS_TORCH_SAYS = {
    "lr": "Invalid learning rate: {}",
    "eps": "Invalid epsilon value: {}",
    "weight_decay": "Invalid weight_decay value: {}",
    "momentum_decay": "Invalid momentum_decay value: {}",
}


def check_defaults(defaults: Mapping[str, Any]) -> None:
    """Check the hyper-parameters of an optimizer, each and together.

    Parameters
    ----------
    defaults : mapping
        The constructor's arguments, without the parameters.

    Raises
    ------
    ValueError
        A number is out of range, or two settings contradict each other.
    TypeError
        A value is of the wrong type.
    """
    for name in ("lr", "eps", "weight_decay", "momentum_decay"):
        if name in defaults:
            _check_not_negative(name, defaults[name])
    if "betas" in defaults:
        _check_betas(defaults["betas"])
    for name in FLAGS:
        if not isinstance(defaults.get(name, False), bool):
            raise TypeError(f"{name} must be True or False, got {defaults[name]!r}")
    for name in ("foreach", "fused"):
        if not isinstance(defaults.get(name), bool | None):
            raise TypeError(
                f"{name} must be True, False or None, got {defaults[name]!r}"
            )
    nonfinite = defaults.get("nonfinite", "pass")
    if nonfinite not in NONFINITE:
        raise ValueError(f"nonfinite must be one of {NONFINITE}, got {nonfinite!r}")
    _check_together(defaults)


def check_group(
    group: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    taken: Collection[int] = (),
    owner: str = "the optimizer",
) -> None:
    """Check one parameter group with the defaults that fill its gaps.

    Parameters
    ----------
    group : mapping
        As given to ``add_param_group``.
    defaults : mapping
        The optimizer's hyper-parameters.
    taken : collection of int
        Identities of the tensors that other groups hold.
    owner : str
        The optimizer's name, for messages.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range, or a tensor cannot be optimized.
    TypeError
        A value has the wrong type, or a key is not a hyper-parameter of this optimizer.
    """
    if "params" not in group:
        raise ValueError(
            f"a parameter group needs the key 'params', got {sorted(group)}"
        )
    for key, value in group.items():
        # Keys of other people (a scheduler's "initial_lr", a "name") are welcome; a
        # near miss of one of ours would otherwise be ignored in silence, and the
        # default used.
        if key in defaults or key in ("params", "param_names"):
            continue
        if key in OF_OTHERS:
            if value in (None, False):
                continue  # asks for nothing
            raise TypeError(
                f"{owner} has no hyper-parameter {key!r}, got {key}={value!r}"
            )
        near = difflib.get_close_matches(str(key), defaults, n=1, cutoff=0.8)
        if near:
            raise TypeError(
                f"unknown hyper-parameter {key!r} in a group; meant {near[0]!r}?"
            )
    check_defaults({key: group.get(key, default) for key, default in defaults.items()})
    _check_tensors(
        group["params"], taken, differentiable=bool(defaults.get("differentiable"))
    )


def as_plain_numbers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with Python numbers in the place of NumPy's and others'.

    A checkpoint with a NumPy number cannot be read by
    ``torch.load(weights_only=True)``. Tensors stay tensors, those of one element lose
    their dimensions.
    """
    plain = {
        name: _plain(value) if name not in ("params", "param_names", "betas") else value
        for name, value in settings.items()
    }
    if "betas" in plain:
        plain["betas"] = tuple(_plain(beta) for beta in plain["betas"])
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.reshape(()) if value.ndim and value.numel() == 1 else value
    if isinstance(value, bool) or type(value) in (int, float):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _check_not_negative(name: str, value: object) -> None:
    number = _number(name, value)
    # `not (...)` rather than the reversed comparison, so that NaN is refused too.
    if not 0 <= number < math.inf:
        raise ValueError(
            f"{AS_TORCH_SAYS[name].format(value)}; {name} must be finite and not"
            " negative"
        )


def _check_betas(betas: object) -> None:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise TypeError(f"betas must be a pair of numbers, got {betas!r}")
    if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
        raise ValueError(
            f"betas must be either both floats or both Tensors, got {betas!r}"
        )
    for index, beta in enumerate(betas):
        if not 0 <= _number(f"betas[{index}]", beta) < 1:
            raise ValueError(
                f"Invalid beta parameter at index {index}: {beta}; betas[{index}] must"
                " be in [0, 1)"
            )


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


def _check_together(settings: Mapping[str, Any]) -> None:
    foreach, fused = settings.get("foreach"), settings.get("fused")
    if fused and foreach:
        raise ValueError(
            "`fused` and `foreach` cannot be `True` together; got both True"
        )
    if fused and settings.get("differentiable"):
        raise ValueError("`fused` does not support `differentiable`; got both True")
    if foreach and not settings.get("capturable"):
        tensors = {"lr": settings.get("lr")}
        tensors |= {
            f"betas[{i}]": beta for i, beta in enumerate(settings.get("betas", ()))
        }
        for name, value in tensors.items():
            if isinstance(value, Tensor):
                raise ValueError(
                    f"{name} as a Tensor is not supported for capturable=False and"
                    " foreach=True"
                )


def _check_tensors(
    params: Tensor | Iterable[Any], taken: Collection[int], *, differentiable: bool
) -> None:
    if isinstance(params, set):
        raise TypeError(
            "parameters must be in an ordered collection, such as a list, not in a set"
        )
    entries = [params] if isinstance(params, Tensor) else list(params)
    seen: set[int] = set()
    for entry in entries:
        tensor = entry[1] if isinstance(entry, tuple) else entry
        if not isinstance(tensor, Tensor):
            continue  # torch's own error names the type
        shape = tuple(tensor.shape)
        if tensor.dtype not in SUPPORTED:
            names = ", ".join(str(dtype).removeprefix("torch.") for dtype in SUPPORTED)
            raise TypeError(
                f"parameters must be {names}; got {tensor.dtype} for one of shape"
                f" {shape}"
            )
        if not differentiable and not (tensor.is_leaf or tensor.retains_grad):
            raise ValueError(
                f"can't optimize a non-leaf Tensor, got one of shape {shape}"
            )
        if _overlaps_itself(tensor):
            raise ValueError(
                f"the parameter of shape {shape} is expanded: several of its elements"
                " are one number in memory; give the tensor before expand()"
            )
        if id(tensor) in taken:
            raise ValueError(
                "some parameters appear in more than one parameter group: "
                f"one of shape {shape} does"
            )
        if id(tensor) in seen:
            raise ValueError(
                "a parameter group with duplicate parameters: "
                f"the parameter of shape {shape} is twice in one group"
            )
        seen.add(id(tensor))


def _overlaps_itself(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided:
        return False
    return tensor.numel() > 1 and any(
        stride == 0 and size > 1
        for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
    )
