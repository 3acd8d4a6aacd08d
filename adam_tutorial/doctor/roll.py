"""The list of the parameters that are watched, as the optimizer has them now."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.optim import Optimizer

from adam_tutorial.doctor.history import Record, Track
from adam_tutorial.doctor.numbers import sampled
from adam_tutorial.doctor.roster import Hyperparameters, embeddings, names_of

__all__ = ["call_roll"]


def call_roll(
    optimizer: Optimizer,
    model: nn.Module | None,
    record: Record,
    known: Mapping[int, Track],
) -> dict[int, Track]:
    """Return the parameters in the optimizer's groups, and write down their settings.

    Parameters
    ----------
    optimizer : Optimizer
    model : Module, optional
    record : Record
        Gets the groups, the tracks and the optimizer's own settings.
    known : mapping
        The tracks of earlier steps, by the identity of their parameter.
    """
    record.groups = [
        Hyperparameters.of(optimizer, group) for group in optimizer.param_groups
    ]
    names, rows = names_of(optimizer, model), embeddings(model)
    held: dict[int, Track] = {}
    for index, group in enumerate(optimizer.param_groups):
        for parameter in group["params"]:
            name = next(names)
            if not parameter.numel():
                continue
            track = known.get(id(parameter))
            if track is None:
                track = Track(
                    parameter, name, index, record.taken, record.groups[index]
                )
                track.embedding = id(parameter) in rows
                track.began_zero = not bool(sampled(parameter.detach()).any())
            track.group, track.settings = index, record.groups[index]
            held[id(parameter)] = track
    record.tracks = list(held.values())
    limit = optimizer.defaults.get("max_grad_norm")
    record.limit = None if limit is None else float(limit)
    rate = float(optimizer.defaults["lr"])
    first = record.default_lrs[0] if record.default_lrs else rate
    record.default_lrs = (first, rate)
    return held
