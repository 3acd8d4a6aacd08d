"""A right digest is no passport: what the file says is checked too."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import CheckpointError
from tests.checkpoint.forged import ZEROS, content, header, sealed, sealed_text

T = {"tensor": {"name": "t"}}
HUGE = 2**62
END = ZEROS + '\\""}'
EMPTY = ("U8", [0], [0, 0])
FORGED: dict[str, tuple[bytes, str]] = {
    "version": (sealed(content(), version=2), "has version 2 of the format"),
    "version text": (sealed(content(), version='"1"'), "has version 1 of the format"),
    "no metadata": (
        sealed_text('{"adam_tutorial.checkpoint":{},"x":"\\"sha256\\":\\"' + END),
        "malformed: '__metadata__'",
    ),
    "not json": (
        sealed_text('"adam_tutorial.checkpoint"\\"sha256\\":\\"' + END),
        "malformed: Extra data",
    ),
    "not text": (
        sealed_text(header(content())).replace(b"step", b"\xffxyz"),
        "altered",
    ),
    "another package": (
        sealed_text(header(content()).replace("adam_tutorial", "other")),
        "no checkpoint of this package",
    ),
    "two digests": (
        sealed_text(header(content())[:-1] + f',"\\"sha256\\":\\"{ZEROS}\\"":0}}'),
        "has no SHA-256, or several",
    ),
    "absurd shape": (sealed(content(), t=("F32", [HUGE, HUGE], [0, 0])), "overlap"),
    "absurd but empty": (
        sealed(content(extra=T), t=("F32", [HUGE, HUGE, 0], [0, 0])),
        "malformed",
    ),
    "negative shape": (
        sealed(content(), t=("U8", [-1, -1], [0, 1]), data=b"x"),
        "has the shape",
    ),
    "fractional shape": (
        sealed(content(), t=("U8", [1.0], [0, 1]), data=b"x"),
        "has the shape",
    ),
    "many dimensions": (
        sealed(content(), t=("U8", [1] * 65, [0, 1]), data=b"x"),
        "the shape",
    ),
    "overlap": (
        sealed(content(), data=b"ab", t=("U8", [2], [0, 2]), u=("U8", [2], [0, 2])),
        "overlap",
    ),
    "gap": (sealed(content(), data=b"ab", t=("U8", [1], [1, 2])), "gaps"),
    "beyond the end": (sealed(content(), data=b"ab", t=("U8", [3], [0, 3])), "end at"),
    "before the end": (sealed(content(), data=b"ab", t=("U8", [1], [0, 1])), "end at"),
    "huge offsets": (sealed(content(), t=("U8", [10**19], [0, 10**19])), "end at"),
    "longer offsets": (
        sealed(content(), t=("U8", [10**30], [0, 10**30])),
        "more than 20 digits",
    ),
    "dtype": (sealed(content(), t=("F77", [0], [0, 0])), "malformed: 'F77'"),
    "same key twice": (
        sealed(content()[:-1] + ', "dict": {}}'),
        "the same key twice",
    ),
    "same tensor twice": (
        sealed_text(header(content(), t=EMPTY, u=EMPTY).replace('"u"', '"t"')),
        "the same key twice",
    ),
    "nan": (sealed(content(extra=1).replace("1,", "NaN,")), "the value NaN"),
    "infinity": (sealed('{"dict":{"step":Infinity}}'), "the value Infinity"),
    "long number": (sealed('{"dict":{"step":' + "1" * 5000 + "}}"), "20 digits"),
    "deep": (sealed("[" * 5000 + "]" * 5000), "nested 5001 deep"),
    "deep header": (
        sealed_text(header(content())[:-1] + ',"x":' + "[" * 5000 + "]" * 5000 + "}"),
        "nested 5001 deep",
    ),
    "many values": (sealed("[" + "[]," * 1_500_000 + "0]"), "too many for"),
    "no content": (sealed(""), "malformed"),
    "a list": (sealed("[]"), "it has other entries"),
    "other entries": (sealed('{"dict":{"step":1}}'), "it has other entries"),
    "more entries": (sealed(content(more=1)), "it has other entries"),
    "step": (sealed(content(step="1")), "its step is no count"),
    "negative step": (sealed(content(step=-1)), "its step is no count"),
    "true step": (sealed(content(step=True)), "its step is no count"),
    "parts": (sealed(content(parts=[])), "other parts"),
    "other parts": (sealed(content(parts={"dict": {"x": 1}})), "other parts"),
    "no part": (sealed(content(parts={"dict": {"model": 1}})), "a part has no"),
    "tag": (sealed(content(extra={"os.system": "true"})), "malformed: 'os.system'"),
    "two tags": (sealed(content(extra={"int": "0x1", "x": 1})), "malformed"),
    "no tag": (sealed(content(extra={})), "malformed"),
    "factory": (
        sealed(content(extra={"defaultdict": {"factory": "exec", "items": []}})),
        "malformed",
    ),
    "dtype of torch": (sealed(content(extra={"torch.dtype": "load"})), "malformed"),
    "device": (sealed(content(extra={"torch.device": "x" * 500})), "malformed"),
    "array of objects": (
        sealed(
            content(extra={"array": {"name": "t", "dtype": "|O", "shape": [1]}}),
            bytes(8),
            t=("U8", [8], [0, 8]),
        ),
        "no dtype of numbers",
    ),
    "array too large": (
        sealed(
            content(extra={"array": {"name": "t", "dtype": "<f8", "shape": [HUGE]}}),
            bytes(8),
            t=("U8", [8], [0, 8]),
        ),
        "malformed",
    ),
    "string too wide": (
        sealed(content(extra={"scalar": {"dtype": "<U999999999", "bytes": ""}})),
        "malformed",
    ),
    "no such tensor": (sealed(content(extra=T)), "malformed"),
    "viewed too large": (
        sealed(
            content(
                extra={"tensor": {"name": "t", "dtype": "complex128", "shape": [HUGE]}}
            ),
            bytes(16),
            t=("U8", [16], [0, 16]),
        ),
        "malformed",
    ),
    "no order": (
        sealed(
            content(extra={"tensor": {"name": "t", "order": [0, 0]}}),
            bytes(4),
            t=("U8", [2, 2], [0, 4]),
        ),
        "malformed",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    data, words = FORGED[name]
    good = checkpoint.save(tmp_path, 0)
    path = tmp_path / "step-0000000001.safetensors"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=words) as got:
        checkpoint.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(got.value).startswith(f"{path}: ")
    assert len(got.value.reason) < 500
    # The header in several forms, and a MiB that is read at once.
    assert peak < 6 * len(data) + 2**21
    with pytest.warns(UserWarning, match="0001.*; step-0000000000.safetensors is used"):
        assert checkpoint.load(tmp_path).path == good
    with warnings.catch_warnings():
        # What is wrong in the content may be seen only when it is made.
        warnings.simplefilter("ignore")
        assert checkpoint.latest(tmp_path) in (good, path)


def test_what_is_not_forged_loads(tmp_path: Path) -> None:
    path = tmp_path / "step-0000000001.safetensors"
    form = {"tensor": {"name": "t", "order": [1, 0]}}
    path.write_bytes(sealed(content(extra=form), b"ab", t=("U8", [1, 2], [0, 2])))
    loaded = checkpoint.load(path, random_states=False)
    assert torch.equal(loaded.extra, torch.tensor([[97], [98]], dtype=torch.uint8))


def test_headers_longer_than_any_reader_takes_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint.save(tmp_path, 1)
    monkeypatch.setattr("adam_tutorial.checkpoint.container.LONGEST_HEADER", 10)
    with pytest.raises(CheckpointError, match="its header claims to have"):
        checkpoint.load(path)


def test_too_little_memory_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint.save(tmp_path, 1)

    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("adam_tutorial.checkpoint.container.decode", fail)
    with pytest.raises(MemoryError):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "states",
    [
        {"dict": {}},
        {"dict": {"python": 1, "numpy": 1, "torch": 1, "cuda": [], "mps": None}},
        [],
    ],
    ids=str,
)
def test_forged_random_states_change_nothing(states: Any, tmp_path: Path) -> None:
    (tmp_path / "step-0000000001.safetensors").write_bytes(
        sealed(content(random_states=states))
    )
    before = torch.get_rng_state()
    with pytest.raises((TypeError, KeyError, ValueError)):
        checkpoint.load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
