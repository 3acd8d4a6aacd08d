"""Parameter groups, checked before the optimizer takes them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.optim.hyperparameters import Hyperparameter, parsed

__all__ = ["REAL", "checked_group", "name_of"]

REAL = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

# Hyper-parameters of PyTorch's optimizers. A group's key of that name would have no
# effect in an optimizer without it.
IN_TORCH = {
    *("alpha", "betas", "eps", "lambd", "lr", "lr_decay", "momentum", "momentum_decay"),
    *(
        "dampening",
        "weight_decay",
        "nonfinite",
        "amsgrad",
        "centered",
        "nesterov",
        "rho",
    ),
    *("capturable", "decoupled_weight_decay", "differentiable", "foreach", "fused"),
    "maximize",
}


def checked_group(
    group: Mapping[str, Any],
    defaults: Mapping[str, Any],
    known: Mapping[str, Hyperparameter],
    *,
    dtypes: Collection[torch.dtype] = REAL,
    taken: Collection[int] = (),
    owner: str = "the optimizer",
) -> dict[str, Any]:
    """Check one parameter group, and return it with plain values.

    Parameters
    ----------
    group : mapping
        As given to ``add_param_group``.
    defaults : mapping
        The optimizer's settings, which fill the group's gaps.
    known : mapping
        The optimizer's hyper-parameters.
    dtypes : collection of dtype
        Which parameters can be optimized.
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
        # slip of the pen would go unnoticed, and the default would be used.
        if key in defaults or key in ("params", "param_names"):
            continue
        if key in IN_TORCH:
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
    parsed({key: group.get(key, default) for key, default in defaults.items()}, known)
    differentiable = bool(defaults.get("differentiable"))
    _check_tensors(group["params"], dtypes, taken, differentiable=differentiable)
    settings = {
        key: value
        for key, value in group.items()
        if key not in ("params", "param_names")
    }
    return {**group, **parsed(settings, known)}


def name_of(group: Mapping[str, Any], index: int, place: int) -> str:
    """Return what a message calls a parameter: its name, or its place and shape."""
    if "param_names" in group:
        return f"parameter {group['param_names'][place]!r}"
    shape = tuple(group["params"][place].shape)
    return f"parameter {place} of group {index}, of shape {shape}"


def _check_tensors(
    params: Tensor | Iterable[Any],
    dtypes: Collection[torch.dtype],
    taken: Collection[int],
    *,
    differentiable: bool,
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
            continue  # PyTorch's own error names the type
        shape = tuple(tensor.shape)
        if tensor.dtype not in dtypes:
            names = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
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
                "some parameters appear in more than one parameter group: one of shape"
                f" {shape} does"
            )
        if id(tensor) in seen:
            raise ValueError(
                "a parameter group with duplicate parameters: the parameter of shape"
                f" {shape} is twice in one group"
            )
        seen.add(id(tensor))


def _overlaps_itself(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided:
        return False
    return tensor.numel() > 1 and any(
        stride == 0 and size > 1
        for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
    )
