"""What an optimizer stores for a parameter: its description, first values, loading."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.optim.hyperparameters import KEEP, Hyperparameter, read
from adam_tutorial.optim.low_precision import (
    BLOCK,
    code_of,
    decoded,
    encode,
    real_numbers,
    scale_of,
)

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
    "relaid",
    "stored_as",
    "unsharded",
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
        (The native step of a GPU moves the count there, and never reads it.)
    asked_by : str, optional
        The flag without which the entry is not needed.
    signed : bool
        Whether its numbers can be negative. If not, 8 bits hold more digits of them.
    dtype : dtype, optional
        By default the parameter's, or float32 for half precision. In any other, complex
        numbers are stored as pairs, and of a DTensor each process stores its own part.
    """

    name: str
    first: float = 0.0
    shape: tuple[int, ...] | None = None
    number: bool = False
    asked_by: str | None = None
    signed: bool = True
    dtype: torch.dtype | None = None

    def is_asked_for(self, settings: Mapping[str, Any]) -> bool:
        """Return whether a group with these settings needs the entry."""
        return self.asked_by is None or bool(settings[self.asked_by])


# PyTorch counts in float32, which cannot count further than 2**24.
STEP = Slot("step", number=True)


def stored_as(
    slot: Slot, parameter: Tensor, state_dtype: torch.dtype | None
) -> tuple[Slot, ...]:
    """Return what holds an entry of the state, in the precision that is asked for.

    Parameters
    ----------
    slot : Slot
        As the rule knows it.
    parameter : Tensor
        Whose state it is.
    state_dtype : dtype, optional
        Of its group.
    """
    own = _dtype_of(slot, parameter).to_real()
    if slot.number or state_dtype is None or state_dtype == own:
        return (slot,)
    if state_dtype != torch.uint8:
        return (replace(slot, dtype=state_dtype),)
    shape = tuple(real_numbers(parameter).shape) if slot.shape is None else slot.shape
    blocks = -(-math.prod(shape) // BLOCK)
    return (
        replace(slot, name=code_of(slot.name), dtype=torch.uint8),
        Slot(scale_of(slot.name), shape=(blocks,), dtype=torch.float32),
    )


def create(
    slot: Slot,
    parameter: Tensor,
    state_dtype: torch.dtype | None = None,
    *,
    capturable: bool = False,
) -> State:
    """Return what holds an entry of the state, before the parameter's first step."""
    stored = stored_as(slot, parameter, state_dtype)
    created = {
        held.name: _created(held, parameter, capturable=capturable) for held in stored
    }
    if stored[0].dtype == torch.uint8 and slot.first != 0:
        shape = created[stored[0].name].shape
        value = torch.full(shape, slot.first, device=parameter.device)
        encode(created, slot.name, value, None, signed=slot.signed)
    return created


def _created(slot: Slot, parameter: Tensor, *, capturable: bool) -> Tensor:
    if slot.number:
        device = parameter.device if capturable else "cpu"
        return torch.full((), slot.first, dtype=torch.float64, device=device)
    like = parameter if slot.dtype is None else real_numbers(parameter)
    dtype = _dtype_of(slot, parameter)
    first = 0 if dtype == torch.uint8 else slot.first
    if slot.shape is not None:
        return like.new_full(slot.shape, first, dtype=dtype)
    like_the_parameter: dict[str, Any] = {
        "dtype": dtype,
        "memory_format": torch.preserve_format,
        "requires_grad": False,
    }
    if first == 0:
        return torch.zeros_like(like, **like_the_parameter)
    return torch.full_like(like, first, **like_the_parameter)


def check_fits(
    slot: Slot,
    entry: Mapping[str, Any],
    parameter: Tensor,
    state_dtype: torch.dtype | None,
    owner: str,
) -> None:
    """Raise if what is stored does not fit its parameter, which was changed meanwhile.

    Parameters
    ----------
    slot : Slot
        Describes an entry of the state.
    entry : mapping
        The state of the parameter; it may lack the entry.
    parameter : Tensor
        As it is now.
    state_dtype : dtype, optional
        Of its group now.
    owner : str
        What messages call the parameter.

    Raises
    ------
    ValueError
        Shape, dtype or device differ, or the precision that is asked for.
    """
    stored = stored_as(slot, parameter, state_dtype)
    names = [
        name
        for name in (slot.name, code_of(slot.name), scale_of(slot.name))
        if name in entry
    ]
    convert = (
        "convert the state as well, with"
        " `optimizer.load_state_dict(optimizer.state_dict())`"
    )
    if names and names != [held.name for held in stored]:
        raise ValueError(
            f"{owner}: its state has {' and '.join(names)}, but its group's state_dtype"
            f" is {state_dtype} now; {convert}"
        )
    for held in stored if names else ():
        value, shape = entry[held.name], _shape_of(held, parameter)
        if tuple(value.shape) != shape:
            raise ValueError(
                f"{owner}: its {held.name} has the shape {tuple(value.shape)}, but"
                f" {shape} is needed now; if the parameter was resized on purpose,"
                " begin its state anew with `del optimizer.state[parameter]`"
            )
        found, needed = (
            (value.dtype, value.device),
            (_dtype_of(held, parameter), parameter.device),
        )
        if found != needed:
            raise ValueError(
                f"{owner}: its {held.name} is {found[0]} on {found[1]}, but"
                f" {needed[0]} on {needed[1]} is needed now; {convert}"
            )


def relaid(
    slot: Slot, entry: State, parameter: Tensor, state_dtype: torch.dtype | None
) -> State:
    """Return an entry of the state in the parameter's order in memory.

    Numbers in 8 bits are rounded anew, since other ones share their blocks.
    """
    created = create(slot, parameter, state_dtype)
    dtype = next(iter(created.values())).dtype
    if dtype == torch.uint8:
        numbers = decoded(entry, slot.name, torch.float32, signed=slot.signed)
        encode(created, slot.name, numbers, None, signed=slot.signed)
    else:
        created[slot.name].copy_(entry[slot.name])
    return created


def unsharded(entry: State, parameter: Any, slots: Sequence[Slot]) -> State:
    """Return the state of a DTensor as one can load it on any number of processes.

    What each process stores for itself becomes a float32 DTensor.

    Parameters
    ----------
    entry : dict
        The state of the parameter.
    parameter : DTensor
        Whose state it is.
    slots : sequence of Slot
        Its entries, as the rule knows them.
    """
    stored = {code_of(slot.name): slot for slot in slots}
    stored |= {slot.name: slot for slot in slots if not slot.number}
    result: State = {}
    for name, value in entry.items():
        if name in stored and not hasattr(value, "to_local"):
            slot = stored[name]
            numbers = decoded(entry, slot.name, torch.float32, signed=slot.signed)
            result[slot.name] = type(parameter).from_local(
                torch.view_as_complex(numbers) if parameter.is_complex() else numbers,
                parameter.device_mesh,
                parameter.placements,
                run_check=False,
                shape=parameter.shape,
                stride=parameter.stride(),
            )
        elif name not in {scale_of(slot.name) for slot in slots}:
            result[name] = value
    return result


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
            stored = slot.name in entry or code_of(slot.name) in entry
            if not stored and slot.asked_by is None:
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
            state[parameter] = _loaded_entry(
                key, entry, parameter, slots(parameter), group
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
    group: Mapping[str, Any],
) -> State:
    described = {slot.name: slot for slot in slots}
    coded = {code_of(slot.name): slot for slot in slots}
    scales = {scale_of(slot.name) for slot in slots}
    capturable, state_dtype = bool(group.get("capturable")), group.get("state_dtype")
    loaded: State = {}
    for name, value in entry.items():
        if name in coded:
            slot = coded[name]
            saved = _loaded_codes(key, entry, parameter, slot)
            loaded |= _converted(saved, parameter, slot, state_dtype)
        elif name in scales:
            continue  # comes with the codes
        elif name not in described:
            loaded[name] = copy.deepcopy(value)
        elif described[name].number:
            number = float(value)  # older versions of PyTorch kept plain numbers
            if not 0 <= number < math.inf:
                raise ValueError(
                    f"{name} of parameter {key!r} must be finite and not negative, got"
                    f" {value!r}"
                )
            slot = Slot(name, number, number=True)
            loaded |= create(slot, parameter, capturable=capturable)
        else:
            slot = described[name]
            saved = {name: _loaded_tensor(key, value, parameter, slot)}
            loaded |= _converted(saved, parameter, slot, state_dtype)
    return loaded


def _loaded_tensor(key: object, value: object, parameter: Tensor, slot: Slot) -> Tensor:
    if isinstance(value, Tensor) and _is_pairs_of(value, parameter):
        value = torch.view_as_complex(value.float().contiguous())
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
        device=parameter.device, dtype=_dtype_of(slot, parameter), copy=True
    )


