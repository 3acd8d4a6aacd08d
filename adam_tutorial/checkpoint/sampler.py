"""Shuffled batches that can be resumed in the middle of an epoch."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from adam_tutorial._arguments import as_count

__all__ = ["ShuffledBatches"]


class ShuffledBatches(Sampler[list[int]]):
    """Batches of indices in an order of their own for each epoch, to be resumed.

    Parameters
    ----------
    data : sized
        The data set; only its length is used.
    batch_size : int
        Examples in a batch.
    seed : int
        Of the orders.
    drop_last : bool
        Leave out an incomplete last batch.

    Attributes
    ----------
    epoch : int
        Number of epochs done.
    position : int
        Number of batches of the current epoch that were used.

    Raises
    ------
    ValueError
        A number is out of range, or there is no batch.

    Notes
    -----
    A :class:`~torch.utils.data.DataLoader` reads ahead, so what it has fetched says
    nothing about what was trained on. Only :meth:`advance` counts: call it after each
    step. Iterating changes nothing and gives the rest of the current epoch. Hand it
    over as ``batch_sampler``, and give the loader a generator of its own: otherwise
    each new iterator, and a resumed run makes one more, draws from torch's global
    generator, and dropout is another. Random augmentation repeats exactly where it is
    drawn in the training process, not in the loader's workers.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader
    >>> batches = ShuffledBatches(range(6), batch_size=2, seed=0)
    >>> loader = DataLoader(
    ...     range(6), batch_sampler=batches, generator=torch.Generator()
    ... )
    >>> while batches.epoch < 2:
    ...     for batch in loader:
    ...         batches.advance()  # after optimizer.step()
    >>> batches.epoch, batches.position
    (2, 0)
    """

    epoch: int
    position: int

    def __init__(
        self, data: Sized, batch_size: int, *, seed: int = 0, drop_last: bool = True
    ) -> None:
        self.size = len(data)
        self.batch_size = as_count("batch_size", batch_size, least=1)
        self.seed = as_count("seed", seed)
        self.drop_last = drop_last
        self.epoch = 0
        self.position = 0
        if len(self) == 0:
            raise ValueError(
                f"data of length {self.size} has no batch of {batch_size} examples"
            )
        # The place from which a pass began that was not counted while it ran.
        self._passed: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole, rest = divmod(self.size, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        """Give the batches of the current epoch that were not used yet.

        Raises
        ------
        RuntimeError
            All of them were given before, and none was counted.
        """
        place = self.epoch, self.position
        if self._passed == place:
            raise RuntimeError(
                "the same batches would come again, because none was counted: call"
                " advance() after each step"
            )
        order = self._order()
        for index in range(self.position, len(self)):
            yield order[self.batch_size * index :][: self.batch_size].tolist()
        if place == (self.epoch, self.position):
            self._passed = place

    def advance(self, batches: int = 1) -> None:
        """Count batches as used; the next epoch begins after the last one.

        Raises
        ------
        ValueError
            It is less than 1, or more than the epoch still has.
        """
        count = as_count("batches", batches, least=1)
        rest = len(self) - self.position
        if count > rest:
            raise ValueError(f"batches must be at most {rest}, got {batches}")
        self.position += count
        if self.position == len(self):
            self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands, and what it depends on."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "size": self.size,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            # Another version of NumPy may shuffle in another way.
            "order": zlib.crc32(self._order().tobytes()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another one stood, with its seed.

        Raises
        ------
        ValueError
            It had other data or batches, or the orders differ. Nothing was changed.
        """
        for name in ("size", "batch_size", "drop_last"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"{name} was {state[name]} and is {getattr(self, name)}: the rest"
                    " of the epoch would be another"
                )
        before = self.seed, self.epoch, self.position
        self.seed, self.epoch = state["seed"], state["epoch"]
        self.position = state["position"]
        if zlib.crc32(self._order().tobytes()) != state["order"]:
            self.seed, self.epoch, self.position = before
            raise ValueError(
                "this version of NumPy shuffles in another way: the rest of the epoch"
                " would be another. Begin an epoch anew, or install the old version"
            )
        self._passed = None

    def _order(self) -> NDArray[np.int64]:
        generator = np.random.default_rng([self.seed, self.epoch])
        return generator.permutation(self.size)
