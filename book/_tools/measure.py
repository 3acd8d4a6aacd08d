"""Measure the built site in a browser: a row for each page, as a table in Markdown.

``python book/_tools/measure.py`` from the root of the repository. Words restrict it to
the pages whose address has one of them; ``--list`` names every block that is cut, or
that has to be scrolled. It needs Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

# The extensions of the book.
sys.path.insert(0, str(Path(__file__).parents[1] / "_ext"))

from lengths import Length, length
from reading_paths import loaded, source_of

from browsing import FLAGS, WATCH_SHIFTS, find_browser, serve
from running import SITE

WIDE, NARROW, HEIGHT = 1280, 390, 900
# Fonts and pictures count as they are; what else a server sends is compressed.
AS_THEY_ARE = (".woff2", ".svg", ".png", ".jpg", ".ico")
HERE = Path(__file__).parent
SCRIPT = (HERE / "measure.js").read_text(encoding="utf-8")
PRINT_SCRIPT = (HERE / "measure_print.js").read_text(encoding="utf-8")
# Of A4, within the margins that the style sheet sets.
PAPER = 673
# Formulas count as one word.
WORDS = """() => {
  const article = document.querySelector(".bd-article")?.cloneNode(true);
  article?.querySelectorAll(".katex-mathml").forEach((element) => element.remove());
  return article?.textContent.match(/\\S+/g)?.length ?? 0;
}"""


FIRST_PICTURE = """() => {
  const article = document.querySelector(".bd-article");
  const picture = article?.querySelector("img, .explorable svg, canvas");
  return picture ? Math.round(picture.getBoundingClientRect().top + scrollY) : null;
}"""


class Block(NamedTuple):
    """A block that is cut, or that has to be scrolled."""

    kind: str
    what: str
    by: int
    hint: bool
    label: str
    text: str

    def __str__(self) -> str:
        """Return what is wrong as a line."""
        return f"{self.kind} {self.what} by {self.by} pixels: {self.text}"


def cut_blocks(page: Page) -> list[Block]:
    """Return every block of a page that is wider than the place it has."""
    return [Block(**found) for found in page.evaluate(SCRIPT)]


def wrong_on_paper(page: Page) -> list[str]:
    """Return what is wrong with a page when it is printed."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": HEIGHT})
    wrong: list[str] = page.evaluate(PRINT_SCRIPT)
    wrong += [str(block) for block in cut_blocks(page)]
    page.emulate_media(media="screen")
    return wrong


def weight(urls: Iterable[str], root: str) -> int:
    """Return how many bytes a server sends for addresses below ``root``."""
    total = 0
    for url in urls:
        total += _sent(SITE / unquote(urlsplit(url.removeprefix(root)).path))
    return total


@cache  # most files belong to every page
def _sent(file: Path) -> int:
    body = file.read_bytes()
    return len(body if file.suffix in AS_THEY_ARE else gzip.compress(body, 9))


class Row(NamedTuple):
    """What was measured on a page."""

    page: str
    height: int
    first_picture: int | None
    words: int
    in_view: Length
    kilobytes: int
    requests: int
    shift: float
    wide: list[Block]
    narrow: list[Block]


def measure(browser: Browser, root: str, address: str) -> Row:
    """Open a page in a browser that knows nothing yet, and look at it twice."""
    context = browser.new_context(viewport={"width": WIDE, "height": HEIGHT})
    page = context.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.add_init_script(WATCH_SHIFTS)
    page.goto(root + address, wait_until="networkidle")
    page.wait_for_load_state("load")
    first = [url for url in requests if url.startswith(root)]
    height, words = page.evaluate("document.body.scrollHeight"), page.evaluate(WORDS)
    first_picture = page.evaluate(FIRST_PICTURE)
    shift = page.evaluate("window.shift")
    wide = cut_blocks(page)
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    page.evaluate("new Promise((done) => setTimeout(done, 300))")
    narrow = cut_blocks(page)
    context.close()
    return Row(
        address,
        height,
        first_picture,
        words,
        length_of(address),
        round(weight(first, root) / 1000),
        len(first),
        shift,
        wide,
        narrow,
    )


def length_of(address: str) -> Length:
    """Return how much of a page is in view; nothing if it is generated."""
    source = source_of(address.removeprefix("book/").removesuffix(".html"))
    return length(source) if source.exists() else Length(0, 0)


def addresses() -> list[str]:
    """Return the address of every page of the site that has an article."""
    return sorted(
        page.relative_to(SITE).as_posix() for page in (SITE / "book").rglob("*.html")
    )


def counts(blocks: Iterable[Block]) -> str:
    """Return how many blocks of each kind there are, in few letters."""
    kinds = Counter(block.kind for block in blocks)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "0"


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("words", nargs="*")
    chosen = parser.parse_args(arguments)
    with serve(SITE) as root, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        rows = [
            measure(browser, root, address)
            for address in addresses()
            if not chosen.words or any(word in address for word in chosen.words)
        ]
        browser.close()
    if not rows:
        sys.exit(f"No page has {' or '.join(chosen.words)} in its address.")
    print(
        f"| page | height | first picture | words | of these in view | minutes "
        f"| kB | requests | shift "
        f"| cut or scrolling at {WIDE} | at {NARROW} | of these without hint |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|---:|"
    )
    for row in rows:
        print(
            f"| {row.page} | {row.height:,} | {row.first_picture or '–'} "
            f"| {row.words:,} | {row.in_view.words:,} | {row.in_view.minutes} "
            f"| {row.kilobytes} "
            f"| {row.requests} | {row.shift:.3f} | {counts(row.wide)} "
            f"| {counts(row.narrow)} | {sum(not b.hint for b in row.narrow)} |"
        )
    print(
        f"| all {len(rows)} | {sum(r.height for r in rows):,} | "
        f"| {sum(r.words for r in rows):,} | {sum(r.in_view.words for r in rows):,} "
        f"| {sum(r.in_view.minutes for r in rows)} "
        f"| {max(r.kilobytes for r in rows)} at most "
        f"| {max(r.requests for r in rows)} at most "
        f"| {max(r.shift for r in rows):.3f} at most "
        f"| {counts(b for r in rows for b in r.wide)} "
        f"| {counts(b for r in rows for b in r.narrow)} "
        f"| {sum(not b.hint for r in rows for b in r.narrow)} |"
    )
    print("\n| way | pages | words | minutes |\n|---|---:|---:|---:|")
    for way, stops in loaded()[0].items():
        lengths = [stop.length for stop in stops]
        words, minutes = sum(n.words for n in lengths), sum(n.minutes for n in lengths)
        print(f"| {way} | {len(stops)} | {words:,} | {minutes} |")
    if chosen.list:
        for row in rows:
            for width, blocks in ((WIDE, row.wide), (NARROW, row.narrow)):
                for block in blocks:
                    hint = "" if block.hint else ", no hint"
                    print(f"{row.page} {width}{hint}: {block}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
