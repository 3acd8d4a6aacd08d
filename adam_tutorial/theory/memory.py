"""How many bytes a training run holds: parameters, gradients, the optimizer's state.

Activations are not counted, and neither is what a step needs for a moment.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import product
from typing import NamedTuple

from adam_tutorial._arguments import as_count, check_not_negative

__all__ = ["Memory", "Option", "memory", "which_fits"]

Shape = tuple[int, ...]

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "uint8": 1}
STATE_DTYPES = ("float32", "bfloat16", "uint8")
BLOCK = 256

# Numbers for each element, and for each tensor.
STORED: dict[str, tuple[int, int]] = {
    "sgd": (0, 0),
    "momentum": (1, 0),
    "adam": (2, 1),
    "adamw": (2, 1),
    "amsgrad": (3, 1),
    "adamax": (2, 1),
    "nadam": (2, 2),
    "radam": (2, 1),
    "adabelief": (2, 1),
    "lion": (1, 1),
}
# Whose state has PyTorch's form alone.
WITHOUT_STATE_DTYPE = ("sgd", "momentum", "adafactor")


class Memory(NamedTuple):
    """Bytes of a training run, by what they hold.

    Attributes
    ----------
    parameters, gradients : int
        Of the model.
    master : int
        A copy of the parameters in float32, where they are stored in fewer bits.
    moments : int
        What the optimizer stores for each element.
    scales : int
        One float32 for each block of 256 elements of a moment in 8 bits.
    counts : int
        What the optimizer stores for each tensor: the number of its steps.
    state : int
        Moments, scales and counts.
    total : int
        All together.
    """

    parameters: int
    gradients: int
    master: int
    moments: int
    scales: int
    counts: int

    @property
    def total(self) -> int:
        """All together."""
        return sum(self)

    @property
    def state(self) -> int:
        """What the optimizer stores."""
        return self.moments + self.scales + self.counts


def memory(
    shapes: int | Sequence[Sequence[int]],
    optimizer: str = "adam",
    *,
    dtype: str = "float32",
    state_dtype: str | None = None,
    gradient_dtype: str | None = None,
    master: bool = False,
    ranks: int = 1,
    sharded: str = "state",
) -> Memory:
    """Return the bytes of a training run, on the process that holds most.

    Parameters
    ----------
    shapes : int or sequence of shapes
        Of the parameters. A number is that of the elements of a single vector.
    optimizer : str
        One of :mod:`adam_tutorial.optim`, in small letters, or "amsgrad", "sgd",
        "momentum" (SGD with an average of gradients).
    dtype : str
        Of the parameters: "float64", "float32", "bfloat16" or "float16".
    state_dtype : str, optional
        As the optimizers have it: "float32", "bfloat16" or "uint8". By default moments
        have the dtype of the parameters, or float32 where that is half precision.
        PyTorch's SGD keeps that of the parameters.
    gradient_dtype : str, optional
        By default that of the parameters.
    master : bool
        Whether a float32 copy of half-precision parameters is kept, and is what the
        optimizer moves.
    ranks : int
        How many processes share the run.
    sharded : {"state", "everything"}
        What is divided among them. "state": the optimizer's state and the master copy,
        tensor by tensor, as PyTorch's ``ZeroRedundancyOptimizer`` does. "everything":
        also parameters and gradients, each tensor by its first dimension, as
        ``fully_shard`` does; while a layer is computed, its parameters are there as
        well, and are not counted.

    Returns
    -------
    Memory

    Raises
    ------
    ValueError, TypeError
        A name is not known, a number is negative or not a whole one, or the optimizer
        does not have what is asked for: SGD and Adafactor have no ``state_dtype``, and
        Adafactor, which stores a number for each row and column, needs shapes and whole
        tensors.

    Examples
    --------
    Bytes per parameter of a vector of a million:

    >>> memory(10**6).total / 10**6
    16.000008
    >>> memory(10**6, state_dtype="uint8").total / 10**6
    10.031264
    """
    tensors = _as_shapes(shapes)
    _check_name("dtype", dtype, [name for name in BYTES if name != "uint8"])
    gradient_dtype = gradient_dtype or dtype
    _check_name("gradient_dtype", gradient_dtype, [*BYTES])
    _check_name("optimizer", optimizer, [*STORED, "adafactor"])
    _check_name("sharded", sharded, ["state", "everything"])
    if optimizer == "adafactor" and not isinstance(shapes, Sequence):
        raise ValueError(f"adafactor needs shapes, got the number {shapes!r}")
    if optimizer == "adafactor" and sharded == "everything":
        raise ValueError("adafactor is not divided within a tensor, got 'everything'")
    if state_dtype is not None:
        _check_name("state_dtype", state_dtype, STATE_DTYPES)
        if optimizer in WITHOUT_STATE_DTYPE:
            raise ValueError(f"{optimizer} has no state_dtype, got {state_dtype!r}")
    ranks = as_count("ranks", ranks, 1)
    half = BYTES[dtype] == 2
    moved = "float32" if master and half else dtype

    whole = [math.prod(shape) for shape in tensors]
    own = tensors
    if sharded == "everything":
        own = [_share(shape, ranks) for shape in tensors]
    elements = sum(math.prod(shape) for shape in own)
    stated = own if sharded == "everything" else _fullest(tensors, whole, ranks)
    moments, scales = _moments(stated, optimizer, moved, state_dtype)
    per_tensor = 1 if optimizer == "adafactor" else STORED[optimizer][1]
    return Memory(
        parameters=elements * BYTES[dtype],
        gradients=elements * BYTES[gradient_dtype],
        master=4 * sum(map(math.prod, stated)) if master and half else 0,
        moments=moments,
        scales=scales,
        counts=8 * per_tensor * len(stated),
    )


def _moments(
    shapes: Sequence[Shape], optimizer: str, dtype: str, state_dtype: str | None
) -> tuple[int, int]:
    """Return the bytes of the moments and of their scales."""
    if state_dtype is None:
        keeps = optimizer in ("sgd", "momentum") or BYTES[dtype] > 2
        state_dtype = dtype if keeps else "float32"
    size = BYTES[state_dtype]
    if optimizer == "adafactor":
        return size * sum(map(_rows_and_columns, shapes)), 0
    count = STORED[optimizer][0]
    sizes = [math.prod(shape) for shape in shapes]
    blocks = sum(-(-elements // BLOCK) for elements in sizes)
    scales = 4 * count * blocks if state_dtype == "uint8" else 0
    return size * count * sum(sizes), scales


def _rows_and_columns(shape: Shape) -> int:
    if len(shape) < 2:
        return math.prod(shape)
    *rest, rows, columns = shape
    return math.prod(rest) * (rows + columns)


def _share(shape: Shape, ranks: int) -> Shape:
    """Return what the first process has of a tensor that is cut along its rows."""
    return (-(-shape[0] // ranks), *shape[1:]) if shape else shape


def _fullest(shapes: Sequence[Shape], sizes: Sequence[int], ranks: int) -> list[Shape]:
    """Return the tensors of the process that gets most, the largest dealt out first."""
    loads = [0] * ranks
    hands: list[list[Shape]] = [[] for _ in range(ranks)]
    for place in sorted(range(len(shapes)), key=lambda place: -sizes[place]):
        rank = loads.index(min(loads))
        loads[rank] += sizes[place]
        hands[rank].append(shapes[place])
    return hands[loads.index(max(loads))]


class Option(NamedTuple):
    """A way to train a model, and what it needs.

    Attributes
    ----------
    optimizer, dtype, state_dtype, master
        As for :func:`memory`.
    memory : Memory
        On the process that holds most.
    fits : bool
        Whether that is no more than what is available.
    most : int
        How many parameters would fit, of a larger or smaller model of the same kind.
    """

    optimizer: str
    dtype: str
    state_dtype: str | None
    master: bool
    memory: Memory
    fits: bool
    most: int


# Weights of half precision with and without a copy to move.
WEIGHTS = (("float32", False), ("bfloat16", True), ("bfloat16", False))


def which_fits(
    available: float,
    shapes: int | Sequence[Sequence[int]],
    *,
    optimizers: Sequence[str] = ("adam", "lion", "adafactor", "sgd"),
    ranks: int = 1,
    sharded: str = "state",
) -> list[Option]:
    """Return the ways to train a model, and which of them fit into so many bytes.

    Parameters
    ----------
    available : float
        Bytes of a device, such as ``24 * 2**30``, less what activations take.
    shapes : int or sequence of shapes
        Of the model's parameters. Without shapes, Adafactor is left out.
    optimizers : sequence of str
        Which ones to list.
    ranks, sharded
        As for :func:`memory`.

    Returns
    -------
    list of Option
        The one that needs most comes first. Take the first that fits.

    Raises
    ------
    ValueError, TypeError
        As for :func:`memory`.

    Examples
    --------
    Three billion parameters on a device of 24 GiB:

    >>> for option in which_fits(24 * 2**30, 3 * 10**9, optimizers=["adam"]):
    ...     size = f"{option.memory.total / 2**30:.1f}"
    ...     print(size, option.dtype, option.master, option.state_dtype, option.fits)
    44.7 float32 False None False
    44.7 bfloat16 True None False
    33.5 float32 False bfloat16 False
    33.5 bfloat16 True bfloat16 False
    33.5 bfloat16 False None False
    28.0 float32 False uint8 False
    28.0 bfloat16 True uint8 False
    22.4 bfloat16 False bfloat16 True
    16.9 bfloat16 False uint8 True
    """
    check_not_negative("available", available)
    elements = sum(map(math.prod, _as_shapes(shapes)))
    options = []
    for optimizer, weights in product(optimizers, WEIGHTS):
        if optimizer == "adafactor" and isinstance(shapes, int):
            continue
        plain = optimizer in WITHOUT_STATE_DTYPE
        for state_dtype in (None,) if plain else (None, "bfloat16", "uint8"):
            dtype, master = weights
            needed = memory(
                shapes,
                optimizer,
                dtype=dtype,
                state_dtype=state_dtype,
                master=master,
                ranks=ranks,
                sharded=sharded,
            )
            most = int(available / max(needed.total, 1) * elements)
            fits = needed.total <= available
            options.append(
                Option(optimizer, dtype, state_dtype, master, needed, fits, most)
            )
    return sorted(options, key=lambda option: -option.memory.total)


def _as_shapes(shapes: int | Sequence[Sequence[int]]) -> list[Shape]:
    if not isinstance(shapes, Sequence):
        return [(as_count("shapes", shapes),)]
    return [tuple(as_count("shapes", size) for size in shape) for shape in shapes]


def _check_name(name: str, value: object, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
