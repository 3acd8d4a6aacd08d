"""What an optimizer stores for a parameter: its description, first values, loading."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.optim.hyperparameters import KEEP, Hyperparameter, read

__all__ = [
    "HALF",
    "STEP",
    "Slot",
    "State",
    "check_fits",
    "check_origin",
    "create",
    "loaded_group",
    "loaded_state",
]

State = dict[str, Any]
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Slot:
    """One entry of a parameter's state.

    Parameters
    ----------
    name : str
        PyTorch's name for it, where PyTorch has it.
    first : float
        Its value before the first step.
    shape : tuple of int, optional
        By default the parameter's shape, with the parameter's order in memory.
    number : bool
        A single number in float64. It lives on the CPU, unless the step is
        ``capturable``: reading it back from an accelerator would wait for the device.
    asked_by : str, optional
        The flag without which the entry is not needed.
    """

    name: str
    first: float = 0.0
    shape: tuple[int, ...] | None = None
    number: bool = False
    asked_by: str | None = None

    def is_asked_for(self, settings: Mapping[str, Any]) -> bool:
        """Return whether a group with these settings needs the entry."""
        return self.asked_by is None or bool(settings[self.asked_by])


# PyTorch counts in float32, which cannot count further than 2**24.
STEP = Slot("step", number=True)


def create(slot: Slot, parameter: Tensor, *, capturable: bool) -> Tensor:
    """Return the entry of a parameter that has not taken a step."""
    if slot.number:
        device = parameter.device if capturable else "cpu"
        return torch.full((), slot.first, dtype=torch.float64, device=device)
    dtype = _dtype_for(parameter)
    if slot.shape is not None:
        return parameter.new_full(slot.shape, slot.first, dtype=dtype)
    like_the_parameter: dict[str, Any] = {
        "dtype": dtype,
        "memory_format": torch.preserve_format,
        "requires_grad": False,
    }
    if slot.first == 0:
        return torch.zeros_like(parameter, **like_the_parameter)
    return torch.full_like(parameter, slot.first, **like_the_parameter)


def check_fits(slot: Slot, value: Tensor, parameter: Tensor, owner: str) -> None:
    """Raise if a stored tensor does not fit its parameter, which was changed meanwhile.

    Parameters
    ----------
    slot : Slot
        Describes the entry.
    value, parameter : Tensor
        What is stored, and the parameter as it is now.
    owner : str
        What messages call the parameter.

    Raises
    ------
    ValueError
        Shape, dtype or device differ.
    """
    shape = tuple(parameter.shape) if slot.shape is None else slot.shape
    if tuple(value.shape) != shape:
        raise ValueError(
            f"{owner}: its {slot.name} has the shape {tuple(value.shape)}, but"
            f" {shape} is needed now; if the parameter was resized on purpose, begin"
            " its state anew with `del optimizer.state[parameter]`"
        )
    found, needed = (
        (value.dtype, value.device),
        (_dtype_for(parameter), parameter.device),
    )
    if found != needed:
        raise ValueError(
            f"{owner}: its {slot.name} is {found[0]} on {found[1]}, but {needed[0]} on"
            f" {needed[1]} is needed now; convert the state as well, with"
            " `optimizer.load_state_dict(optimizer.state_dict())`"
        )


def check_origin(
    state_dict: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    slots: Callable[[Tensor], Sequence[Slot]],
    known: Mapping[str, Hyperparameter],
    owner: str,
) -> None:
    """Raise if a checkpoint was made by another rule, or with other groups.

    Parameters
    ----------
    state_dict : mapping
        The checkpoint.
    groups : sequence of mapping
        The optimizer's groups.
    slots : function
        From a parameter to the entries of its state.
    known : mapping
        The optimizer's hyper-parameters.
    owner : str
        The optimizer's name, for messages.

    Raises
    ------
    ValueError
        A key, a group or an entry of the state is missing.
    """
    for key in ("state", "param_groups"):
        if key not in state_dict:
            raise ValueError(
                f"a state dict needs the key {key!r}, got {sorted(state_dict)}"
            )
    saved = [len(group["params"]) for group in state_dict["param_groups"]]
    sizes = [len(group["params"]) for group in groups]
    if len(saved) != len(sizes):
        raise ValueError(
            "loaded state dict has a different number of parameter groups:"
            f" {len(saved)}, but the optimizer has {len(sizes)}"
        )
    if saved != sizes:
        raise ValueError(
            "loaded state dict contains a parameter group that doesn't match the size"
            f" of optimizer's group: sizes {saved}, but the optimizer has {sizes}"
        )
    # Before its first step, the settings are all that tells one rule from another.
    for index, group in enumerate(state_dict["param_groups"]):
        for name, hyperparameter in known.items():
            if hyperparameter.always and name not in group:
                raise ValueError(
                    f"group {index} of the state dict has no {name!r}, only"
                    f" {sorted(group)}: it was not made by {owner}"
                )
    for key, (parameter, _) in _owners(state_dict, groups).items():
        entry = state_dict["state"].get(key)
        for slot in slots(parameter) if entry else ():
            if slot.name not in entry and slot.asked_by is None:
                raise ValueError(
                    f"the state of parameter {key!r} has no {slot.name!r}, only"
                    f" {sorted(entry)}: it was not made by {owner}"
                )


def _owners(
    state_dict: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]
) -> dict[Any, tuple[Tensor, Mapping[str, Any]]]:
    """Return the parameter, and its group, for each key of a checkpoint's state."""
    return {
        key: (parameter, group)
        for group, saved in zip(groups, state_dict["param_groups"], strict=True)
        for key, parameter in zip(saved["params"], group["params"], strict=True)
    }


