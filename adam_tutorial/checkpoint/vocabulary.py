"""The types that a checkpoint names; loading makes these and no others."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["ARRAY", "DTYPES", "FACTORIES", "STORED"]

DTYPES = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}
# Tensors of these dtypes are stored as they are, all others as bytes.
STORED = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
}
# Of a defaultdict.
FACTORIES: dict[str, Callable[[], Any] | None] = {
    "None": None,
    **{kind.__name__: kind for kind in (dict, list, set, int, float, str, tuple, bool)},
}
# NumPy's name of a dtype of numbers, bytes or text; objects would be code.
ARRAY = re.compile(r"[<>|=][biufcmMSU]\d+(\[\w+\])?")
