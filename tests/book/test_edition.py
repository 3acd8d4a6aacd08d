"""What the pages say of their edition, with an address of the repository or without."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import project
import pytest
from chapter_bar import links
from edition import downloads, edition

from .conftest import SITE, pages

DATE = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
ADDRESS = "https://git.invalid/people/adam"


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the project described by a file of our own; return that file."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    return tmp_path / "pyproject.toml"


def test_every_page_says_version_and_date_and_names_itself() -> None:
    day = f"{project.date().day} {project.date():%B %Y}"
    for page in pages():
        text = (SITE / page).read_text(encoding="utf-8")
        (said,) = re.findall(r'<p class="edition"[^>]*>(.*?)</p>', text)
        name = page.removeprefix("book/").removesuffix(".html")
        assert said.startswith(f"Version {project.version()}, "), page
        assert f"<code>{name}, version {project.version()} of " in said, page
    # The tests follow a build of the same commit.
    assert day in said


def test_without_an_address_there_is_a_line_to_copy_and_no_link() -> None:
    said = edition("book/adam/adam_derived", "1.2.3", DATE, "")
    assert said == (
        "Version 1.2.3, 1 March 2026. To report a mistake, quote:"
        " <code>adam/adam_derived, version 1.2.3 of 2026-03-01</code>"
    )
    assert "git clone" not in downloads("download/", "")
    bar = links("book/adam/adam_derived", "")
    assert "Source" not in bar
    assert 'href="../../_sources/book/adam/adam_derived.ipynb"' in bar


def test_with_an_address_mistakes_sources_and_clones_lead_there() -> None:
    said = edition("book/adam/adam_derived", "1.2.3", DATE, ADDRESS)
    name = "adam/adam_derived%2C%20version%201.2.3%20of%202026-03-01"
    assert f'href="{ADDRESS}/issues/new?title={name}"' in said
    assert f"`git clone {ADDRESS}`" in downloads("download/", ADDRESS)
    bar = links("book/adam/adam_derived", ADDRESS)
    assert f'<a href="{ADDRESS}/blob/main/book/adam/adam_derived.ipynb">' in bar


def test_the_address_is_the_one_of_the_package(other: Path) -> None:
    text = '[project]\nname = "x"\nversion = "1.2.3"\n[project.urls]\n'
    other.write_text(text)
    assert project.repository() == ""
    other.write_text(f'{text}Repository = "{ADDRESS}/"\n')
    assert project.repository() == ADDRESS
    assert project.wheel_name() == "x-1.2.3-py3-none-any.whl"
    assert project.archive_name() == "x-1.2.3.tar.gz"


def test_sources_outside_git_have_the_date_of_their_files(other: Path) -> None:
    other.touch()
    os.utime(other, (DATE.timestamp(),) * 2)
    assert project.date() == DATE
    # A wheel cannot be older.
    os.utime(other, (0, 0))
    assert project.date() == datetime(1980, 1, 1, tzinfo=UTC)
