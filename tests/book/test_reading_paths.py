"""The ways through the book, and how long they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lengths import Length, length, words
from reading_paths import Stop, loaded, next_stops, source_of, ways

from .conftest import ROOT, SITE
from .test_site_files import Links

WAYS, NEEDS = loaded()
# Words in view that a page of a part may have.
LIMITS = {"start": 1200, "foundations": 3000, "adam": 3000, "depth": 5000}
LIMITS |= {"applications": 5000, "engineering": 5000}
CHAPTERS = [
    path for part in LIMITS for path in sorted((ROOT / "book" / part).glob("*.ipynb"))
]


# What is counted


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Two words.", 2),
        ("don't count `code words` twice", 5),
        ("a formula $x + y = z$ is one word", 6),
        ("none of\n$$\na = b\n$$ (label)\n(target)=", 3),
        ("[A link](to/some_where.ipynb) counts {claim}`cell:its-text`.", 3),
        ("see\n```{math}\n:label: x\na b c\n```\nhere", 2),
        ("see\n```python\na b c\n```\nhere", 2),
        ("see\n:::{note}\n:class: dropdown\nfolded\n:::\nhere", 2),
        ("see\n:::{note}\n:name: x\nin view\n:::\nhere", 4),
        ("see\n::::{solution} ex\n:::{note}\nfolded\n:::\nfolded\n::::\nhere", 2),
        ("---\nkey: value\n---\n# Title\ntext <!-- not this -->", 2),
        ("step 1: 0.5 of ε", 5),
    ],
)
def test_words_in_view_are_counted_and_no_others(text: str, count: int) -> None:
    assert words(text) == count


def notebook(folder: Path) -> Path:
    def cell(kind: str, text: str, *tags: str) -> dict[str, Any]:
        return {"cell_type": kind, "source": text, "metadata": {"tags": list(tags)}}

    page = folder / "page.ipynb"
    cells = [
        cell("markdown", "# Title\n\nthree more words\n\n## First\n\ntwo words"),
        cell("code", "x = 1\n\ny = 2"),
        cell("code", "assert x\nassert y", "hide-input"),
        cell("markdown", "and more\n\n:::{solution-start} x\n:::\n\nfolded"),
        cell("code", "z = 3"),
        cell("markdown", "folded\n\n:::{solution-end}\n:::\n\n## Second\n\nlast"),
    ]
    page.write_text(json.dumps({"cells": cells}))
    return page


def test_a_page_is_as_long_as_what_it_has_in_view(tmp_path: Path) -> None:
    assert length(notebook(tmp_path)) == Length(11, 2)


def test_a_first_section_ends_where_the_second_begins(tmp_path: Path) -> None:
    assert length(notebook(tmp_path), first_section=True) == Length(9, 2)


@pytest.mark.parametrize(
    ("size", "minutes"),
    [(Length(10, 0), 5), (Length(1200, 40), 15), (Length(1200, 80), 20)],
)
def test_minutes_are_those_of_words_and_lines_in_fives(
    size: Length, minutes: int
) -> None:
    assert size.minutes == minutes


def test_a_stop_knows_what_comes_next_on_each_way() -> None:
    found = ways({"short": ["a/b", "c/d#"], "long": ["c/d", "a/b", "e/f"]})
    assert found["short"] == [Stop("a/b", False), Stop("c/d", True)]
    assert next_stops("a/b", found) == {
        "short": Stop("c/d", True),
        "long": Stop("e/f", False),
    }
    assert next_stops("e/f", found) == {"long": None}
    assert next_stops("g/h", found) == {}


# The book


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_page_is_no_longer_than_one_sitting(page: Path) -> None:
    assert length(page).words <= LIMITS[page.parent.name]


@pytest.mark.parametrize("subject", ["images", "text"])
def test_the_first_acquaintance_is_short(subject: str) -> None:
    page = source_of(f"applications/{subject}")
    assert length(page, first_section=True).words <= 800


def test_fifteen_minutes_have_at_most_sixty_lines_of_code() -> None:
    assert length(source_of("start/adam_in_fifteen_minutes")).lines <= 60


def test_the_short_way_is_short() -> None:
    assert sum(stop.length.words for stop in WAYS["the short way"]) <= 10_000


def test_every_chapter_says_what_it_needs() -> None:
    chapters = {f"{page.parent.name}/{page.stem}" for page in CHAPTERS}
    assert set(NEEDS) == {c for c in chapters if not c.startswith("start/")}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_can_be_followed_through_links(way: str) -> None:
    landing = SITE / "book/index.html"
    stops = [SITE / f"book/{stop.page}.html" for stop in WAYS[way]]
    for page, following in zip([landing, *stops], stops, strict=False):
        targets = {
            (page.parent / link.partition("#")[0]).resolve()
            for link in Links(page).links
        }
        assert following.resolve() in targets, f"{page} does not lead to {following}"
