from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from adam_tutorial.study.data import (
    DIGITS,
    FASHION_MNIST,
    DatasetCorrupt,
    DatasetUnavailable,
    Images,
    load_digits,
    load_fashion_mnist,
)
from adam_tutorial.study.data.fetch import read
from adam_tutorial.study.data.images import FASHION_CLASSES, parse_idx
from adam_tutorial.study.data.sources import Download

GENERATOR = np.random.default_rng(0)
FASHION = {
    "train-images": GENERATOR.integers(0, 256, (6, 28, 28), dtype=np.uint8),
    "train-labels": np.array([9, 0, 0, 3, 2, 7], dtype=np.uint8),
    "test-images": GENERATOR.integers(0, 256, (2, 28, 28), dtype=np.uint8),
    "test-labels": np.array([1, 8], dtype=np.uint8),
}


def idx(array: NDArray[np.uint8]) -> bytes:
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


WriteFashion = Callable[[dict[str, bytes]], Path]


@pytest.fixture
def write_fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteFashion:
    """Write four files into a folder, and record their digests as the expected ones."""

    def write(contents: dict[str, bytes]) -> Path:
        for name, content in contents.items():
            record = replace(
                FASHION_MNIST[name], sha256=hashlib.sha256(content).hexdigest()
            )
            monkeypatch.setitem(FASHION_MNIST, name, record)
            (tmp_path / record.filename).write_bytes(gzip.compress(content))
        return tmp_path

    return write


def test_digits_are_five_hundred_of_each_class(digits: Images) -> None:
    assert digits.pixels.shape == (5000, 28, 28)
    assert digits.labels.shape == (5000,)
    assert np.bincount(digits.labels).tolist() == [500] * 10
    assert digits.classes == tuple("0123456789")
    assert digits.source is DIGITS


def test_digits_are_grey_levels_from_background_to_full_ink(digits: Images) -> None:
    assert digits.pixels.dtype == np.uint8
    assert digits.labels.dtype == np.int64
    assert (digits.pixels.min(), digits.pixels.max()) == (0, 255)
    assert not digits.pixels[:, 0, 0].any()


def test_digits_come_sorted_by_class(digits: Images) -> None:
    assert (np.diff(digits.labels) >= 0).all()


def test_digits_agree_with_the_table_in_the_file(digits: Images) -> None:
    lines = gzip.decompress(read(DIGITS)).decode().splitlines()
    for row in (0, 1234, 4999):
        values = [int(value) for value in lines[row].split(",")]
        assert digits.pixels[row].ravel().tolist() == values[:784]
        assert digits.labels[row] == values[784]


def test_digits_are_read_from_the_named_folder(digits: Images, tmp_path: Path) -> None:
    (tmp_path / DIGITS.filename).write_bytes(read(DIGITS))
    again = load_digits(folder=tmp_path)
    assert (again.pixels == digits.pixels).all()
    assert (again.labels == digits.labels).all()


def test_digits_with_one_altered_bit_are_refused(tmp_path: Path) -> None:
    content = bytearray(read(DIGITS))
    content[1000] ^= 1
    (tmp_path / DIGITS.filename).write_bytes(content)
    with pytest.raises(DatasetCorrupt, match=f"Expected SHA-256 {DIGITS.sha256}"):
        load_digits(folder=tmp_path)


def test_digits_missing_from_the_named_folder_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"mnist_5k\.csv\.gz"):
        load_digits(folder=tmp_path)


def test_fashion_mnist_is_read_from_the_four_official_files(
    write_fashion: WriteFashion,
) -> None:
    folder = write_fashion({name: idx(array) for name, array in FASHION.items()})
    train, test = load_fashion_mnist(folder=folder)
    for part, images in (("train", train), ("test", test)):
        assert (images.pixels == FASHION[f"{part}-images"]).all()
        assert (images.labels == FASHION[f"{part}-labels"]).all()
        assert [str(column.dtype) for column in (images.pixels, images.labels)] == [
            "uint8",
            "int64",
        ]
        assert images.source is FASHION_MNIST[f"{part}-images"]
        assert images.classes == FASHION_CLASSES
    assert len(set(FASHION_CLASSES)) == 10


def test_fashion_mnist_of_a_wrong_format_is_refused_by_file_name(
    write_fashion: WriteFashion,
) -> None:
    contents = {name: idx(array) for name, array in FASHION.items()}
    folder = write_fashion(contents | {"test-labels": b"\x89PNG"})
    with pytest.raises(
        DatasetCorrupt, match=r"t10k-labels-idx1-ubyte\.gz: expected an IDX file"
    ):
        load_fashion_mnist(folder=folder)


def test_fashion_mnist_with_another_content_is_refused(tmp_path: Path) -> None:
    source = FASHION_MNIST["train-images"]
    (tmp_path / source.filename).write_bytes(
        gzip.compress(idx(FASHION["train-images"]))
    )
    with pytest.raises(DatasetCorrupt, match=f"Expected SHA-256 {source.sha256}"):
        load_fashion_mnist(folder=tmp_path)


def test_fashion_mnist_is_not_downloaded_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAM_TUTORIAL_CACHE", str(tmp_path))
    for name, source in FASHION_MNIST.items():
        assert isinstance(source.origin, Download)
        origin = replace(source.origin, debian_path=str(tmp_path / "nothing here"))
        monkeypatch.setitem(FASHION_MNIST, name, replace(source, origin=origin))
    with pytest.raises(DatasetUnavailable, match="download=False"):
        load_fashion_mnist()


@pytest.mark.parametrize(
    "shape", [(3,), (2, 3), (4, 28, 28), (0, 28, 28), (0,), ()], ids=str
)
def test_idx_file_gives_back_the_array_it_was_made_of(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    parsed = parse_idx(idx(array), "file")
    assert parsed.shape == shape
    assert parsed.dtype == np.uint8
    assert (parsed == array).all()


def test_array_of_an_idx_file_can_be_written_to() -> None:
    parsed = parse_idx(idx(np.zeros(3, dtype=np.uint8)), "file")
    parsed[0] = 1
    assert parsed.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\0\0", "00 00"),
        (b"\x1f\x8b\x08\x00rest", "1f 8b 08 00"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "00 00 0d 01"),
    ],
    ids=["empty", "too short", "gzip", "floats"],
)
def test_file_that_does_not_begin_like_idx_is_refused(
    content: bytes, found: str
) -> None:
    with pytest.raises(DatasetCorrupt) as caught:
        parse_idx(content, "some-file.gz")
    assert (
        str(caught.value)
        == "some-file.gz: expected an IDX file of unsigned bytes (it begins 00 00 08),"
        f" found {found}"
    )


@pytest.mark.parametrize("change", [-1, 1])
def test_idx_file_whose_sizes_do_not_fit_its_length_is_refused(change: int) -> None:
    content = idx(FASHION["test-images"])
    content = content[:change] if change < 0 else content + b"\0"
    with pytest.raises(DatasetCorrupt) as caught:
        parse_idx(content, "some-file.gz")
    assert (
        str(caught.value)
        == f"some-file.gz: expected 1584 bytes for 3 dimensions, found {1584 + change}"
    )


def test_idx_file_with_an_incomplete_header_is_refused() -> None:
    with pytest.raises(DatasetCorrupt) as caught:
        parse_idx(idx(FASHION["test-images"])[:9], "some-file.gz")
    message = str(caught.value)
    assert message.startswith("some-file.gz: expected a complete header")
    assert message.endswith("for 3 dimensions, found 9")
