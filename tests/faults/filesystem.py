"""Every state in which a crash can leave a folder, from a record of file operations.

What the model lets happen is what POSIX allows, more than any one file system does:

- The crash comes after any operation.
- Bytes that were written and not synced are on the disk, or are zeros, chunk by chunk;
  the file ends after any of them.
- A name that was made, changed or removed, while its folder was not synced since, is
  on the disk in the state before, in the one after, or in any in between, each name
  independently of the others.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults import LONG

__all__ = ["Disk", "Operation", "Record", "State", "recorded", "states_after_crashes"]

Operation = tuple[Any, ...]
# Names of files with their bytes, relative to the root; a folder has None.
State = frozenset[tuple[str, bytes | None]]
# A write is cut into so many chunks, each of which may be lost; a short one is not cut.
CHUNKS, LEAST = (3, 30) if LONG else (2, 100)


@dataclass
class Record:
    """What was done below a folder, in order, and what was there before."""

    root: Path
    before: dict[str, bytes | None]
    operations: list[Operation] = field(default_factory=list)


def contents(root: Path) -> dict[str, bytes | None]:
    """Return all files below a folder, with their bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


@contextmanager
def recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    """Record the operations on files below a folder.

    Afterwards the model must have the same files as the disk: no operation was missed.
    """
    record = Record(root, contents(root))
    opened: dict[int, tuple[str, int]] = {}
    serial = itertools.count()
    real: dict[str, Callable[..., Any]] = {
        name: getattr(os, name)
        for name in ("open", "close", "write", "fsync", "replace", "unlink", "mkdir")
    }
    note = record.operations.append

    def below(path: Any) -> str | None:
        resolved = Path(path).absolute()
        inside = resolved == root or root in resolved.parents
        return str(resolved.relative_to(root)) if inside else None

    def noted_open(path: Any, flags: int, *more: Any, **words: Any) -> int:
        name = None if isinstance(path, int) else below(path)
        new = name is not None and flags & os.O_CREAT and not Path(path).exists()
        descriptor: int = real["open"](path, flags, *more, **words)
        if name is not None:
            opened[descriptor] = name, next(serial)
            if new:
                note(("create", *opened[descriptor]))
            elif flags & (os.O_WRONLY | os.O_RDWR) and not Path(path).is_dir():
                note(("open", *opened[descriptor]))
        return descriptor

    def noted_close(descriptor: int) -> None:
        opened.pop(descriptor, None)
        real["close"](descriptor)

    def noted_write(descriptor: int, data: Any) -> int:
        count: int = real["write"](descriptor, data)
        if descriptor in opened:
            note(("write", opened[descriptor][1], bytes(data[:count])))
        return count

    def noted_fsync(descriptor: int) -> None:
        real["fsync"](descriptor)
        if descriptor in opened:
            name, number = opened[descriptor]
            folder = (root / name).is_dir()
            note(("sync folder", name) if folder else ("sync", number))

    def noted_replace(source: Any, target: Any) -> None:
        real["replace"](source, target)
        note(("rename", below(source), below(target)))

    def noted_unlink(path: Any, **words: Any) -> None:
        real["unlink"](path, **words)
        if below(path) is not None:
            note(("unlink", below(path)))

    def noted_mkdir(path: Any, *more: Any, **words: Any) -> None:
        real["mkdir"](path, *more, **words)
        if below(path) is not None:
            note(("mkdir", below(path)))

    with monkeypatch.context() as patched:
        # On macOS the sync is another call, which means the same here.
        patched.delattr("fcntl.F_FULLFSYNC", raising=False)
        for name in real:
            patched.setattr(os, name, locals()[f"noted_{name}"])
        yield record
    disk = Disk(record.before)
    for operation in record.operations:
        disk.apply(operation)
    assert disk.now() == contents(root)


@dataclass
class File:
    """Bytes that are on the disk for certain, and writes that may be lost."""

    durable: bytes = b""
    pending: list[bytes] = field(default_factory=list)

    def variants(self) -> set[bytes]:
        """Return all that can be found in it after a crash."""
        chunks = [chunk for data in self.pending for chunk in cut(data)]
        found = {self.durable}
        for count in range(1, len(chunks) + 1):
            zeros = [bytes(len(chunk)) for chunk in chunks[:count]]
            pairs = zip(chunks, zeros, strict=False)
            found |= {self.durable + b"".join(one) for one in itertools.product(*pairs)}
        return found


def cut(data: bytes) -> list[bytes]:
    """Cut bytes into chunks."""
    size = max(LEAST, -(-len(data) // CHUNKS))
    return [data[start : start + size] for start in range(0, len(data), size)]


class Disk:
    """A file system: what programs see, and what a crash can leave of it."""

    def __init__(self, before: dict[str, bytes | None]) -> None:
        # For each name the files that it may stand for on the disk; the last is the
        # one that programs see. None: no such name. Folders are files without bytes.
        self.names: dict[str, list[File | None]] = {
            name: [File(data or b"")] for name, data in before.items()
        }
        self.folders = {name for name, data in before.items() if data is None}
        self.numbers: dict[int, File] = {}

    def apply(self, operation: Operation) -> None:
        """Do what was recorded."""
        match operation:
            case ("create", name, number):
                self.numbers[number] = File()
                self._set(name, self.numbers[number])
            case ("open", name, number):
                seen = self.names[name][-1]
                assert seen is not None
                self.numbers[number] = seen
            case ("write", number, data):
                self.numbers[number].pending.append(data)
            case ("sync", number):
                file = self.numbers[number]
                file.durable += b"".join(file.pending)
                file.pending = []
            case ("rename", source, target):
                self._set(target, self.names[source][-1])
                self._set(source, None)
            case ("unlink", name):
                self._set(name, None)
            case ("mkdir", name):
                self.folders.add(name)
                self._set(name, File())
            case ("sync folder", folder):
                for name, files in self.names.items():
                    if str(Path(name).parent) == folder:
                        self.names[name] = files[-1:]

    def _set(self, name: str, file: File | None) -> None:
        self.names.setdefault(name, [None]).append(file)

    def now(self) -> dict[str, bytes | None]:
        """Return what programs see."""
        return {
            name: None
            if name in self.folders
            else files[-1].durable + b"".join(files[-1].pending)
            for name, files in self.names.items()
            if files[-1] is not None
        }

    def crashes(self) -> Iterator[State]:
        """Give every state that is on the disk if the machine stops now."""
        for choice in itertools.product(*self.names.values()):
            chosen = zip(self.names, choice, strict=True)
            there = {name: file for name, file in chosen if file is not None}
            # What is in a folder goes with it.
            there = {
                name: file
                for name, file in there.items()
                if {*map(str, Path(name).parents)} <= {".", *there}
            }
            # Under two names, a file has the same bytes.
            files = {id(file): file for file in there.values()}
            for bytes_of in itertools.product(*(f.variants() for f in files.values())):
                data = dict(zip(files, bytes_of, strict=True))
                yield frozenset(
                    (name, None if name in self.folders else data[id(file)])
                    for name, file in there.items()
                )


def states_after_crashes(record: Record) -> tuple[set[State], set[State]]:
    """Return all states, and those that are possible after the last operation."""
    disk = Disk(record.before)
    states = {*disk.crashes()}
    last = states
    for operation in record.operations:
        disk.apply(operation)
        last = {*disk.crashes()}
        states |= last
    return states, last
