"""Parameter groups and their tensors: checked when they are added and at each step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from adam_tutorial._warnings import warn
from adam_tutorial.optim.hyperparameters import Hyperparameter, parsed

__all__ = [
    "REAL",
    "SPARSE",
    "check_can_be_optimized",
    "checked_settings",
    "name_of",
]

REAL = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SPARSE = (
    torch.sparse_coo,
    torch.sparse_csr,
    torch.sparse_csc,
    torch.sparse_bsr,
    torch.sparse_bsc,
)


def checked_settings(
    group: Mapping[str, Any],
    defaults: Mapping[str, Any],
    known: Mapping[str, Hyperparameter],
    *,
    dtypes: Collection[torch.dtype] = REAL,
    taken: Collection[int] = (),
) -> dict[str, Any]:
    """Check a parameter group, and return its settings as plain values.

    Parameters
    ----------
    group : mapping
        As given to ``add_param_group``. Keys that are not hyper-parameters are the
        program's own affair, as in PyTorch; of one that looks like a slip of the pen, a
        warning says so.
    defaults : mapping
        The optimizer's settings, which fill the group's gaps.
    known : mapping
        The optimizer's hyper-parameters.
    dtypes : collection of dtype
        Which parameters can be optimized.
    taken : collection of int
        Identities of the tensors that other groups hold.

    Returns
    -------
    dict
        Without ``params`` and ``param_names``.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range, or a tensor cannot be optimized.
    TypeError
        A value or a tensor has the wrong type.
    """
    if "params" not in group:
        raise ValueError(
            f"a parameter group needs the key 'params', got {sorted(map(str, group))}"
        )
    parsed({key: group.get(key, default) for key, default in defaults.items()}, known)
    differentiable = bool(defaults.get("differentiable"))
    _check_tensors(group["params"], dtypes, taken, differentiable=differentiable)
    settings = {
        key: value
        for key, value in group.items()
        if key not in ("params", "param_names")
    }
    for key in settings:
        meant = None if key in defaults else _slip_of(str(key), defaults)
        if meant:
            warn(
                f"a parameter group has the key {key!r}, which has no effect; meant"
                f" {meant!r}?"
            )
    return parsed(settings, known)


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
        if not differentiable and not (tensor.is_leaf or tensor.retains_grad):
            raise ValueError(
                f"can't optimize a non-leaf Tensor, got one of {_described(tensor)}"
            )
        # A frozen parameter has no gradient; quantized models keep theirs in bytes.
        if tensor.requires_grad:
            check_can_be_optimized(tensor, dtypes)
        if id(tensor) in taken:
            raise ValueError(
                "some parameters appear in more than one parameter group: one of"
                f" {_described(tensor)} does"
            )
        if id(tensor) in seen:
            raise ValueError(
                "a parameter group with duplicate parameters: the parameter of"
                f" {_described(tensor)} is twice in one group"
            )
        seen.add(id(tensor))


def check_can_be_optimized(tensor: Tensor, dtypes: Collection[torch.dtype]) -> None:
    """Raise for a tensor that no step can move.

    Raises
    ------
    TypeError
        Its dtype or its layout is none that the optimizer takes.
    ValueError
        Some of its elements share memory.
    """
    if tensor.dtype not in dtypes:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise TypeError(
            f"parameters must be {names}; got {tensor.dtype} for one of"
            f" {_described(tensor)}"
        )
    if is_lazy(tensor):
        return  # has no shape yet
    if tensor.layout in SPARSE:
        raise TypeError(
            f"parameters must be dense, got one of layout {tensor.layout} and"
            f" {_described(tensor)}"
        )
    if _overlaps_itself(tensor):
        raise ValueError(
            f"the parameter of {_described(tensor)} is expanded: several of its"
            " elements are one number in memory; give the tensor before expand()"
        )


def _overlaps_itself(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided:
        return False
    return tensor.numel() > 1 and any(
        stride == 0 and size > 1
        for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
    )


def _described(tensor: Tensor) -> str:
    return "no shape yet" if is_lazy(tensor) else f"shape {tuple(tensor.shape)}"


def _slip_of(key: str, known: Iterable[str]) -> str | None:
    """Return the name that a key misspells by one letter, or by two exchanged.

    Names with a digit (``beta1``, ``lr0``) are meant as they are.
    """
    if any(letter.isdigit() for letter in key):
        return None
    return next((name for name in known if _is_one_slip(key, name)), None)


def _is_one_slip(key: str, name: str) -> bool:
    if len(name) < 3 or key == name or abs(len(key) - len(name)) > 1:
        return False
    if len(key) == len(name):
        differ = [i for i, (a, b) in enumerate(zip(key, name, strict=True)) if a != b]
        if len(differ) == 2 and differ[1] == differ[0] + 1:
            i, j = differ
            return key[i] == name[j] and key[j] == name[i]
        return len(differ) == 1
    shorter, longer = sorted((key, name), key=len)
    return any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))
