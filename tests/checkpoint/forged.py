"""Files with a right digest and any header: what only somebody on purpose can write."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["ZEROS", "content", "header", "sealed", "sealed_text"]

ZEROS = "0" * 64
EMPTY: dict[str, Any] = {"dict": {}}


def content(**changes: Any) -> str:
    """Return the JSON of a checkpoint without parts, with other entries."""
    entries = {"step": 1, "parts": EMPTY, "extra": None, "random_states": EMPTY}
    return json.dumps({"dict": {**entries, **changes}})


def header(text: str, version: Any = 1, **tensors: Any) -> str:
    """Return a header, its digest still zeros."""
    entry = f'{{"version":{version},"sha256":"{ZEROS}","content":{text}}}'
    entries: dict[str, Any] = {"__metadata__": {"adam_tutorial.checkpoint": entry}}
    for name, (dtype, shape, offsets) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    return json.dumps(entries, separators=(",", ":"))


def sealed(text: str, data: bytes = b"", version: Any = 1, **tensors: Any) -> bytes:
    """Return a file of a content, data and tensors ``name=(dtype, shape, offsets)``."""
    return sealed_text(header(text, version, **tensors), data)


def sealed_text(text: str, data: bytes = b"") -> bytes:
    """Return a file with this header; its 64 zeros become the digest."""
    raw = text.encode()
    whole = len(raw).to_bytes(8, "little") + raw + data
    digest = hashlib.sha256(whole).hexdigest()
    return whole.replace(ZEROS.encode(), digest.encode())
