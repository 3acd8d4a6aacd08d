"""A folder of checkpoints, and the file operations that survive a crash at any moment.

A file is written under another name, forced to the disk, renamed, and the folder is
forced to the disk; only then are older files deleted. What a crash can leave of this
is a whole file, an older whole file, or both, and a temporary file.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adam_tutorial._warnings import warn

# Windows has none.
fcntl: Any = importlib.import_module("fcntl") if find_spec("fcntl") else None

__all__ = ["name_of", "prune", "publish", "step_of", "steps_in"]

NAME = re.compile(r"step-([0-9]{10,19})\.safetensors")
TEMPORARY = re.compile(r"\.step-[0-9]{10,19}\.safetensors\.[0-9a-f]{16}\.tmp")
CHUNK = 2**24
TRIES = 10


def name_of(step: int) -> str:
    """Return the name of the file of a step."""
    return f"step-{step:010d}.safetensors"


def step_of(path: Path) -> int | None:
    """Return the step that a file's name states, or None for another file."""
    found = NAME.fullmatch(path.name)
    step = int(found.group(1)) if found else None
    # No other spelling: two files would have the same step.
    return step if step is not None and name_of(step) == path.name else None


def steps_in(folder: Path) -> list[tuple[int, Path]]:
    """Return the steps and files in a folder, the newest first, unread."""
    found = [(step_of(path), path) for path in folder.iterdir()]
    return sorted(((s, path) for s, path in found if s is not None), reverse=True)


def publish(folder: Path, name: str, pieces: Sequence[memoryview]) -> Path:
    """Write a file into a folder so that it is there as a whole or not at all.

    The folder is made if it does not exist. When this returns, the file outlives a
    crash of the machine; when it raises, the folder is as it was.

    Parameters
    ----------
    folder : Path
        Where to.
    name : str
        Name of the file. One of this name is replaced.
    pieces : sequence of memoryview
        Its bytes.

    Raises
    ------
    OSError
        The system refuses: no space, no permission, no folder.
    """
    make_folder(folder)
    remove_abandoned(folder)
    path = folder / name
    descriptor, temporary = _new_temporary(folder, name)
    try:
        try:
            for piece in pieces:
                _write(descriptor, piece, temporary)
            sync_file(descriptor)
            if fcntl is not None:
                # While it is open, and locked: nobody takes it for abandoned.
                os.replace(temporary, path)
        finally:
            os.close(descriptor)
        if fcntl is None:  # and an open file cannot be renamed
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    sync_folder(folder)
    return path


def prune(folder: Path, step: int, keep: int | None) -> None:
    """Delete all but the newest ``keep`` of the files up to a step.

    Later ones stay: another run, or what is left of a run that went on from an earlier
    checkpoint, is not ours to delete.
    """
    if keep is None:
        return
    for _, path in [entry for entry in steps_in(folder) if entry[0] <= step][keep:]:
        try:
            os.unlink(path)  # noqa: PTH108
        except FileNotFoundError:
            pass  # another process was faster
        except OSError as error:
            warn(f"an old checkpoint stays: {error}")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each of which outlives a crash."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def remove_abandoned(folder: Path) -> None:
    """Delete the temporary files of writers that were killed."""
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name):
            # It is gone already, still being written, or not ours.
            with contextlib.suppress(OSError):
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    if fcntl is None:
        os.unlink(path)  # noqa: PTH108 - the system refuses while it is open
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        # Its writer holds the lock as long as it lives.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # noqa: PTH108
    finally:
        os.close(descriptor)


def _new_temporary(folder: Path, name: str) -> tuple[int, Path]:
    """Return a new file, open and locked, and its path."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for _ in range(TRIES):
        path = folder / f".{name}.{secrets.token_hex(8)}.tmp"
        descriptor = os.open(path, flags, 0o666)
        if fcntl is None:
            return descriptor, path
        # Some network file systems have no locks. Then nobody removes anything.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Somebody may have locked and deleted it before we could lock it.
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)
    raise OSError(errno.EAGAIN, "temporary files are deleted by somebody", str(folder))


def _write(descriptor: int, piece: memoryview, path: Path) -> None:
    try:
        for start in range(0, len(piece), CHUNK):
            chunk = piece[start : start + CHUNK]
            while chunk:
                chunk = chunk[os.write(descriptor, chunk) :]
    except OSError as error:
        # write(2) does not know what it writes to.
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_file(descriptor: int) -> None:
    """Wait until a file's bytes are on the disk."""
    # macOS: fsync hands the bytes to the drive, which may keep them in its memory.
    if fcntl is not None and hasattr(fcntl, "F_FULLFSYNC"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, where a folder can be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # EINVAL: the file system keeps names safe in another way.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
