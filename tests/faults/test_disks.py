"""Full disks, folders without permission, and two writers at once."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from adam_tutorial import checkpoint

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("written", [0, 1, 100, 700, 5000])
def test_a_disk_that_becomes_full_leaves_the_old_checkpoint(
    written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1, extra=torch.zeros(2000))
    left, write = written, os.write

    def write_what_fits(descriptor: int, data: Any) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(descriptor, data[:left])
        left -= count
        return count

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_what_fits)
        with pytest.raises(OSError, match=r"No space left.*step-0000000002") as got:
            checkpoint.save(tmp_path, 2, extra=torch.ones(2000), keep=1)
    assert got.value.errno == errno.ENOSPC
    assert names(tmp_path) == ["step-0000000001.safetensors"]
    assert checkpoint.load(tmp_path).step == 1
    checkpoint.save(tmp_path, 2, keep=1)
    assert names(tmp_path) == ["step-0000000002.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_limit_of_the_size_of_files_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoint.save(tmp_path, 2, extra=torch.ones(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert names(tmp_path) == ["step-0000000001.safetensors"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_what_it_has_and_takes_more_when_there_is_room(
    small_disk: Path,
) -> None:
    run = small_disk / "run"
    saved = 0

    def fill() -> None:
        nonlocal saved
        while saved < 100:
            checkpoint.save(run, saved, extra=torch.ones(20_000), keep=None)
            saved += 1

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert saved > 5
    assert checkpoint.load(run).step == saved - 1
    assert len(names(run)) == saved
    with pytest.raises(OSError, match="No space left"), checkpoint.Saver(run) as saver:
        saver.save(saved, extra=torch.ones(20_000))
    # Room is made by hand: the new one must be durable before an old one may go.
    (run / "step-0000000000.safetensors").unlink()
    checkpoint.save(run, saved, extra=torch.ones(20_000), keep=2)
    assert len(names(run)) == 2
    assert checkpoint.load(run).step == saved


@contextmanager
def read_only() -> Iterator[Path]:
    """Yield a folder with a checkpoint that we may read but not change.

    Not a fixture: whatever pytest and its plugins write between the phases of a test is
    written with all rights.
    """
    if sys.platform == "win32":
        pytest.skip("Windows has other permissions")
    with tempfile.TemporaryDirectory() as made:
        parent = Path(made)
        parent.chmod(0o755)
        folder = parent / "run"
        checkpoint.save(folder, 1)
        folder.chmod(0o555)
        if ROOT:  # who may write everywhere
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if ROOT:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_read_only_folder_is_an_error_and_stays_readable() -> None:
    with read_only() as folder:
        with pytest.raises(PermissionError, match="run"):
            checkpoint.save(folder, 2)
        with pytest.raises(PermissionError), checkpoint.Saver(folder) as saver:
            saver.save(2)
        assert names(folder) == ["step-0000000001.safetensors"]
        assert checkpoint.load(folder).step == 1


def test_a_folder_that_cannot_be_made_is_an_error() -> None:
    with read_only() as folder, pytest.raises(PermissionError):
        checkpoint.save(folder / "below", 1)


WRITER = """
import sys
import torch
from adam_tutorial import checkpoint
folder, own = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for step in range(60):
    path = checkpoint.save(folder, step, extra=torch.full((5000,), own), keep=2)
"""


def test_two_writers_at_once_leave_whole_files_of_one_or_the_other(
    tmp_path: Path, record_property: Any
) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "run"), str(own)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for own in (1, 2)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    reads, steps = 0, [-1]
    seen = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while any(writer.poll() is None for writer in writers):
            try:
                loaded = checkpoint.load(tmp_path / "run", random_states=False)
            except FileNotFoundError:
                assert steps == [-1]
                continue
            (own,) = set(loaded.extra.tolist())
            seen.add(own)
            reads += 1
            steps.append(loaded.step)
    for writer in writers:
        _, complaint = writer.communicate()
        assert writer.returncode == 0, complaint
        # The slower one is warned that its steps are not the newest.
        assert "Error" not in complaint
    assert steps == sorted(steps)
    assert reads > 10
    assert checkpoint.load(tmp_path / "run").step == 59
    assert not [name for name in names(tmp_path / "run") if name.endswith(".tmp")]
    record_property("fault", f"two writers at once: {reads} loads meanwhile, all whole")
