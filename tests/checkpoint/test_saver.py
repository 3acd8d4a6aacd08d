"""Saving in the background."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import Saver, files


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Hold the background at the moment before the bytes are durable."""
    event = threading.Event()
    sync = files.sync_file

    def waiting(descriptor: int) -> None:
        assert event.wait(60)
        sync(descriptor)

    monkeypatch.setattr(files, "sync_file", waiting)
    return event


def test_the_state_is_that_of_the_call(tmp_path: Path, gate: threading.Event) -> None:
    model = nn.Linear(2, 2)
    was = model.weight.detach().clone()
    with Saver(tmp_path) as saver:
        saver.save(1, model=model, extra={"a": [1]})
        with torch.no_grad():
            model.weight.zero_()
        gate.set()
    assert saver.newest == tmp_path / "step-0000000001.safetensors"
    loaded = checkpoint.load(tmp_path, model=model)
    assert torch.equal(model.weight, was)
    assert loaded.extra == {"a": [1]}


def test_only_what_is_durable_is_published(
    tmp_path: Path, gate: threading.Event
) -> None:
    gate.set()
    with Saver(tmp_path, keep=1) as saver:
        saver.save(1)
        assert saver.wait() == checkpoint.latest(tmp_path)
        first = saver.newest
        gate.clear()
        saver.save(2)
        assert saver.newest == checkpoint.latest(tmp_path) == first
        gate.set()
    assert saver.newest == checkpoint.latest(tmp_path) != first


def test_one_file_at_a_time_is_written(tmp_path: Path, gate: threading.Event) -> None:
    with Saver(tmp_path) as saver:
        saver.save(1)
        release = threading.Timer(0.05, gate.set)
        release.start()
        saver.save(2)  # waits for the first
        assert saver.newest == tmp_path / "step-0000000001.safetensors"
    assert checkpoint.load(tmp_path).step == 2


def fail(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["save", "wait", "close", "exit"])
def test_errors_of_the_background_come_at_the_next_call(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = Saver(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(files, "sync_file", fail)
        saver.save(1)
        saver._thread.join()  # type: ignore[union-attr]
    calls: dict[str, Any] = {
        "save": lambda: saver.save(2),
        "wait": saver.wait,
        "close": saver.close,
        "exit": lambda: saver.__exit__(None, None, None),
    }
    with pytest.raises(OSError, match="No space left"):
        calls[call]()
    saver.save(3)
    saver.close()
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000003.safetensors"]


def test_an_error_of_the_training_is_not_hidden_by_one_of_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "sync_file", fail)

    def train() -> None:
        with Saver(tmp_path) as saver:
            saver.save(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as got:
        train()
    assert "could not be written either: [Errno 28]" in got.value.__notes__[0]


def test_what_cannot_be_saved_is_refused_in_the_call(tmp_path: Path) -> None:
    with Saver(tmp_path) as saver, pytest.raises(TypeError, match="extra is of the"):
        saver.save(1, extra=print)
    with pytest.raises(ValueError, match="keep must be at least 1"):
        Saver(tmp_path, keep=0)
    with Saver(tmp_path) as saver, pytest.raises(ValueError, match="step must be at"):
        saver.save(-1)
    assert [*tmp_path.iterdir()] == []


def test_a_program_that_ends_waits_for_the_file(tmp_path: Path) -> None:
    program = """
import sys, time
from adam_tutorial.checkpoint import Saver, files
sync = files.sync_file
files.sync_file = lambda fd: (time.sleep(0.3), sync(fd))
Saver(sys.argv[1]).save(1)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert checkpoint.load(tmp_path).step == 1
