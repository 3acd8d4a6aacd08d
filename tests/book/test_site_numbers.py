"""Numbers of exercises and figures on the built pages."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from handouts import chapter_numbers, handout

from .conftest import ROOT, SITE, pages
from .test_handouts import CHAPTERS, SOURCES
from .test_numbers import NUMBERED

CAPTION = re.compile(
    r"<figcaption>\s*<p><span class=\"caption-number\">Figure ([\d.]+) </span>"
)


@pytest.mark.parametrize("address", pages())
def test_numbers_of_a_page_follow_each_other(address: str) -> None:
    html = (SITE / address).read_text(encoding="utf-8")
    for found in (
        [number for _, number in NUMBERED.findall(html)],
        CAPTION.findall(html),
    ):
        chapter = found[0].rpartition(".")[0] if found else ""
        dot = "." if chapter else ""
        assert found == [f"{chapter}{dot}{n}" for n in range(1, len(found) + 1)]
    # Every picture that a cell has drawn stands in a figure with its caption.
    drawn = len(re.findall(r'<img [^>]*class="[^"]*\bonly-light[^"]*\bthemed\b', html))
    explorables = len(re.findall(r"<figure class=\"explorable\"", html))
    assert drawn == len(CAPTION.findall(html)) + explorables


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_handout_numbers_its_exercises_as_the_page_does(path: Path) -> None:
    name = path.relative_to(ROOT).with_suffix("").as_posix()
    number = chapter_numbers(ROOT / "_toc.yml").get(name)
    made = handout(nbformat.read(path, as_version=4), number, SOURCES)
    shown = re.findall(
        r"\*\*Exercise ([\d.]+): ", "\n".join(cell.source for cell in made.cells)
    )
    html = (SITE / f"{name}.html").read_text(encoding="utf-8")
    assert shown == [number for _, number in NUMBERED.findall(html)]


def test_no_picture_of_the_site_is_named_by_a_hash() -> None:
    names = [path.name for path in (SITE / "_images").iterdir()]
    assert len(names) > 200
    plain = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.narrow)?(\.dark)?\.svg")
    assert [name for name in names if not plain.fullmatch(name)] == []
    assert [name for name in names if re.search("[0-9a-f]{20}", name)] == []


def test_every_reference_to_an_exercise_has_its_number() -> None:
    texts = {page: (SITE / page).read_text(encoding="utf-8") for page in pages()}
    own = {
        label: number
        for html in texts.values()
        for label, number in NUMBERED.findall(html)
    }
    assert len(own) > 50
    for html in texts.values():
        links = re.findall(
            r'href="[^"]*#(ex-[\w-]+)"[^>]*>(?:<[^>]*>)* ?Exercise ([\d.]+)', html
        )
        assert all(own[label] == number for label, number in links)
