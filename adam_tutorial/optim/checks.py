"""Checks of what a user gives to an optimizer, made before the optimizer changes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.theory import check_decay_rate

__all__ = ["check_checkpoint", "check_group"]

SUPPORTED = (torch.float32, torch.float64)

# Switches of torch's class that change what is computed or how. To ignore one would be to train
# something else than was asked for.
NOT_SUPPORTED = ("amsgrad", "foreach", "fused", "capturable", "differentiable")


def check_group(group: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Check one parameter group with the defaults that fill its gaps.

    Parameters
    ----------
    group : mapping
        As given to ``add_param_group``.
    defaults : mapping
        The optimizer's hyper-parameters.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.
    TypeError
        A value is not a number, a key looks like a misspelt hyper-parameter, or a tensor is not
        float32 or float64.
    """
    if "params" not in group:
        raise ValueError(f"a parameter group needs the key 'params', got {sorted(group)}")
    for key in group:
        # Keys of other people (a scheduler's "initial_lr", a "name") are welcome; a near miss of
        # one of ours would otherwise be ignored in silence, and the default used.
        if key in NOT_SUPPORTED:
            _refuse_switch(key, group[key])
        elif key not in defaults and key != "params":
            near = difflib.get_close_matches(key, defaults, n=1, cutoff=0.8)
            if near:
                raise TypeError(f"unknown hyper-parameter {key!r} in a group; meant {near[0]!r}?")
    merged = {**defaults, **group}
    for name in ("lr", "eps", "weight_decay"):
        _check_not_negative(name, merged[name])
    _check_betas(merged["betas"])
    if not isinstance(merged["maximize"], bool):
        raise TypeError(f"maximize must be True or False, got {merged['maximize']!r}")
    _check_tensors(group["params"])


def check_checkpoint(groups: Iterable[Mapping[str, Any]], *, decoupled: bool) -> None:
    """Check the groups of a state dict before they are loaded.

    Parameters
    ----------
    groups : iterable of mapping
        ``state_dict["param_groups"]``.
    decoupled : bool
        Whether the optimizer that loads them decays the weights themselves (AdamW).

    Raises
    ------
    ValueError
        The checkpoint was made by an optimizer that computes something else.
    """
    for group in groups:
        # The other switches change how torch computes, not what.
        _refuse_switch("amsgrad", group.get("amsgrad", False))
        theirs = group.get("decoupled_weight_decay", decoupled)
        if theirs != decoupled and group.get("weight_decay", 0) != 0:
            ours, other = ("AdamW", "Adam") if decoupled else ("Adam", "AdamW")
            raise ValueError(
                f"the checkpoint has decoupled_weight_decay={theirs!r}, which is {other}, "
                f"but is loaded into {ours}"
            )


def _refuse_switch(key: str, value: object) -> None:
    if value:
        raise ValueError(f"{key}={value!r} is not supported; leave it out, or use torch.optim")


def _check_not_negative(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= float(value) < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")


def _check_betas(betas: object) -> None:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise TypeError(f"betas must be a pair of numbers, got {betas!r}")
    for index, beta in enumerate(betas):
        if not isinstance(beta, Real):
            raise TypeError(f"betas[{index}] must be a number, got {beta!r}")
        check_decay_rate(f"betas[{index}]", float(beta))


def _check_tensors(params: Tensor | Iterable[Any]) -> None:
    entries = [params] if isinstance(params, Tensor) else list(params)
    seen: set[Tensor] = set()
    for entry in entries:
        tensor = entry[1] if isinstance(entry, tuple) else entry
        if not isinstance(tensor, Tensor):
            continue  # torch's own error names the type
        shape = tuple(tensor.shape)
        if tensor.dtype not in SUPPORTED:
            raise TypeError(
                f"parameters must be float32 or float64, got {tensor.dtype} "
                f"for one of shape {shape}"
            )
        if tensor in seen:
            raise ValueError(f"the parameter of shape {shape} is twice in one group")
        seen.add(tensor)
