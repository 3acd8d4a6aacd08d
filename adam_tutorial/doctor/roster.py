"""Which optimizers can be watched, and what their parameters are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial import optim

__all__ = [
    "Hyperparameters",
    "check_can_be_watched",
    "embeddings",
    "names_of",
    "outside",
]

# These have m and v, and divide the one by the root of the other.
WATCHED = (
    *(torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam),
    *(optim.Adam, optim.AdamW, optim.NAdam, optim.RAdam),
)
# Of these the longest step is known.
BOUNDED = (torch.optim.Adam, torch.optim.AdamW, optim.Adam, optim.AdamW)


@dataclass(frozen=True)
class Hyperparameters:
    """What a group is stepped with at one step, as numbers.

    Parameters
    ----------
    lr, beta1, beta2, eps, decay : float
    decoupled : bool
        Whether the decay shrinks the parameter, and is no penalty.
    bounded : bool
        Whether the steps have the bound of Adam.
    """

    lr: float
    beta1: float
    beta2: float
    eps: float
    decay: float
    decoupled: bool
    bounded: bool

    @classmethod
    def of(cls, optimizer: Optimizer, group: Mapping[str, Any]) -> Hyperparameters:
        """Read the settings of a group; those that are tensors wait for a device."""
        decoupled = group.get("decoupled_weight_decay")
        if decoupled is None:
            decoupled = isinstance(optimizer, torch.optim.AdamW | optim.AdamW)
        beta1, beta2 = map(float, group["betas"])
        return cls(
            float(group["lr"]),
            beta1,
            beta2,
            float(group["eps"]),
            float(group["weight_decay"]),
            bool(decoupled),
            isinstance(optimizer, BOUNDED),
        )


def check_can_be_watched(optimizer: object) -> None:
    """Raise TypeError unless it is an Adam, of torch.optim or of this package."""
    if isinstance(optimizer, WATCHED):
        return
    kind = type(optimizer)
    inner = getattr(optimizer, "optimizer", getattr(optimizer, "optim", None))
    if isinstance(inner, WATCHED):
        hint = f"; it wraps one that can: hand in that {type(inner).__name__}"
    elif isinstance(optimizer, type):
        hint = "; make an optimizer first, and watch it"
    else:
        hint = ""
    raise TypeError(
        "optimizer must be an Adam, AdamW, NAdam or RAdam of torch.optim or of"
        f" adam_tutorial.optim, got {kind.__module__}.{kind.__qualname__}{hint}"
    )


def names_of(optimizer: Optimizer, model: nn.Module | None) -> Iterator[str]:
    """Yield the names of all parameters of an optimizer, group by group.

    They are those of the model, if it has the parameter, or those that the optimizer
    was given, or else places, such as ``"group 0, parameter 3"``.
    """
    known = {id(p): name for name, p in _named(model)}
    for index, group in enumerate(optimizer.param_groups):
        given = group.get("param_names")
        for place, parameter in enumerate(group["params"]):
            name = known.get(id(parameter))
            if name is None and given:
                name = given[place]
            yield name or f"group {index}, parameter {place}"


def embeddings(model: nn.Module | None) -> set[int]:
    """Return the identities of the weights of the model's embeddings."""
    return {
        id(module.weight)
        for module in (model.modules() if model is not None else ())
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }


def outside(optimizer: Optimizer, model: nn.Module | None) -> dict[str, Tensor]:
    """Return the trainable parameters of the model that the optimizer does not have."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {
        name: p for name, p in _named(model) if p.requires_grad and id(p) not in held
    }


def _named(model: nn.Module | None) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters() if model is not None else ():
        # What torch.compile and DistributedDataParallel put around a model.
        yield name.replace("_orig_mod.", "").removeprefix("module."), parameter