def loaded_group(
    group: Mapping[str, Any],
    saved: Mapping[str, Any],
    defaults: Mapping[str, Any],
    known: Mapping[str, Hyperparameter],
) -> dict[str, Any]:
    """Return the group that an optimizer has after loading.

    What a run could reach must load: a schedule may end at a learning rate of -1e-20.

    Parameters
    ----------
    group, saved : mapping
        The optimizer's group and that of the checkpoint.
    defaults : mapping
        The optimizer's settings.
    known : mapping
        The optimizer's hyper-parameters.

    Raises
    ------
    ValueError, TypeError
        A setting of the checkpoint is not of its kind.
    """
    new = {key: copy.deepcopy(value) for key, value in saved.items() if key != "params"}
    for name in defaults:
        if name not in new:
            before = known[name].before if name in known else KEEP
            new[name] = group[name] if before is KEEP else before
    if "param_names" in group:
        new.setdefault("param_names", group["param_names"])
    return {**read(new, known), "params": group["params"]}


def loaded_state(
    state_dict: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    slots: Callable[[Tensor], Sequence[Slot]],
) -> defaultdict[Any, Any]:
    """Return the state that an optimizer has after loading.

    Parameters
    ----------
    state_dict : mapping
        Of this optimizer or of PyTorch's; is not changed.
    groups : sequence of mapping
        The groups after loading.
    slots : function
        From a parameter to the entries of its state.

    Returns
    -------
    defaultdict
        Shares no tensor with ``state_dict``.

    Raises
    ------
    ValueError, TypeError
        An entry does not fit its parameter.
    """
    owners = _owners(state_dict, groups)
    state: defaultdict[Any, Any] = defaultdict(dict)
    for key, entry in state_dict["state"].items():
        if key in owners:
            parameter, group = owners[key]
            capturable = bool(group.get("capturable"))
            state[parameter] = _loaded_entry(
                key, entry, parameter, slots(parameter), capturable=capturable
            )
        else:
            # Belongs to no parameter: PyTorch keeps it too.
            state[key] = copy.deepcopy(entry)
    return state


def _loaded_entry(
    key: object,
    entry: Mapping[str, Any],
    parameter: Tensor,
    slots: Sequence[Slot],
    *,
    capturable: bool,
) -> State:
    described = {slot.name: slot for slot in slots}
    loaded: State = {}
    for name, value in entry.items():
        if name not in described:
            loaded[name] = copy.deepcopy(value)
        elif described[name].number:
            number = float(value)  # older versions of PyTorch kept plain numbers
            if not 0 <= number < math.inf:
                raise ValueError(
                    f"{name} of parameter {key!r} must be finite and not negative, got"
                    f" {value!r}"
                )
            loaded[name] = create(
                Slot(name, number, number=True), parameter, capturable=capturable
            )
        else:
            loaded[name] = _loaded_tensor(key, value, parameter, described[name])
    return loaded


def _loaded_tensor(key: object, value: object, parameter: Tensor, slot: Slot) -> Tensor:
    if not isinstance(value, Tensor) or value.is_complex() != parameter.is_complex():
        raise TypeError(
            f"{slot.name} of parameter {key!r} must be a tensor as {parameter.dtype}"
            f" needs it, got {getattr(value, 'dtype', value)!r}"
        )
    expected = tuple(parameter.shape) if slot.shape is None else slot.shape
    if tuple(value.shape) != expected:
        but = (
            f"but the parameter has {expected}"
            if slot.shape is None
            else (
                f"but {expected} is right for a parameter of shape"
                f" {tuple(parameter.shape)}"
            )
        )
        raise ValueError(
            f"{slot.name} of parameter {key!r} has the shape {tuple(value.shape)},"
            f" {but}"
        )
    return value.detach().to(
        device=parameter.device, dtype=_dtype_for(parameter), copy=True
    )


def _dtype_for(parameter: Tensor) -> torch.dtype:
    """Return the dtype of the state: the parameter's, or float32 for half precision."""
    return torch.float32 if parameter.dtype in HALF else parameter.dtype
