"""How long processes take to add up their gradients, from latency and bandwidth."""

from __future__ import annotations

from typing import NamedTuple

from adam_tutorial._arguments import as_count, check_not_negative, check_positive

__all__ = ["Exchange", "all_reduce_cost"]

ALGORITHMS = ("ring", "tree", "halves")


class Exchange(NamedTuple):
    """What has to pass before all processes have the sum.

    Attributes
    ----------
    messages : int
        That wait for each other.
    bytes : float
        In these messages.
    """

    messages: int
    bytes: float

    def seconds(self, latency: float, bandwidth: float) -> float:
        """Return how long it takes.

        Parameters
        ----------
        latency : float
            Seconds until a message of no length has arrived.
        bandwidth : float
            Bytes per second that a process can send, while it receives as many.

        Raises
        ------
        ValueError, TypeError
            The latency is negative, the bandwidth not positive, or one is no number.
        """
        check_not_negative("latency", latency)
        check_positive("bandwidth", bandwidth)
        return self.messages * latency + self.bytes / bandwidth


def all_reduce_cost(size: float, ranks: int, algorithm: str = "ring") -> Exchange:
    """Return what it takes to add up one vector of each process, in all of them.

    Parameters
    ----------
    size : float
        Bytes of a vector.
    ranks : int
        Number of processes, N.
    algorithm : {"ring", "tree", "halves"}
        "ring": parts of 1/N go round twice. "tree": whole vectors go up a binary tree,
        and the sum comes down. "halves": partners at distance 1, 2, 4, ... exchange
        half, a quarter, ... and then the same parts in reverse; N is a power of two.

    Returns
    -------
    Exchange

    Raises
    ------
    ValueError, TypeError
        The size is negative, there are no processes, the algorithm is not known, or
        "halves" is asked for a number of processes that is not a power of two.

    References
    ----------
    Thakur, Rabenseifner and Gropp (2005), "Optimization of Collective Communication
    Operations in MPICH", section 4.4; additions are not counted here.

    Examples
    --------
    A gradient of 1 MB among 8 processes, 0.1 ms away at 1 GB/s:

    >>> for algorithm in ("ring", "tree", "halves"):
    ...     cost = all_reduce_cost(1e6, 8, algorithm)
    ...     print(algorithm, *cost, f"{1000 * cost.seconds(1e-4, 1e9):.2f} ms")
    ring 14 1750000.0 3.15 ms
    tree 6 6000000.0 6.60 ms
    halves 6 1750000.0 2.35 ms
    """
    check_not_negative("size", size)
    ranks = as_count("ranks", ranks, 1)
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}"
        )
    if algorithm == "halves" and ranks & (ranks - 1):
        raise ValueError(f"ranks must be a power of two for 'halves', got {ranks}")
    levels = (ranks - 1).bit_length()  # log2(N), rounded up
    if algorithm == "tree":
        return Exchange(2 * levels, 2 * levels * size)
    messages = 2 * (ranks - 1) if algorithm == "ring" else 2 * levels
    return Exchange(messages, 2 * (ranks - 1) / ranks * size)
