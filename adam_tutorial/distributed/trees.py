"""Sums along a fixed binary tree: the same bits from 1, 2, 4, ... processes.

Addition of floats is not associative, so the bits of a sum depend on which parts were
added first. Here the parts are the leaves of a binary tree whose number is fixed, and
parent = left child + right child. A process holds the leaves of a subtree, adds them up
along it, and the processes add their results along what is left of the tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from adam_tutorial._arguments import as_count

__all__ = [
    "Group",
    "check_power_of_two",
    "fingerprint",
    "rank_of",
    "ranks_of",
    "tree_all_reduce",
    "tree_sum",
]

Group = dist.ProcessGroup | None


def rank_of(group: Group = None) -> int:
    """Return this process's place in the group; 0 without an initialized one."""
    return dist.get_rank(group) if dist.is_initialized() else 0


def ranks_of(group: Group = None) -> int:
    """Return the number of processes of the group; 1 without an initialized one."""
    return dist.get_world_size(group) if dist.is_initialized() else 1


def check_power_of_two(name: str, value: int) -> None:
    """Raise ValueError unless the value is 1, 2, 4, 8, ..."""
    count = as_count(name, value, 1)
    if count & (count - 1):
        raise ValueError(f"{name} must be a power of two, got {value}")


def tree_sum(leaf: Callable[[int], Tensor], first: int, count: int) -> Tensor:
    """Return the sum of consecutive leaves, added along the binary tree.

    Parameters
    ----------
    leaf : function
        From the number of a leaf to a new tensor, into which others are added. Leaves
        are asked for in their order.
    first, count : int
        The leaves ``first, ..., first + count - 1``; the count is a power of two.

    Returns
    -------
    Tensor
        As ``leaf`` returns them. No more than ``log2(count) + 1`` tensors exist at a
        time.

    Raises
    ------
    ValueError, TypeError
        The count is not a power of two.

    Examples
    --------
    ``(1 + 1e16) + (-1e16 + 1)``, where one by one would give 1:

    >>> leaves = torch.tensor([1.0, 1e16, -1e16, 1.0], dtype=torch.float64)
    >>> tree_sum(lambda k: leaves[k].clone(), 0, 4).item()
    0.0
    """
    check_power_of_two("count", count)
    if count == 1:
        return leaf(first)
    half = count // 2
    left = tree_sum(leaf, first, half)
    return left.add_(tree_sum(leaf, first + half, half))


def tree_all_reduce(vector: Tensor, group: Group = None) -> int:
    """Add up one vector of each process along the binary tree, in place, in all.

    Parameters
    ----------
    vector : Tensor of shape (n,)
        The same length in all processes. The process of rank r holds leaf r.
    group : ProcessGroup, optional
        Its number of processes is a power of two.

    Returns
    -------
    int
        How many bytes this process has sent: a share of (ranks - 1) / ranks of the
        vector, twice.

    Raises
    ------
    ValueError
        The number of processes is not a power of two, or the tensor is not a vector
        without gaps.

    Notes
    -----
    On the way up, partners at distance 1, 2, 4, ... exchange halves of what they are in
    charge of: each adds up one half, and gives the other away. On the way down they
    exchange the finished parts. Whole vectors could be exchanged in half as many
    messages; this way every process sends no more bytes than in a ring.

    References
    ----------
    Thakur, Rabenseifner and Gropp (2005), "Optimization of Collective Communication
    Operations in MPICH", section 4.4 (recursive halving, recursive doubling).
    """
    ranks, rank = ranks_of(group), rank_of(group)
    check_power_of_two("the number of processes", ranks)
    if vector.ndim != 1 or not vector.is_contiguous():
        raise ValueError(
            f"vector must have one dimension and no gaps, got {tuple(vector.shape)}"
            f" with strides {vector.stride()}"
        )
    first, last = 0, len(vector)
    way_down: list[tuple[int, Tensor, Tensor]] = []
    sent = 0
    for distance in (2**level for level in range(ranks.bit_length() - 1)):
        middle = (first + last) // 2
        lower, upper = vector[first:middle], vector[middle:last]
        is_left = rank & distance == 0
        mine, given = (lower, upper) if is_left else (upper, lower)
        received = torch.empty_like(mine)
        sent += _exchange(given, received, rank ^ distance, group)
        mine += received  # a + b and b + a have the same bits
        first, last = (first, middle) if is_left else (middle, last)
        way_down.append((rank ^ distance, mine, given))
    for partner, mine, given in reversed(way_down):
        sent += _exchange(mine, given, partner, group)
    return sent


def _exchange(send: Tensor, receive: Tensor, partner: int, group: Group) -> int:
    """Send a tensor to the partner, receive one from it; return the bytes sent."""
    # With gloo, both directions are busy at once only if receiving comes first.
    operations = [
        dist.P2POp(operation, tensor, group=group, group_peer=partner)
        for operation, tensor in ((dist.irecv, receive), (dist.isend, send))
        if tensor.numel()
    ]
    for work in dist.batch_isend_irecv(operations) if operations else ():
        work.wait()
    return send.nbytes


def fingerprint(*states: Any) -> str:
    """Return the SHA-256 of all that state dicts hold, down to the bits of tensors.

    Parameters
    ----------
    *states : mapping or sequence
        Of tensors, numbers, text, None and mappings or sequences of them. Keys count,
        their order does not.

    Examples
    --------
    >>> one = {"theta": torch.tensor([0.1]), "t": 1}
    >>> fingerprint(one) == fingerprint({"t": 1, "theta": torch.tensor([0.1])})
    True
    >>> fingerprint(one) == fingerprint({"t": 1, "theta": torch.tensor([0.1 + 1e-8])})
    False
    """
    digest = hashlib.sha256()
    for piece in _pieces(states):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(state: Any) -> Iterator[bytes]:
    if isinstance(state, Tensor):
        yield f"tensor {state.dtype} {tuple(state.shape)}\n".encode()
        numbers = state.detach().cpu().contiguous().flatten()
        yield numbers.view(torch.uint8).numpy().tobytes()
    elif isinstance(state, Mapping):
        yield f"mapping {len(state)}\n".encode()
        for key in sorted(state, key=repr):
            yield f"{key!r}\n".encode()
            yield from _pieces(state[key])
    elif isinstance(state, Sequence) and not isinstance(state, str):
        yield f"sequence {len(state)}\n".encode()
        for value in state:
            yield from _pieces(value)
    else:
        yield f"{state!r}\n".encode()
