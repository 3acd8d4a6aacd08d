"""What a folder of checkpoints holds after saves, and what is taken from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import CheckpointError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def numbered(folder: Path) -> list[int]:
    return [int(name[5:15]) for name in names(folder)]


def test_a_checkpoint_is_one_file_that_any_reader_of_safetensors_opens(
    tmp_path: Path,
) -> None:
    model = torch.nn.Linear(2, 3)
    path = checkpoint.save(tmp_path / "a b" / "ü", 200, model=model)
    assert path == tmp_path / "a b" / "ü" / "step-0000000200.safetensors"
    assert names(path.parent) == [path.name]
    tensors = load_file(path)
    assert torch.equal(tensors["model.weight"], model.weight)
    assert set(tensors) == {
        *("model.weight", "model.bias", "random_states.torch"),
        "random_states.numpy.state.key",
    }


def test_equal_states_give_equal_files(tmp_path: Path) -> None:
    model = torch.nn.BatchNorm1d(3)
    files_of = [
        checkpoint.save(tmp_path / name, 1, model=model, extra={3, "a", None})
        for name in "ab"
    ]
    assert files_of[0].read_bytes() == files_of[1].read_bytes()


@pytest.mark.parametrize("quote", ['"', '\\"', '\\\\"', '\\\\\\"'])
def test_strings_that_look_like_the_digest_are_strings(
    quote: str, tmp_path: Path
) -> None:
    text = quote + quote.join(["sha256", ":", "0" * 64]) + quote
    checkpoint.save(tmp_path, 1, extra={text: text, "t": {text: torch.ones(1)}})
    loaded = checkpoint.load(tmp_path).extra
    assert loaded[text] == text
    assert loaded["t"][text] == 1


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        checkpoint.save(tmp_path, step)
    assert numbered(tmp_path) == [3, 4, 5]
    checkpoint.save(tmp_path, 6, keep=1)
    assert numbered(tmp_path) == [6]
    for step in range(7, 12):
        checkpoint.save(tmp_path, step, keep=None)
    assert numbered(tmp_path) == [*range(6, 12)]


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    others = [
        *("best.safetensors", "step-1.safetensors", "step-00000000001.safetensors"),
        *("step-٠٠٠٠٠٠٠٠٠١.safetensors", ".step-0000000001.safetensors.tmp", "x.tmp"),
    ]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    checkpoint.save(tmp_path, 7, keep=1)
    checkpoint.save(tmp_path, 8, keep=1)
    assert names(tmp_path) == sorted([*others, "step-0000000008.safetensors"])
    assert checkpoint.load(tmp_path).step == 8


def test_a_step_that_is_saved_again_replaces_the_file(tmp_path: Path) -> None:
    for value in range(3):
        checkpoint.save(tmp_path, 5, extra=value)
    assert numbered(tmp_path) == [5]
    assert checkpoint.load(tmp_path).extra == 2


def test_a_higher_step_of_an_earlier_run_stays_and_is_said(tmp_path: Path) -> None:
    for step in (100, 200):
        checkpoint.save(tmp_path, step, keep=1)
    with pytest.warns(UserWarning, match="has a checkpoint of step 200, which load"):
        checkpoint.save(tmp_path, 110, keep=1)
    assert numbered(tmp_path) == [110, 200]


@pytest.mark.parametrize("step", [0, 1, 10**10, 10**19 - 1])
def test_steps_of_any_length_sort_by_number(step: int, tmp_path: Path) -> None:
    if step:
        checkpoint.save(tmp_path, step - 1)
    path = checkpoint.save(tmp_path, step)
    assert checkpoint.latest(tmp_path) == path
    assert checkpoint.load(tmp_path).step == step


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"step": -1}, "step must be at least 0"),
        ({"step": 1.0}, "step must be a whole number"),
        ({"step": "1"}, "step must be a whole number"),
        ({"step": 10**19}, "step must be at most"),
        ({"step": 1, "keep": 0}, "keep must be at least 1"),
        ({"step": 1, "keep": 1.5}, "keep must be a whole number"),
    ],
)
def test_numbers_out_of_range_are_refused(
    arguments: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        checkpoint.save(tmp_path / "run", **arguments)
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_refused_by_the_system(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OSError, match="run"):
        checkpoint.save(tmp_path / "run", 1)
    with pytest.raises(NotADirectoryError):
        checkpoint.latest(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_links_are_followed_to_folders_and_replaced_as_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    checkpoint.save(link, 1)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (link / "step-0000000002.safetensors").symlink_to(precious)
    checkpoint.save(link, 2)
    assert precious.read_text() == "mine"
    assert checkpoint.load(link).step == 2
    assert numbered(tmp_path / "real") == [1, 2]


def test_latest_is_the_newest_whole_file_and_names_what_it_refuses(
    tmp_path: Path,
) -> None:
    assert checkpoint.latest(tmp_path / "none") is None
    assert checkpoint.latest(tmp_path) is None
    paths = [checkpoint.save(tmp_path, step) for step in (1, 2)]
    assert checkpoint.latest(tmp_path) == paths[1]
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    words = r"step-0000000002\.safetensors: truncated: it has \d+ of \d+ bytes; step"
    with pytest.warns(UserWarning, match=words):
        assert checkpoint.latest(tmp_path) == paths[0]
    paths[0].write_bytes(b"")
    with pytest.warns(UserWarning, match="step-0000000001.* step-|step-0000000002"):
        assert checkpoint.latest(tmp_path) is None


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1)
    os.mkfifo(tmp_path / "step-0000000003.safetensors")
    (tmp_path / "step-0000000004.safetensors").mkdir()
    (tmp_path / "step-0000000005.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.warns(
        UserWarning,
        match="0005.* a link to nothing; .*0004.* not a regular .*0003.* not a reg",
    ):
        assert checkpoint.load(tmp_path).step == 1
    with pytest.raises(CheckpointError, match="not a regular file"):
        checkpoint.load(tmp_path / "step-0000000003.safetensors")
