"""The archive of IMDB: right, altered, cut off, and made to do harm."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adam_tutorial.study.data import DatasetCorrupt, DatasetUnavailable, imdb, load_imdb
from adam_tutorial.study.data.imdb import parse_imdb
from adam_tutorial.study.data.sources import IMDB

from .toys import digest, files_in

REVIEWS = {
    f"aclImdb/{part}/{kind}/{number}_{stars}.txt": f"{part} {kind} {number}: caf\u00e9"
    for part in ("train", "test")
    for kind, number, stars in (
        ("pos", 10, 10),
        ("pos", 9, 7),
        ("neg", 0, 1),
        ("neg", 2, 4),
    )
}
OTHERS = {
    "aclImdb/README": "Large Movie Review Dataset v1.0",
    "aclImdb/train/unsup/0_0.txt": "no class",
    "aclImdb/train/labeledBow.feat": "9 0:9",
    # Names that lead elsewhere are no reviews, and nothing is written anyway.
    "../../aclImdb/train/pos/1_9.txt": "outside",
    "/aclImdb/train/pos/1_9.txt": "root",
    "aclImdb/train/pos/../neg/1_9.txt": "around",
}
Change = Callable[[tarfile.TarFile], None]


def archive(
    change: Change | None = None, changed: dict[str, bytes] | None = None
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in {**REVIEWS, **OTHERS}.items():
            add(tar, name, (changed or {}).get(name, text.encode()))
        if change is not None:
            change(tar)
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def add_link(kind: bytes) -> Change:
    def change(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo("aclImdb/test/pos/77_9.txt")
        entry.type = kind
        entry.linkname = "/etc/passwd"
        tar.addfile(entry)

    return change


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> bytes:
    made = archive()
    monkeypatch.setattr(imdb, "IMDB", replace(IMDB, sha256=digest(made), items=8))
    return made


def test_reviews_come_by_class_and_number_with_their_stars(
    toy: bytes, tmp_path: Path
) -> None:
    (tmp_path / IMDB.filename).write_bytes(toy)
    train, test = load_imdb(folder=tmp_path)
    for part, name in ((train, "train"), (test, "test")):
        names = ("neg 0", "neg 2", "pos 9", "pos 10")
        assert part.texts == tuple(f"{name} {which}: caf\u00e9" for which in names)
        assert part.ratings.tolist() == [1, 4, 7, 10]
        assert part.labels.tolist() == [0, 0, 1, 1]
        assert part.ratings.dtype == np.float64
        assert part.labels.dtype == np.int64
        assert part.source.name == "imdb"


def test_archive_in_the_cache_is_found_and_nothing_else_is_written(
    toy: bytes, cache: Path
) -> None:
    with pytest.raises(DatasetUnavailable, match="download=False") as caught:
        load_imdb()
    assert IMDB.origin.url in str(caught.value)  # type: ignore[union-attr]
    assert "Debian" not in str(caught.value)
    (cache / "imdb").mkdir(parents=True)
    (cache / "imdb" / IMDB.filename).write_bytes(toy)
    load_imdb()
    assert [path.name for path in cache.rglob("*")] == ["imdb", IMDB.filename]
    assert files_in(cache) == []


def test_altered_archive_is_refused_before_it_is_read(
    toy: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tarfile, "open", None)
    path = tmp_path / IMDB.filename
    for wrong in (toy[:-1], toy[:100] + bytes([toy[100] ^ 1]) + toy[101:], b""):
        path.write_bytes(wrong)
        with pytest.raises(DatasetCorrupt, match="is not the recorded file"):
            load_imdb(folder=tmp_path)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6])
def test_archive_that_ends_early_is_no_archive(share: float) -> None:
    whole = archive()
    with pytest.raises(DatasetCorrupt, match=r"reading it failed|expected 2 reviews"):
        parse_imdb(whole[: int(share * len(whole))], 8)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (add_link(tarfile.SYMTYPE), "77_9.txt should be a file"),
        (add_link(tarfile.LNKTYPE), "77_9.txt should be a file"),
        (add_link(tarfile.FIFOTYPE), "77_9.txt should be a file"),
        (add_link(tarfile.DIRTYPE), "77_9.txt should be a file"),
        (
            lambda tar: add(tar, "aclImdb/train/pos/9_8.txt", b"again"),
            "9_8.txt is there twice",
        ),
        (
            lambda tar: add(tar, "aclImdb/train/pos/8_3.txt", b"bad"),
            "8_3.txt is there twice, or has stars of another class",
        ),
        (
            lambda tar: add(tar, "aclImdb/train/pos/8_8.txt", b"one more"),
            "expected 2 reviews in each class",
        ),
        (
            lambda tar: add(tar, "aclImdb/train/pos/8_8.txt", b"x" * (1 << 16) + b"x"),
            "8_8.txt should be a file of at most 65,536 bytes",
        ),
    ],
    ids=["symlink", "link", "fifo", "folder", "twice", "stars", "extra", "large"],
)
def test_member_that_is_not_expected_is_refused(
    change: Change, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetCorrupt, match=complaint):
        parse_imdb(archive(change), 8)
    assert list(tmp_path.iterdir()) == []


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(DatasetCorrupt, match="in UTF-8, but reading it failed"):
        parse_imdb(archive(changed={"aclImdb/test/pos/10_10.txt": b"caf\xe9"}), 8)


def test_more_members_than_the_limit_or_a_larger_one_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = archive()
    monkeypatch.setattr(imdb, "MAX_MEMBERS", 14)
    assert len(parse_imdb(whole, 8)[0]) == 4
    monkeypatch.setattr(imdb, "MAX_MEMBERS", 13)
    with pytest.raises(DatasetCorrupt, match="too many members"):
        parse_imdb(whole, 8)
    monkeypatch.setattr(imdb, "MAX_MEMBERS", 14)
    monkeypatch.setattr(imdb, "MAX_MEMBER_BYTES", 20)
    with pytest.raises(DatasetCorrupt, match="number 9 with 31 bytes"):
        parse_imdb(whole, 8)
