"""State dicts from JSON and a flat dictionary of tensors."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adam_tutorial.checkpoint.vocabulary import ARRAY, DTYPES, FACTORIES

__all__ = ["decode"]


def decode(form: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the value that was encoded.

    Parameters
    ----------
    form : JSON
        What an encoder wrote.
    tensors : dict
        The tensors by name. One that was shared is shared again.

    Raises
    ------
    Exception
        Of any ordinary kind: it is not what an encoder writes.
    """
    if isinstance(form, list):
        return [decode(value, tensors) for value in form]
    if not isinstance(form, dict):
        return form
    ((tag, content),) = form.items()
    return DECODERS[tag](content, tensors)


def _pairs(content: Any, tensors: Mapping[str, Tensor]) -> list[tuple[Any, Any]]:
    return [(decode(key, tensors), decode(value, tensors)) for key, value in content]


def _ordered(content: Any, tensors: Mapping[str, Tensor]) -> Any:
    values: OrderedDict[Any, Any] = OrderedDict(_pairs(content["items"], tensors))
    if "metadata" in content:
        values._metadata = decode(content["metadata"], tensors)  # type: ignore[attr-defined]
    return values


def _default(content: Any, tensors: Mapping[str, Tensor]) -> Any:
    return defaultdict(FACTORIES[content["factory"]], _pairs(content["items"], tensors))


def _tensor(content: Any, tensors: Mapping[str, Tensor]) -> Tensor:
    tensor = tensors[content["name"]]
    if "dtype" in content:
        tensor = tensor.view(DTYPES[content["dtype"]]).view(content["shape"])
    if "order" in content:
        order = content["order"]
        tensor = tensor.permute([order.index(d) for d in range(len(order))])
    return tensor


def _array(content: Any, tensors: Mapping[str, Tensor]) -> Any:
    data = tensors[content["name"]].numpy().tobytes()
    return _from_bytes(content["dtype"], data).reshape(content["shape"]).copy()


def _from_bytes(kind: str, data: bytes) -> np.ndarray[Any, Any]:
    if not ARRAY.fullmatch(kind):
        raise ValueError(f"{kind!r} is no dtype of numbers")
    return np.frombuffer(data, dtype=np.dtype(kind))


DECODERS: dict[str, Callable[[Any, Mapping[str, Tensor]], Any]] = {
    "dict": lambda content, tensors: {
        key: decode(value, tensors) for key, value in content.items()
    },
    "items": lambda content, tensors: dict(_pairs(content, tensors)),
    "OrderedDict": _ordered,
    "defaultdict": _default,
    "Counter": lambda content, tensors: Counter(dict(_pairs(content, tensors))),
    "tuple": lambda content, tensors: tuple(decode(content, tensors)),
    "set": lambda content, tensors: set(decode(content, tensors)),
    "frozenset": lambda content, tensors: frozenset(decode(content, tensors)),
    "bytes": lambda content, _: bytes.fromhex(content),
    "int": lambda content, _: int(content, 16),
    "float": lambda content, _: struct.unpack(">d", bytes.fromhex(content))[0],
    "complex": lambda content, tensors: complex(*decode(content, tensors)),
    "tensor": _tensor,
    "array": _array,
    "scalar": lambda content, _: _from_bytes(
        content["dtype"], bytes.fromhex(content["bytes"])
    )[0],
    "torch.Size": lambda content, _: torch.Size(content),
    "torch.dtype": lambda content, _: DTYPES[content],
    "torch.device": lambda content, _: torch.device(content),
}
