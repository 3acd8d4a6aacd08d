"""Turn a state dict into an optimizer's state: checked, copied, in the right precision."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adam_tutorial.optim.checks import as_plain_numbers, check_defaults

if TYPE_CHECKING:
    from adam_tutorial.optim.base import AdamFamily

__all__ = ["checked_state"]

# What a checkpoint meant that is older than the setting. `nonfinite` is not torch's:
# the optimizer's own setting stays.
BEFORE_IT_EXISTED = {
    "amsgrad": False,
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "fused": None,
}


def checked_state(
    optimizer: AdamFamily, state_dict: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the state and the groups that the optimizer has after loading.

    Parameters
    ----------
    optimizer : AdamFamily
        Is not changed.
    state_dict : mapping
        Of this optimizer or of torch's; is not changed.

    Returns
    -------
    dict
        With the keys ``state`` and ``param_groups``; shares no tensor with
        ``state_dict``.

    Raises
    ------
    ValueError, TypeError
        The state dict does not fit the optimizer.
    """
    for key in ("state", "param_groups"):
        if key not in state_dict:
            raise ValueError(
                f"a state dict needs the key {key!r}, got {sorted(state_dict)}"
            )
    saved = state_dict["param_groups"]
    sizes = [len(group["params"]) for group in saved]
    ours = [len(group["params"]) for group in optimizer.param_groups]
    if len(sizes) != len(ours):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(sizes)}, but the optimizer has {len(ours)}"
        )
    if sizes != ours:
        raise ValueError(
            "loaded state dict contains a parameter group that doesn't match the size"
            f" of optimizer's group: sizes {sizes}, but the optimizer has {ours}"
        )
    groups = [
        _loaded_group(optimizer, group, new)
        for group, new in zip(optimizer.param_groups, saved, strict=True)
    ]
    owners = {
        key: (parameter, group)
        for group, new in zip(groups, saved, strict=True)
        for key, parameter in zip(new["params"], group["params"], strict=True)
    }
    state: defaultdict[Any, Any] = defaultdict(dict)
    for key, entry in state_dict["state"].items():
        if key in owners:
            parameter, group = owners[key]
            state[parameter] = _loaded_entry(optimizer, key, entry, parameter, group)
        else:
            state[key] = copy.deepcopy(
                entry
            )  # belongs to no parameter: torch keeps it too
    return {"state": state, "param_groups": groups}


def _loaded_group(
    optimizer: AdamFamily, group: Mapping[str, Any], saved: Mapping[str, Any]
) -> dict[str, Any]:
    new = as_plain_numbers(
        {k: copy.deepcopy(v) for k, v in saved.items() if k != "params"}
    )
    for name in optimizer.defaults:
        if name not in new:
            new[name] = BEFORE_IT_EXISTED.get(name, group[name])
    if "param_names" in group:
        new.setdefault("param_names", group["param_names"])
    check_defaults(new)
    decouples = group.get("decoupled_weight_decay", optimizer.decoupled)
    saved_decouples = saved.get("decoupled_weight_decay", decouples)
    if saved_decouples != decouples and new["weight_decay"] != 0:
        kinds = {True: "AdamW's decay of the weights", False: "Adam's L2 penalty"}
        raise ValueError(
            f"the checkpoint has decoupled_weight_decay={saved_decouples!r}, "
            f"{kinds[saved_decouples]}, but the optimizer computes {kinds[decouples]}"
        )
    if "decoupled_weight_decay" in new:
        new["decoupled_weight_decay"] = decouples
    return {**new, "params": group["params"]}


def _loaded_entry(
    optimizer: AdamFamily,
    key: object,
    entry: Mapping[str, Any],
    parameter: Tensor,
    group: Mapping[str, Any],
) -> dict[str, Any]:
    from adam_tutorial.optim.base import moment_dtype

    if not entry:
        return {}
    scalars = ("step", *(name for name, _ in optimizer.scalars))
    missing = [name for name in (*scalars, *optimizer.moments) if name not in entry]
    if missing:
        raise ValueError(
            f"the state of parameter {key!r} has no {missing[0]!r}, only"
            f" {sorted(entry)}: it was not made by {type(optimizer).__name__}"
        )
    loaded: dict[str, Any] = {}
    for name, value in entry.items():
        if name in scalars:
            number = float(value)  # older versions of torch kept plain numbers
            if not 0 <= number < math.inf:
                raise ValueError(
                    f"{name} of parameter {key!r} must be finite and not negative, got"
                    f" {value!r}"
                )
            device = parameter.device if group.get("capturable") else "cpu"
            loaded[name] = torch.tensor(number, dtype=torch.float64, device=device)
        elif name in (*optimizer.moments, "max_exp_avg_sq"):
            if (
                not isinstance(value, Tensor)
                or value.is_complex() != parameter.is_complex()
            ):
                raise TypeError(
                    f"{name} of parameter {key!r} must be a tensor as {parameter.dtype}"
                    f" needs it, got {getattr(value, 'dtype', value)!r}"
                )
            if value.shape != parameter.shape:
                raise ValueError(
                    f"{name} of parameter {key!r} has the shape {tuple(value.shape)}, "
                    f"but the parameter has {tuple(parameter.shape)}"
                )
            loaded[name] = value.detach().to(
                device=parameter.device, dtype=moment_dtype(parameter), copy=True
            )
        else:
            loaded[name] = copy.deepcopy(value)
    return loaded
