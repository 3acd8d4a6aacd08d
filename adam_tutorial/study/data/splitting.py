"""Divide examples into parts at random, the same way every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["split"]


def split(
    labels: NDArray[np.int64], sizes: dict[str, int], *, seed: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Divide examples into named parts, shuffled, each with the same share of every class.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Class of each example.
    sizes : dict of str to int
        Number of examples of each part; the sum may be less than ``n``.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    dict of str to ndarray of int64
        Indices of the examples of each part, in random order. No index occurs twice.

    Raises
    ------
    ValueError
        A size is negative, or the sizes add up to more than ``n``.
    """
    for name, size in sizes.items():
        if size < 0:
            raise ValueError(f"sizes[{name!r}] must not be negative, got {size!r}")
    if sum(sizes.values()) > len(labels):
        raise ValueError(
            f"sizes must add up to at most {len(labels)} examples, got"
            f" {sum(sizes.values())}"
        )
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    # Deal the classes out in turn: give each example its rank within its class as a
    # fraction of that class and sort by it. Every prefix then holds the classes in
    # proportion.
    fraction = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        fraction[members] = (np.arange(len(members)) + generator.random()) / len(
            members
        )
    dealt = shuffled[np.argsort(fraction[shuffled], kind="stable")]
    parts: dict[str, NDArray[np.int64]] = {}
    start = 0
    for name, size in sizes.items():
        parts[name] = generator.permutation(dealt[start : start + size])
        start += size
    return parts
