"""Split examples into parts at random, reproducibly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adam_tutorial._arguments import check_at_least

__all__ = ["split"]


def split(
    labels: NDArray[np.int64], sizes: Mapping[str, int], *, seed: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Split examples into named parts with equal shares of each class, and shuffle.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Class of each example.
    sizes : dict of str to int
        Number of examples in each part; the sum may be less than ``n``.
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
    TypeError
        ``sizes`` does not name the parts.
    """
    if not isinstance(sizes, Mapping):
        raise TypeError(
            f"sizes must be a mapping such as {{'train': 100}}, got {sizes!r}"
        )
    for name, size in sizes.items():
        check_at_least(f"sizes[{name!r}]", size, 0)
    if sum(sizes.values()) > len(labels):
        raise ValueError(
            f"sizes must add up to at most {len(labels)} examples, got"
            f" {sum(sizes.values())}"
        )
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    # Deal the classes out evenly: sort the examples by their rank within their class,
    # as a fraction of the class. Every prefix then has the classes in proportion.
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
