"""The map of the book on the landing page."""

from __future__ import annotations

import re

import pytest
from book_map import question
from thumbnails import HEIGHT, PICTURES, WIDTH, thumbnail

from .conftest import ROOT, SITE

CHAPTERS = {
    page.stem
    for part in ("foundations", "adam", "applications", "depth", "engineering")
    for page in (ROOT / "book" / part).glob("*.ipynb")
}


def test_a_question_is_the_first_paragraph_in_italics_without_links() -> None:
    text = "# Title\n\n*Is [it](x.ipynb)\n `true`? Yes.*\n\n*not this*\n"
    assert question(text) == "Is it true? Yes."


def test_a_chapter_without_a_question_is_named() -> None:
    with pytest.raises(ValueError, match="no question in italics: '# Title"):
        question("# Title\n\n**bold**\n")


def test_every_chapter_has_a_picture_and_every_picture_a_chapter() -> None:
    assert set(PICTURES) == CHAPTERS


@pytest.mark.parametrize("subject", sorted(PICTURES))
def test_a_picture_is_light_and_lies_within_its_frame(subject: str) -> None:
    svg = thumbnail(subject)
    assert len(svg) < 6_000
    for points in re.findall(r'points="([^"]+)"', svg):
        for point in points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_the_map_shows_every_chapter_once() -> None:
    page = (SITE / "book/index.html").read_text(encoding="utf-8")
    shown = re.findall(r'card-title[^"]*" href="\w+/(\w+)\.html', page)
    assert sorted(shown) == sorted(CHAPTERS)