def _is_pairs_of(value: Tensor, parameter: Tensor) -> bool:
    """Return whether a tensor has the real and imaginary parts of a parameter."""
    return (
        parameter.is_complex()
        and not value.is_complex()
        and tuple(value.shape) == (*parameter.shape, 2)
    )


def _loaded_codes(
    key: object, entry: Mapping[str, Any], parameter: Tensor, slot: Slot
) -> State:
    loaded: State = {}
    for held in stored_as(slot, parameter, torch.uint8):
        value, shape = entry.get(held.name), _shape_of(held, parameter)
        if not isinstance(value, Tensor) or value.dtype != held.dtype:
            raise TypeError(
                f"{held.name} of parameter {key!r} must be a tensor of {held.dtype},"
                f" got {getattr(value, 'dtype', value)!r}"
            )
        if tuple(value.shape) != shape:
            raise ValueError(
                f"{held.name} of parameter {key!r} has the shape {tuple(value.shape)},"
                f" but {shape} is right for a parameter of shape"
                f" {tuple(parameter.shape)}"
            )
        loaded[held.name] = value.detach().to(device=parameter.device, copy=True)
    return loaded


def _converted(
    saved: State, parameter: Tensor, slot: Slot, state_dtype: torch.dtype | None
) -> State:
    """Return an entry of a checkpoint in the precision that is asked for."""
    code = code_of(slot.name)
    if code not in saved and stored_as(slot, parameter, state_dtype) == (slot,):
        return saved
    created = create(slot, parameter, state_dtype)
    if (
        code in saved
        and code in created
        and saved[code].stride() == created[code].stride()
    ):
        return saved
    numbers = decoded(saved, slot.name, torch.float32, signed=slot.signed)
    encode(created, slot.name, numbers, None, signed=slot.signed)
    return created


def _dtype_of(slot: Slot, parameter: Tensor) -> torch.dtype:
    """Return the slot's dtype: the parameter's, or float32 for half precision."""
    if slot.dtype is not None:
        return slot.dtype
    return torch.float32 if parameter.dtype in HALF else parameter.dtype


def _shape_of(slot: Slot, parameter: Tensor) -> tuple[int, ...]:
    if slot.shape is not None:
        return slot.shape
    return tuple((parameter if slot.dtype is None else real_numbers(parameter)).shape)
