"""The files of the built site: links, equation signs, weight."""

from __future__ import annotations

import gzip
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import project
import pytest

from .conftest import SITE, pages

# As a server sends it, compressed: prerendered math is long and repeats itself.
MOST_BYTES = 300_000


class Links(HTMLParser):
    """What a page links to, what it loads, and which places in it can be linked to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.identifiers: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.identifiers.update(found[name] for name in ("id", "name") if name in found)
        for name in ("href", "src"):
            if name in found:
                (self.links if tag == "a" else self.loads).append(found[name])


@pytest.fixture(scope="module")
def parsed() -> dict[Path, Links]:
    return {SITE / page: Links(SITE / page) for page in pages()}


def test_every_internal_link_leads_to_a_page_and_a_place_in_it(
    parsed: dict[Path, Links],
) -> None:
    assert len(parsed) >= 10
    bad = []
    for page, links in parsed.items():
        for link in links.links + links.loads:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (
                (page.parent / unquote(parts.path)).resolve() if parts.path else page
            )
            where = page.relative_to(SITE)
            if not target.exists():
                bad.append(f"{where}: {link} does not exist")
            elif (
                parts.fragment
                and target in parsed
                and unquote(parts.fragment) not in parsed[target].identifiers
            ):
                bad.append(f"{where}: {link}: no such place")
    assert bad == []


def test_no_page_loads_anything_from_elsewhere(parsed: dict[Path, Links]) -> None:
    outside = [
        f"{page.relative_to(SITE)}: {link}"
        for page, links in parsed.items()
        for link in links.loads
        if urlsplit(link).scheme in ("http", "https") or link.startswith("//")
    ]
    assert outside == []


def test_no_link_leads_to_a_repository_without_an_address(
    parsed: dict[Path, Links],
) -> None:
    assert project.repository() == "", "adapt this test to the address"
    text = "".join(page.read_text(encoding="utf-8") for page in parsed)
    for sign in ("/blob/", "/edit/", "issues/new", "example.com"):
        assert sign not in text


def test_every_displayed_equation_has_a_number_and_a_sign() -> None:
    chapters = {
        SITE / page: text
        for page in pages()
        if '<h1><span class="section-number">'
        in (text := (SITE / page).read_text(encoding="utf-8"))
    }
    assert len(chapters) >= 5
    for chapter, text in chapters.items():
        equations = text.count('<div class="math"')
        assert equations > 0, chapter
        assert text.count('class="eqno"') == equations, chapter
        assert text.count("equation-sign") == equations, chapter


def test_no_table_stands_as_a_paragraph_of_bars() -> None:
    for page in pages():
        assert "<p>|" not in (SITE / page).read_text(encoding="utf-8"), page


def test_a_page_and_its_styles_stay_light() -> None:
    for page in pages():
        files = {SITE / page}
        for link in Links(SITE / page).loads:
            path = ((SITE / page).parent / urlsplit(link).path).resolve()
            if path.is_file() and path.suffix in (".css", ".js"):
                files.add(path)
        weight = sum(len(gzip.compress(file.read_bytes())) for file in files)
        assert weight < MOST_BYTES, f"{page}: {weight:,} bytes"
