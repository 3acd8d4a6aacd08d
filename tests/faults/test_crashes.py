"""What a crash leaves of a save loads as the old checkpoint or as the new one."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import CheckpointError, files, saving
from tests.faults import LONG
from tests.faults.filesystem import Record, State, recorded, states_after_crashes

Action = Callable[[Path], None]


def state_of(value: int) -> dict[str, Any]:
    """A model whose every number is its value: a mixture would be seen."""
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return {"model": model, "extra": value}


def save(folder: Path, step: int, value: int, keep: int = 2) -> None:
    checkpoint.save(folder, step, **state_of(value), keep=keep)


def found_in(folder: Path) -> int | None:
    """The value of the checkpoint that loads, None for none; all else is an error."""
    model = torch.nn.Linear(3, 2)
    with warnings.catch_warnings():
        # Nothing is ever damaged under the name of a checkpoint: nothing is refused.
        warnings.simplefilter("error")
        try:
            loaded = checkpoint.load(folder, model=model)
        except FileNotFoundError:
            return None
    values = {*model.weight.flatten().tolist(), *model.bias.tolist(), loaded.extra}
    assert len(values) == 1
    value: int = loaded.extra
    return value


def materialise(state: State, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, data in sorted(state, key=lambda entry: entry[0]):
        if data is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(data)


def violations(record: Record, old: int | None, new: int, scratch: Path) -> list[str]:
    """What is wrong with what a crash can leave; empty for a correct program."""
    states, last = states_after_crashes(record)
    assert len(states) > 10
    wrong = []
    for state in states:
        materialise(state, scratch)
        try:
            value = found_in(scratch / "run")
        except (CheckpointError, AssertionError, UserWarning) as error:
            wrong.append(str(error))
            continue
        if value not in (old, new):
            wrong.append(f"{value} is found, neither {old} nor {new}")
        if state in last and value != new:
            wrong.append(f"save returned, and {value} is found")
    return wrong


def old_checkpoints(root: Path) -> None:
    """Two checkpoints, the second with the value 2, and what a killed writer left."""
    for step in (1, 2):
        save(root / "run", step, step)
    (root / "run" / f".step-0000000003.safetensors.{'0' * 16}.tmp").write_bytes(b"half")


def in_background(root: Path) -> None:
    with checkpoint.Saver(root / "run", keep=2) as saver:
        saver.save(3, **state_of(3))


ACTIONS: dict[str, tuple[Action, Action, int | None]] = {
    "another": (old_checkpoints, lambda root: save(root / "run", 3, 3), 2),
    "background": (old_checkpoints, in_background, 2),
    "only one kept": (
        lambda root: save(root / "run", 2, 2),
        lambda root: save(root / "run", 3, 3, keep=1),
        2,
    ),
    "the same step": (
        lambda root: save(root / "run", 3, 2),
        lambda root: save(root / "run", 3, 3),
        2,
    ),
    "the first": (
        lambda root: (root / "run").mkdir(),
        lambda root: save(root / "run", 3, 3),
        None,
    ),
    "a new folder": (lambda _: None, lambda root: save(root / "run", 3, 3), None),
}


# Operations of each, states, and states where each write is cut in three: 276 and 8,212
# in all. The chapter *Robust* says so.
COUNTED = {
    "another": (10, 69, 2053),
    "background": (10, 69, 2053),
    "only one kept": (8, 35, 1027),
    "the same step": (7, 34, 1026),
    "the first": (7, 34, 1026),
    "a new folder": (9, 35, 1027),
}


def record_of(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    root.mkdir()
    before, action, _ = ACTIONS[name]
    before(root)
    with recorded(root, monkeypatch) as record:
        action(root)
    return record


@pytest.mark.parametrize("name", ACTIONS)
def test_each_state_that_a_crash_can_leave_loads_as_the_old_or_the_new_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    record = record_of(name, tmp_path / "disk", monkeypatch)
    states, last = states_after_crashes(record)
    record_property(
        "fault",
        f"crash during save ({name}): {len(record.operations)} operations,"
        f" {len(states)} states, {len(last)} after it returned",
    )
    operations, few, many = COUNTED[name]
    assert len(record.operations) == operations
    assert len(states) == (many if LONG else few)
    assert violations(record, ACTIONS[name][2], 3, tmp_path / "scratch") == []


def test_a_run_goes_on_from_each_state_and_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of("another", tmp_path / "disk", monkeypatch)
    states, _ = states_after_crashes(record)
    scratch = tmp_path / "scratch"
    # Nothing here is about syncing, which takes most of the time.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for state in states:
        materialise(state, scratch)
        save(scratch / "run", 4, 4)
        assert found_in(scratch / "run") == 4
        names = sorted(path.name for path in (scratch / "run").iterdir())
        assert len(names) == 2
        assert names[1] == "step-0000000004.safetensors"


# The proof is able to fail: each of these is found.


def without_syncing_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "sync_file", lambda _: None)


def without_syncing_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "sync_folder", lambda _: None)


def without_syncing_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "make_folder", Path.mkdir)


def renaming_before_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    sync, replace = files.sync_file, os.replace
    renamed: list[int] = []

    def sync_later(descriptor: int) -> None:
        renamed.append(descriptor)

    def rename_first(source: Any, target: Any) -> None:
        replace(source, target)
        sync(renamed.pop())

    monkeypatch.setattr(files, "sync_file", sync_later)
    monkeypatch.setattr(os, "replace", rename_first)


def deleting_before_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = saving.publish  # type: ignore[attr-defined]

    def delete_first(folder: Path, name: str, pieces: Sequence[memoryview]) -> Path:
        for _, path in files.steps_in(folder):
            path.unlink()
        published: Path = publish(folder, name, pieces)
        return published

    monkeypatch.setattr(saving, "publish", delete_first)


def deleting_before_the_name_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = files.sync_folder

    def delete_first(folder: Path) -> None:
        for _, path in files.steps_in(folder)[1:]:
            path.unlink()
        sync(folder)

    monkeypatch.setattr(files, "sync_folder", delete_first)


def writing_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(folder: Path, name: str, pieces: Sequence[memoryview]) -> Path:
        path = folder / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        for piece in pieces:
            os.write(descriptor, piece)
        files.sync_file(descriptor)
        os.close(descriptor)
        files.sync_folder(folder)
        return path

    monkeypatch.setattr(saving, "publish", publish)


BROKEN = [
    (without_syncing_the_file, "only one kept", "refused in"),
    (without_syncing_the_folder, "only one kept", "save returned, and 2 is found"),
    (without_syncing_the_parent, "a new folder", "save returned, and None is found"),
    (renaming_before_syncing, "only one kept", "refused in"),
    (deleting_before_publishing, "only one kept", "None is found, neither 2 nor 3"),
    (deleting_before_the_name_is_durable, "only one kept", "None is found, neither 2"),
    (writing_in_place, "only one kept", "refused in"),
]


@pytest.mark.parametrize(("broken", "name", "words"), BROKEN)
def test_a_broken_save_is_found(
    broken: Callable[[pytest.MonkeyPatch], None],
    name: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "disk").mkdir()
    before, action, old = ACTIONS[name]
    before(tmp_path / "disk")
    with (
        recorded(tmp_path / "disk", monkeypatch) as record,
        monkeypatch.context() as patched,
    ):
        broken(patched)
        action(tmp_path / "disk")
    wrong = violations(record, old, 3, tmp_path / "scratch")
    assert any(re.search(words, one) for one in wrong), wrong[:3]
