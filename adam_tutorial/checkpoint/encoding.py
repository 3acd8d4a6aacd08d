"""State dicts as JSON and a flat dictionary of tensors.

What JSON has no word for becomes an object with one key, the name of its type:
``{"tuple": [...]}``, ``{"tensor": {"name": ...}}``. Types are restored exactly; a type
that is not listed here is refused, because loading it would mean to run code.
"""

from __future__ import annotations

import json
import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adam_tutorial.checkpoint.vocabulary import ARRAY, FACTORIES, STORED

__all__ = ["Encoder"]

# Deep enough for every state dict, and far from Python's limit of recursion.
DEPTH = 64
# Every reader of JSON has these integers; longer ones are written in hexadecimal, which
# takes time in proportion to their length and has no limit.
LONG = 2**63
ALLOWED = (
    "tensors, NumPy arrays and numbers, Python's numbers, strings, bytes, bools, None,"
    " lists, tuples, sets and dictionaries of such"
)


class Encoder:
    """Turns values into JSON and collects their tensors.

    Attributes
    ----------
    tensors : dict
        Contiguous tensors on the CPU by name. No two share memory.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[Any, str] = {}
        # Kept alive, so that no address is used twice while we compare addresses.
        self._seen: list[Any] = []
        self._storages: set[int] = set()

    def encode(self, value: Any, path: str, depth: int = 0) -> Any:
        """Return a value as JSON.

        Raises
        ------
        TypeError
            It holds something that cannot be stored; the error says where.
        ValueError
            It is nested too deeply, as what contains itself is.
        """
        if depth > DEPTH:
            raise ValueError(
                f"{path[:80]}... is nested more than {DEPTH} deep, or contains itself"
            )
        kind = type(value)
        if kind in (bool, str, type(None)):
            return value
        if kind is int:
            return value if -LONG <= value < LONG else {"int": hex(value)}
        if kind is float:
            finite = value - value == 0
            return value if finite else {"float": struct.pack(">d", value).hex()}
        if kind is list:
            return self._sequence(value, path, depth)
        encoder = ENCODERS.get(kind)
        if encoder is not None:
            return encoder(self, value, path, depth)
        if isinstance(value, np.generic):
            return self._scalar(value, path)
        raise TypeError(
            f"{path} is {_described(value)}, which a checkpoint cannot hold; it holds"
            f" {ALLOWED}{_advice(value)}"
        )

    def _sequence(self, values: Any, path: str, depth: int) -> list[Any]:
        return [
            self.encode(value, f"{path}[{index}]", depth + 1)
            for index, value in enumerate(values)
        ]

    def _dict(self, values: Mapping[Any, Any], path: str, depth: int) -> Any:
        if all(type(key) is str for key in values):
            return {
                "dict": {
                    key: self.encode(value, _below(path, key), depth + 1)
                    for key, value in values.items()
                }
            }
        return {"items": self._items(values, path, depth)}

    def _items(self, values: Mapping[Any, Any], path: str, depth: int) -> list[Any]:
        pairs = []
        for key, value in values.items():
            if not isinstance(key, str | int | float | tuple | None):
                raise TypeError(f"{path} has a key {key!r}, {_described(key)}")
            below = _below(path, key)
            pairs.append(
                [
                    self.encode(key, f"the key {below}", depth + 1),
                    self.encode(value, below, depth + 1),
                ]
            )
        return pairs

    def _ordered(self, values: Any, path: str, depth: int) -> Any:
        content = {"items": self._items(values, path, depth)}
        # Modules note their versions there, and read them when they load.
        if hasattr(values, "_metadata"):
            content["metadata"] = self.encode(values._metadata, path, depth + 1)
        return {"OrderedDict": content}

    def _default(self, values: Any, path: str, depth: int) -> Any:
        for name, factory in FACTORIES.items():
            if values.default_factory is factory:
                pairs = self._items(values, path, depth)
                return {"defaultdict": {"factory": name, "items": pairs}}
        raise TypeError(
            f"{path} is a defaultdict of {values.default_factory!r}; a checkpoint can"
            f" name {', '.join(FACTORIES)}"
        )

    def _tensor(self, tensor: Tensor, path: str, _: int) -> Any:
        _check_dense(tensor, path)
        source = tensor.detach()
        place = (source.device, source.data_ptr(), source.dtype, source.shape)
        strides = source.stride()
        looks = (strides, source.is_conj(), source.is_neg())
        key = (place, looks) if source.numel() else id(tensor)
        form: dict[str, Any] = {}
        order = sorted(range(source.dim()), key=lambda d: -strides[d])
        if not source.is_contiguous() and source.permute(order).is_contiguous():
            # The layout in memory, such as channels_last, is part of the state: sums
            # over it are added in its order.
            form["order"] = order
            source = source.permute(order)
        if source.dtype not in STORED:
            form["dtype"] = str(source.dtype).removeprefix("torch.")
            form["shape"] = list(source.shape)
        if key not in self._names:
            self._seen.append(tensor)
            self._names[key] = self._store(source, path)
        return {"tensor": {"name": self._names[key], **form}}

    def _store(self, tensor: Tensor, path: str) -> str:
        plain = tensor.resolve_conj().resolve_neg().cpu().contiguous()
        if plain.dtype not in STORED:
            plain = plain.reshape(-1).view(torch.uint8)
        storage = plain.untyped_storage()
        if storage.nbytes() != plain.nbytes or storage.data_ptr() in self._storages:
            plain = plain.clone()
        self._storages.add(plain.untyped_storage().data_ptr())
        # In any reader's letters, and without what could look like our digest.
        plain_path = path.encode("ascii", "backslashreplace").decode()
        name = base = plain_path.replace('"', "'")
        count = 1
        while name in self.tensors:
            count += 1
            name = f"{base}#{count}"
        self.tensors[name] = plain
        return name

    def _array(self, array: np.ndarray[Any, Any], path: str, _: int) -> Any:
        kind = _array_kind(array.dtype, path)
        data = np.frombuffer(array.tobytes(), dtype=np.uint8).copy()
        self._seen.append(array)
        stored = self._store(torch.from_numpy(data), path)
        return {"array": {"name": stored, "dtype": kind, "shape": list(array.shape)}}

    def _scalar(self, value: np.generic, path: str) -> Any:
        kind = _array_kind(value.dtype, path)
        return {"scalar": {"dtype": kind, "bytes": value.tobytes().hex()}}

    def _set(self, values: Any, path: str, depth: int) -> Any:
        # In an order, so that equal sets give equal files.
        members = sorted(self._sequence(values, path, depth), key=json.dumps)
        return {type(values).__name__: members}


def _described(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    return f"of the type {name}"


def _advice(value: Any) -> str:
    if isinstance(value, Tensor):
        return (
            ". It is a subclass of Tensor: store what it is made of, such as"
            " full_tensor() of a DTensor"
        )
    if callable(value):
        return ". A function is code: give it to the program again when it resumes"
    return ""


def _check_dense(tensor: Tensor, path: str) -> None:
    for no, what in (
        (tensor.is_nested, "nested"),
        (tensor.layout != torch.strided, f"in the layout {tensor.layout}"),
        (tensor.is_quantized, "quantized"),
        (tensor.is_meta, "on the device meta and has no values"),
    ):
        if no:
            raise TypeError(f"{path} is {what}; a checkpoint holds dense tensors")


def _array_kind(dtype: np.dtype[Any], path: str) -> str:
    if not ARRAY.fullmatch(dtype.str) or dtype.names is not None:
        raise TypeError(f"{path} has the dtype {dtype}, which a checkpoint cannot hold")
    return dtype.str


def _below(path: str, key: Any) -> str:
    if type(key) is str:
        return f"{path}.{key}"
    # Python refuses to write very long integers in decimals.
    return f"{path}[{hex(key) if type(key) is int and key >= LONG else repr(key)}]"


ENCODERS: dict[type, Callable[[Encoder, Any, str, int], Any]] = {
    dict: Encoder._dict,
    OrderedDict: Encoder._ordered,
    defaultdict: Encoder._default,
    Counter: lambda self, value, path, depth: {
        "Counter": self._items(value, path, depth)
    },
    tuple: lambda self, value, path, depth: {
        "tuple": self._sequence(value, path, depth)
    },
    set: Encoder._set,
    frozenset: Encoder._set,
    bytes: lambda _self, value, _path, _depth: {"bytes": value.hex()},
    complex: lambda self, value, path, depth: {
        "complex": self._sequence((value.real, value.imag), path, depth)
    },
    Tensor: Encoder._tensor,
    nn.Parameter: Encoder._tensor,
    np.ndarray: Encoder._array,
    torch.Size: lambda _self, value, _path, _depth: {"torch.Size": list(value)},
    torch.dtype: lambda _self, value, _path, _depth: {
        "torch.dtype": str(value).removeprefix("torch.")
    },
    torch.device: lambda _self, value, _path, _depth: {"torch.device": str(value)},
}
