"""The file: a safetensors file whose metadata hold the rest and a SHA-256 of all of it.

Any reader of safetensors can open it. The metadata have one entry, JSON with
``version``, ``content`` and ``sha256``, the digest of the file's bytes with 64 zeros
where the digest stands. It finds accidents; it is no signature. Equal states give equal
files, which is why there is one entry: safetensors writes several in any order.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
from torch import Tensor

from adam_tutorial.checkpoint.decoding import decode
from adam_tutorial.checkpoint.encoding import Encoder
from adam_tutorial.checkpoint.errors import CheckpointError

__all__ = ["pack", "read", "verify"]

FORMAT = "adam_tutorial.checkpoint"
VERSION = 1
ZEROS = b"0" * 64
# JSON in a string of JSON; in the user's strings the quotes are escaped once more.
DIGEST = re.compile(rb'\\"sha256\\":\\"([0-9a-f]{64})\\"')
OFFSETS = re.compile(rb'"data_offsets":\[\d{1,20},(\d{1,20})\]')
# Possessive: else each character of a long string would be noted, to be tried again.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# safetensors takes no longer header.
LONGEST_HEADER = 100_000_000
# JSON of n bytes can become objects of many times n: their number is limited by the
# size of the file, with a quarter of a GiB to spare.
SPARE = 2**28
BYTES_OF_AN_OBJECT = 64
DEEPEST = 400
OPENING, CLOSING = b"[{", b"]}"
NOT_STRUCTURE = bytes({*range(256)} - {*OPENING, *CLOSING, *b","})
# Bytes of an element, for each dtype that is stored as it is.
SIZES = {
    **dict.fromkeys(("F64", "I64"), 8),
    **dict.fromkeys(("F32", "I32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL"), 1),
}
MOST_DIMENSIONS = 64
CHUNK = 2**20


def pack(content: Any, encoder: Encoder) -> list[memoryview]:
    """Return the bytes of a file, in pieces.

    Parameters
    ----------
    content : JSON
        What the encoder made of everything.
    encoder : Encoder
        Its tensors are stored.

    Raises
    ------
    ValueError
        There is too much beside the tensors: their names and the JSON would need more
        than 100 MB, or more objects than a file of this size may make.
    """
    entry = {"version": VERSION, "sha256": ZEROS.decode(), "content": content}
    text = json.dumps(entry, allow_nan=False, separators=(",", ":"))
    try:
        data = safetensors.torch.save(encoder.tensors, {FORMAT: text})
    except safetensors.SafetensorError as error:
        raise ValueError(f"a checkpoint cannot hold this much: {error}") from error
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    if len(header) > LONGEST_HEADER:  # which older versions of safetensors write
        raise ValueError(
            f"a checkpoint cannot hold this much: its header has {len(header)} bytes"
        )
    for part in (header, text.encode()):
        problem = _too_much(part, len(data))
        if problem:
            raise ValueError(f"a checkpoint cannot hold this: {problem}")
    (found,) = DIGEST.finditer(header)
    start, end = 8 + found.start(1), 8 + found.end(1)
    view = memoryview(data)
    digest = hashlib.sha256(view).hexdigest().encode()
    return [view[:start], memoryview(digest), view[end:]]


def verify(path: Path) -> Any:
    """Return the step of a file, whose tensors are verified and not kept in memory.

    Raises
    ------
    CheckpointError, OSError
        As :func:`read`.
    """
    return _read(path, lambda form, _: decode(form["dict"]["step"], {}))


def read(path: Path) -> Any:
    """Return the content of a file.

    Nothing is taken from the file before its digest was compared. Beside the objects
    of the content it holds the file and its tensors in memory, twice the file's size.

    Raises
    ------
    CheckpointError
        It is not a whole, unchanged file of this format and version.
    OSError
        It cannot be read.
    """

    def all_of_it(form: Any, file: BinaryIO) -> Any:
        file.seek(0)
        tensors: dict[str, Tensor] = safetensors.torch.load(file.read())
        return decode(form, tensors)

    return _read(path, all_of_it)


def _read(path: Path, use: Callable[[Any, BinaryIO], Any]) -> Any:
    """Return what is made of the JSON of a verified file."""
    with _opened(path) as file:
        header = _verified_header(file, path)
        try:
            form = _content_of(header, os.fstat(file.fileno()).st_size)
            return use(form, file)
        except MemoryError:
            raise
        # A malformed file with a right digest was made on purpose: none of
        # the ways to be wrong in it may look like a fault of the program that loads.
        except Exception as error:
            what = str(error) or type(error).__name__
            raise CheckpointError(path, f"malformed: {what[:300]}") from error


def _opened(path: Path) -> BinaryIO:
    # Not to wait for a writer, if somebody put a pipe there.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CheckpointError(path, "not a regular file")
    return os.fdopen(descriptor, "rb")


def _verified_header(file: BinaryIO, path: Path) -> bytes:
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or 8 + length > size:
        raise CheckpointError(
            path,
            f"truncated or no safetensors file: it has {size} bytes, and its header"
            f" would end at {8 + length}",
        )
    if length > LONGEST_HEADER:
        raise CheckpointError(path, f"its header claims to have {length} bytes")
    header: bytes = file.read(length)
    if f'"{FORMAT}"'.encode() not in header:
        raise CheckpointError(path, "no checkpoint of this package")
    found = list(DIGEST.finditer(header))
    if len(found) != 1:
        raise CheckpointError(path, "altered: it has no SHA-256, or several")
    digest = hashlib.sha256(first)
    view = memoryview(header)
    for piece in (view[: found[0].start(1)], ZEROS, view[found[0].end(1) :]):
        digest.update(piece)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    if digest.hexdigest().encode() != found[0].group(1):
        raise CheckpointError(path, _why_different(header, size))
    return header


def _why_different(header: bytes, size: int) -> str:
    ends = [int(found.group(1)) for found in OFFSETS.finditer(header)]
    due = 8 + len(header) + max(ends, default=0)
    if size < due:
        return f"truncated: it has {size} of {due} bytes"
    if size > due:
        return f"altered: it has {size} bytes, {size - due} more than it should"
    return "altered: its SHA-256 is not that of its bytes"


def _content_of(header: bytes, size: int) -> Any:
    """Return the JSON of the content; what the header says of tensors is checked."""
    _refuse_too_much(header, size)
    entries = _json(header.decode())
    text = entries.pop("__metadata__")[FORMAT]
    _refuse_too_much(text.encode(), size)
    entry = _json(text)
    if entry["version"] != VERSION:
        raise ValueError(
            f"it has version {str(entry['version'])[:20]} of the format, this package"
            f" reads {VERSION}; use a newer adam_tutorial"
        )
    end = 0
    for tensor in sorted(entries.values(), key=lambda tensor: tensor["data_offsets"]):
        (start, stop), shape = tensor["data_offsets"], tensor["shape"]
        if len(shape) > MOST_DIMENSIONS or not all(
            type(length) is int and length >= 0 for length in shape
        ):
            raise ValueError(f"a tensor has the shape {str(shape)[:80]}")
        if start != end or stop - start != math.prod(shape) * SIZES[tensor["dtype"]]:
            raise ValueError("its tensors overlap, leave gaps or have other sizes")
        end = stop
    if 8 + len(header) + end != size:
        raise ValueError(f"its tensors end at {8 + len(header) + end} of {size} bytes")
    return entry["content"]


def _refuse_too_much(text: bytes, size: int) -> None:
    problem = _too_much(text, size)
    if problem:
        raise ValueError(problem)


def _too_much(text: bytes, size: int) -> str:
    """Say why JSON would need too much memory or stack, or nothing."""
    objects = depth = deepest = end = 0
    # What stands between the strings. Nothing is collected: this runs on any text.
    for start, stop in _strings(text):
        between, end = text[end:start].translate(None, NOT_STRUCTURE), stop
        objects += len(between)
        for sign in between:
            if sign in OPENING:
                depth += 1
                deepest = max(deepest, depth)
            elif sign in CLOSING:
                depth -= 1
    if objects * BYTES_OF_AN_OBJECT > 2 * size + SPARE:
        return f"its JSON has {objects} values, too many for {size} bytes"
    if deepest > DEEPEST:
        return f"its JSON is nested {deepest} deep"
    return ""


def _strings(text: bytes) -> Iterator[tuple[int, int]]:
    for found in STRING.finditer(text):
        yield found.span()
    yield len(text), len(text)


def _json(text: str) -> Any:
    return json.loads(
        text,
        object_pairs_hook=_without_repeats,
        parse_int=_short_int,
        parse_constant=_no_constant,
    )


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("its JSON has the same key twice")
    return entries


def _short_int(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("its JSON has a number of more than 20 digits")
    return int(digits)


def _no_constant(word: str) -> Any:
    raise ValueError(f"its JSON has the value {word}")
