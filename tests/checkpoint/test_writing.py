"""How a file is written: locks, syncs, and what other systems lack."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import files


def numbered(folder: Path) -> list[int]:
    return sorted(int(path.name[5:15]) for path in folder.glob("step-*"))


def abandoned(folder: Path) -> Path:
    path = folder / f".step-0000000009.safetensors.{'ab' * 8}.tmp"
    path.write_bytes(b"half a file")
    return path


def test_temporary_files_of_killed_writers_are_removed(tmp_path: Path) -> None:
    left = abandoned(tmp_path)
    checkpoint.save(tmp_path, 1)
    assert not left.exists()


def test_temporary_files_of_living_writers_stay(tmp_path: Path) -> None:
    descriptor, path = files._new_temporary(tmp_path, "step-0000000009.safetensors")
    checkpoint.save(tmp_path, 1)
    assert path.exists()
    os.close(descriptor)
    checkpoint.save(tmp_path, 2)
    assert not path.exists()


def test_a_temporary_file_deleted_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, times = files.fcntl.flock, iter([True, True, False])

    def deleted_first(descriptor: int, flags: int) -> None:
        if next(times, False):
            for path in tmp_path.glob(".*.tmp"):
                path.unlink()
        lock(descriptor, flags)

    monkeypatch.setattr(files.fcntl, "flock", deleted_first)
    checkpoint.save(tmp_path, 1)
    assert numbered(tmp_path) == [1]
    monkeypatch.setattr(files, "TRIES", 1)
    times = iter([True])
    with pytest.raises(OSError, match="temporary files are deleted by somebody"):
        checkpoint.save(tmp_path, 2)


def test_folders_without_locks_are_written_to_and_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    left = abandoned(tmp_path)
    checkpoint.save(tmp_path, 1)
    assert left.exists()
    assert checkpoint.load(tmp_path).step == 1


def test_systems_without_fcntl_close_the_file_before_they_rename_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.delattr(os, "O_DIRECTORY")
    calls = []

    def note(name: str) -> None:
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a: [calls.append(name), call(*a)])  # type: ignore[func-returns-value]

    note("close")
    note("replace")
    abandoned(tmp_path)
    checkpoint.save(tmp_path, 1)
    assert numbered(tmp_path) == [1]
    assert calls == ["close", "replace"]


def test_where_there_is_a_full_flush_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # macOS: fsync leaves the bytes in the drive's memory.
    calls: list[int] = []

    def flush(_: int, command: int) -> None:
        calls.append(command)
        if len(calls) > 1:
            raise OSError(errno.ENOTSUP, "no full flush here")

    monkeypatch.setattr(files.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(files.fcntl, "fcntl", flush)
    for step in (1, 2):
        checkpoint.save(tmp_path, step)
    assert calls == [51, 51]


def test_folders_that_cannot_be_synced_are_taken_but_errors_of_disks_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, number = os.fsync, errno.EINVAL

    def refuse(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    checkpoint.save(tmp_path, 1, keep=1)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        checkpoint.save(tmp_path, 2, keep=1)
    # Whether the name of the new one is durable is unknown: the old one stays.
    assert numbered(tmp_path) == [1, 2]


def test_an_old_file_that_cannot_be_deleted_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "in use", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        with pytest.warns(UserWarning, match="an old checkpoint stays: .*in use"):
            checkpoint.save(tmp_path, 2, keep=1)
    unlink = os.unlink
    # Another process may delete it first.
    monkeypatch.setattr(os, "unlink", lambda path: (unlink(path), unlink(path)))
    checkpoint.save(tmp_path, 3, keep=1)
    assert numbered(tmp_path) == [3]


def test_an_interrupted_save_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "sync_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, 2)
    assert numbered(tmp_path) == [1]
