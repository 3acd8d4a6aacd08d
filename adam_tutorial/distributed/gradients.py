"""Gradients of fixed micro-batches, averaged along a fixed tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from adam_tutorial.distributed.trees import (
    Group,
    check_power_of_two,
    rank_of,
    ranks_of,
    tree_all_reduce,
    tree_sum,
)

__all__ = ["TreeGradients", "tree_gradients"]


@dataclass(frozen=True)
class TreeGradients:
    """What was averaged, beside the gradients.

    Attributes
    ----------
    loss : float
        The mean of the micro-batches' losses.
    bytes_sent : int
        By this process. With ``all_reduce``, what a ring sends: the backend does not
        say.
    """

    loss: float
    bytes_sent: int


def tree_gradients(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    micro_batches: int,
    *,
    seed: int,
    step: int,
    group: Group = None,
    all_reduce: bool = False,
) -> TreeGradients:
    """Set the gradients to their mean over micro-batches, with the same bits anywhere.

    However many processes share the micro-batches, the mean is the same in every bit,
    if a single micro-batch gives the same bits in each of them: the same machine code,
    the same number of threads, deterministic algorithms.

    Parameters
    ----------
    model : Module
        In training mode, with the same numbers in all processes. Its parameters and
        floating-point buffers have one dtype and device. Afterwards ``grad`` is the
        mean, and so are the buffers: running averages of a batch normalisation are
        averaged over what each micro-batch alone makes of them. A parameter that the
        loss does not depend on gets zeros.
    loss : function
        From the number of a micro-batch, 0 to ``micro_batches - 1``, to its mean loss.
        Each process asks for its own, in order.
    micro_batches : int
        A power of two, and fixed for the run: with another number the bits differ.
    seed, step : int
        Before each micro-batch torch's generators are seeded with a hash of seed, step
        and its number, so dropout does not depend on the process. Afterwards the
        generators are as they were.
    group : ProcessGroup, optional
        Its number of processes is a power of two, at most ``micro_batches``.
    all_reduce : bool
        Add up as it is usually done: one micro-batch after the other, then by the
        backend's all-reduce. The bits then depend on the number of processes.

    Returns
    -------
    TreeGradients

    Raises
    ------
    ValueError, TypeError
        A number is not a power of two, there are more processes than micro-batches, or
        the model has several dtypes.
    """
    check_power_of_two("micro_batches", micro_batches)
    ranks = ranks_of(group)
    check_power_of_two("the number of processes", ranks)
    if ranks > micro_batches:
        raise ValueError(
            f"{ranks} processes cannot share {micro_batches} micro-batches"
        )
    parameters = [p for p in model.parameters() if p.requires_grad]
    buffers = list(model.buffers())
    averaged = [b for b in buffers if b.is_floating_point()]
    kinds = {(t.dtype, t.device) for t in (*parameters, *averaged)}
    if len(kinds) != 1:
        raise ValueError(
            f"parameters and buffers must have one dtype and device, got {kinds}"
        )
    before = [b.clone() for b in buffers]

    def leaf(number: int) -> Tensor:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        for parameter in parameters:
            parameter.grad = None
        torch.manual_seed(_hash(seed, step, number))
        value = loss(number)
        value.backward()
        gradients = [
            torch.zeros_like(p) if p.grad is None else p.grad for p in parameters
        ]
        parts = (*gradients, *averaged, value.detach().reshape(1))
        return torch.cat([part.flatten() for part in parts])

    own = micro_batches // ranks
    first = rank_of(group) * own
    (device,) = {device for _, device in kinds}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        if all_reduce:
            total = leaf(first)
            for number in range(first + 1, first + own):
                total += leaf(number)
        else:
            total = tree_sum(leaf, first, own)
    if not all_reduce:
        sent = tree_all_reduce(total, group)
    elif ranks > 1:
        dist.all_reduce(total, group=group)
        sent = 2 * total.nbytes * (ranks - 1) // ranks
    else:
        sent = 0
    total /= micro_batches  # exact: a power of two
    sizes = [t.numel() for t in (*parameters, *averaged)]
    *means, mean_loss = total.split([*sizes, 1])
    for parameter, mean in zip(parameters, means, strict=False):
        parameter.grad = mean.view_as(parameter)
    for buffer, mean in zip(averaged, means[len(parameters) :], strict=True):
        buffer.copy_(mean.view_as(buffer))
    return TreeGradients(mean_loss.item(), sent)


def _hash(*numbers: int) -> int:
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state[0])
