"""Loading: all parts or none, and what it says when it cannot."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import CheckpointError, random_states
from tests.checkpoint.runs import new_run


class Part:
    """Has a state, and counts how often one was loaded."""

    def __init__(self, state: Any = None, fails: bool = False) -> None:
        self.state = state
        self.fails = fails
        self.loads = 0

    def state_dict(self) -> Any:
        return {"value": self.state}

    def load_state_dict(self, state: Any) -> None:
        self.loads += 1
        if self.fails and self.loads == 1:
            self.state = "half"
            raise RuntimeError("no fit")
        self.state = state["value"]


def drawn() -> tuple[float, float, float]:
    states = random_states.capture()
    numbers = random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002
    random_states.restore(states)
    return numbers


def test_each_part_gets_its_own_state(tmp_path: Path) -> None:
    names = ("model", "optimizer", "scheduler", "scaler", "sampler")
    saved: dict[str, Any] = {name: Part(name) for name in names}
    checkpoint.save(tmp_path, 1, **saved, extra=("x",))
    parts: dict[str, Any] = {name: Part() for name in names}
    loaded = checkpoint.load(tmp_path, **parts)
    assert [part.state for part in parts.values()] == [*names]
    assert loaded == checkpoint.Loaded(1, ("x",), checkpoint.latest(tmp_path))  # type: ignore[arg-type]
    alone = Part()
    checkpoint.load(loaded.path, scaler=alone)
    assert alone.state == "scaler"


def test_several_of_a_kind_are_saved_by_name(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, model={"g": Part(1), "d/x": Part(2)})
    parts = {"g": Part(), "d/x": Part()}
    checkpoint.load(tmp_path, model=parts)
    assert [part.state for part in parts.values()] == [1, 2]
    for part, words in (
        (Part(), "holds several, model={'g', 'd/x'}"),
        ({"x": Part()}, r"holds no model\['x'\]"),
    ):
        with pytest.raises(CheckpointError, match=words):
            checkpoint.load(tmp_path, model=part)
    checkpoint.save(tmp_path, 2, model=Part(1))
    with pytest.raises(CheckpointError, match=r"holds no model\['g'\]"):
        checkpoint.load(tmp_path, model=parts)


@pytest.mark.parametrize("part", [3, {"weight": torch.ones(1)}, "model", Part])
def test_what_has_no_state_dict_is_refused(part: Any, tmp_path: Path) -> None:
    if part is not Part:
        with pytest.raises(TypeError, match=r"model must have state_dict\(\), or be"):
            checkpoint.save(tmp_path, 1, model=part)
    checkpoint.save(tmp_path, 1, model=Part())
    if part is not Part:
        with pytest.raises(TypeError, match=r"model must have load_state_dict\(\)"):
            checkpoint.load(tmp_path, model=part)


def test_a_missing_part_is_named_before_anything_changes(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, model=Part(1), extra=3)
    model, before = Part(), drawn()
    with pytest.raises(CheckpointError, match="holds no scaler; it holds model") as got:
        checkpoint.load(tmp_path, model=model, scaler=Part())
    assert got.value.path == path
    assert (model.loads, drawn()) == (0, before)
    checkpoint.save(tmp_path, 2)
    with pytest.raises(CheckpointError, match="holds no model; it holds nothing"):
        checkpoint.load(tmp_path, model=model)


def test_a_part_that_does_not_fit_puts_all_back(tmp_path: Path) -> None:
    random.seed(0)
    checkpoint.save(tmp_path, 1, model=Part(1), optimizer=Part(2), scaler=Part(3))
    random.seed(1)
    fails = Part("own", fails=True)
    parts: dict[str, Any] = {"model": Part(), "optimizer": fails, "scaler": Part()}
    before = drawn()
    with pytest.raises(RuntimeError, match="no fit") as got:
        checkpoint.load(tmp_path, **parts)
    path = checkpoint.latest(tmp_path)
    note = f"This was optimizer of {path}. What was loaded was put back."
    assert got.value.__notes__ == [note]
    assert [part.state for part in parts.values()] == [None, "own", None]
    assert drawn() == before
    fails.loads, fails.state_dict = 0, dict  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no fit") as got:
        checkpoint.load(tmp_path, optimizer=fails)
    assert got.value.__notes__[1] == "optimizer could not be put back: 'value'"


def test_a_run_that_does_not_fit_stays_the_run_that_it_was(tmp_path: Path) -> None:
    other = new_run()
    other.train(3)
    wide = nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 3)).double()
    checkpoint.save(tmp_path / "wide", 3, model=wide)
    checkpoint.save(tmp_path / "other", 3, **{**other.parts(), "sampler": Part(1)})
    for folder in ("wide", "other"):
        same = new_run(1)
        same.train(10)
        run = new_run(1)
        run.train(5)
        parts = run.parts() if folder == "other" else {"model": run.model}
        before = run.digest(), drawn()
        with pytest.raises((RuntimeError, KeyError)):
            checkpoint.load(tmp_path / folder, **parts)
        assert (run.digest(), drawn()) == before
        run.train(10)
        assert run.digest() == same.digest()


def test_random_states_are_left_alone_if_they_are_not_wanted(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1)
    saved = drawn()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    before = drawn()
    checkpoint.load(tmp_path, random_states=False)
    assert drawn() == before != saved
    checkpoint.load(tmp_path)
    assert drawn() == saved


def test_devices_that_are_gone_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    states = random_states.capture()
    with pytest.warns(UserWarning, match="devices that are not here"):
        random_states.restore({**states, "cuda": [states["torch"]]})
    with pytest.warns(UserWarning, match="devices that are not here"):
        random_states.restore({**states, "mps": states["torch"]})
    # A machine with two such devices.
    cuda: dict[int, Any] = {0: "a", 1: "b"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [*cuda.values()])
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, index: cuda.update({index: state})
    )
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: cuda[0])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda s: cuda.update({9: s}))
    states = random_states.capture()
    cuda = {}
    random_states.restore(states)
    assert cuda == {0: "a", 1: "b", 9: "a"}


def test_no_checkpoint_is_a_file_that_is_not_found(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none", tmp_path / "none.safetensors"):
        with pytest.raises(
            FileNotFoundError, match=r"no checkpoint .* starts at step 0"
        ):
            checkpoint.load(place)


def test_the_newest_good_file_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        path = checkpoint.save(tmp_path, step, model=Part(step))
    path.write_bytes(path.read_bytes() + b"\0")
    second = tmp_path / "step-0000000002.safetensors"
    damaged = bytearray(second.read_bytes())
    damaged[-1] ^= 1
    second.write_bytes(damaged)
    model = Part()
    words = (
        "0003.*: altered: it has .* bytes, 1 more .*0002.*SHA-256 is .*0001.* is used"
    )
    with pytest.warns(UserWarning, match=words) as warned:
        assert checkpoint.load(tmp_path, model=model).step == 1
    assert warned[0].filename == __file__
    assert model.state == 1
    # All broken is an error of its own: the run must not start at 0 unnoticed.
    (tmp_path / "step-0000000001.safetensors").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="refused in"),
        pytest.raises(CheckpointError, match="none of its 3 checkpoints is good"),
    ):
        checkpoint.load(tmp_path)


def test_a_file_that_cannot_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step)
    read = checkpoint.loading.read  # type: ignore[attr-defined]

    def failing(path: Path) -> Any:
        if path.name == "step-0000000002.safetensors":
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr("adam_tutorial.checkpoint.loading.read", failing)
    with pytest.warns(UserWarning, match="0002.*Input/output error.*0001.* is used"):
        assert checkpoint.load(tmp_path).step == 1


def test_a_file_deleted_while_the_folder_is_read_is_looked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [checkpoint.save(tmp_path, step) for step in (1, 2)]
    read = checkpoint.loading.read  # type: ignore[attr-defined]

    def late(path: Path) -> Any:
        if path == paths[1] and path.exists():
            checkpoint.save(tmp_path, 3, keep=1)
        return read(path)

    monkeypatch.setattr("adam_tutorial.checkpoint.loading.read", late)
    assert checkpoint.load(tmp_path).step == 3


def test_a_file_under_the_name_of_another_step_is_refused(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 5)
    path = path.rename(tmp_path / "step-0000000006.safetensors")
    with pytest.raises(CheckpointError, match="it holds step 5, not 6 as named"):
        checkpoint.load(path)
    with pytest.warns(UserWarning, match="it holds step 5, not 6 as named"):
        assert checkpoint.latest(tmp_path) is None
    assert checkpoint.load(path.rename(tmp_path / "best")).step == 5


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_default_device_has_no_part_in_it(device: str, tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with torch.device(device):
        checkpoint.save(tmp_path, 1, model=model, extra=[torch.ones(1).dtype])
        loaded = checkpoint.load(tmp_path, model=model)
    assert loaded.extra == [torch.float32]


def test_a_model_without_parameters_is_a_part_too(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, model=nn.ReLU(), optimizer={}, extra={})
    assert checkpoint.load(tmp_path, model=nn.ReLU(), optimizer={}).extra == {}


def test_the_error_travels_between_processes() -> None:
    error = CheckpointError(Path("a"), "why")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a: why"  # noqa: S301
    assert isinstance(error, ValueError)
