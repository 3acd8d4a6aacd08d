"""Warnings show the line of the program that they are about, however it called us."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import random_states
from adam_tutorial.optim import Adafactor, Adam, AdamW

PACKAGE = Path(checkpoint.__file__).parents[1]


def parameter(gradient: float = 1.0) -> Tensor:
    result = nn.Parameter(torch.ones(2))
    result.grad = torch.full((2,), gradient)
    return result


def misspelt() -> dict[str, Any]:
    return {"params": [parameter()], "weigth_decay": 0.1}


def scaled_step() -> None:
    optimizer = Adam([parameter(math.inf)], nonfinite="skip")
    # Disabled, it only hands on: its own search for such gradients is not meant here.
    torch.amp.GradScaler(enabled=False).step(optimizer)


def devices_of_another_machine(folder: Path, patch: pytest.MonkeyPatch) -> None:
    states = {**random_states.capture(), "cuda": [torch.get_rng_state()]}
    patch.setattr("adam_tutorial.checkpoint.saving.capture", lambda: states)
    checkpoint.save(folder, 1)
    checkpoint.load(folder)


def an_earlier_step(folder: Path) -> None:
    checkpoint.save(folder, 2)
    checkpoint.save(folder, 1)


def a_damaged_file(folder: Path) -> None:
    checkpoint.save(folder, 1)
    checkpoint.save(folder, 2).write_bytes(b"")
    checkpoint.load(folder)


def a_file_in_use(folder: Path, patch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(f"{path} is in use")

    checkpoint.save(folder, 1)
    patch.setattr(os, "unlink", refuse)
    checkpoint.save(folder, 2, keep=1)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (lambda *_: Adam([misspelt()]), "no effect"),
        (lambda *_: AdamW([misspelt()]), "no effect"),
        (lambda *_: Adafactor([misspelt()]), "no effect"),
        (lambda *_: Adam([parameter()]).add_param_group(misspelt()), "no effect"),
        (lambda *_: Adam([parameter(math.nan)], nonfinite="skip").step(), "skipped"),
        (lambda *_: AdamW([parameter(math.nan)], nonfinite="skip").step(), "skipped"),
        (lambda *_: scaled_step(), "skipped"),
        (devices_of_another_machine, "devices that are not here"),
        (lambda folder, _: an_earlier_step(folder), "has a checkpoint of step 2"),
        (lambda folder, _: a_damaged_file(folder), "refused in"),
        (a_file_in_use, "an old checkpoint stays"),
    ],
)
def test_a_warning_is_at_the_line_of_the_program(
    program: Callable[[Path, pytest.MonkeyPatch], object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch, pytest.warns(Warning, match=message) as seen:
        program(tmp_path, patch)
    assert [warning.filename for warning in seen] == [__file__]


def test_a_warning_without_a_program_is_at_the_outermost_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adam_tutorial._warnings.BETWEEN", ("",))
    with pytest.warns(UserWarning, match="no effect") as seen:
        Adam([misspelt()])
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    assert seen[0].filename == frame.f_code.co_filename


def test_nothing_else_warns() -> None:
    which = [
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if "warnings.warn(" in file.read_text(encoding="utf-8")
    ]
    assert which == ["_warnings.py"]
