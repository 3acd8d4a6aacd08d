"""The ways through the book, as ``book/paths.toml`` lists them.

Each chapter says below its bar how many minutes it takes, what it asks of the reader,
and what comes next on each way that leads through it. ::

    ```{reading-paths}
    ```

shows the ways whole.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from lengths import Length, length

FOLDER = Path(__file__).parents[1]
LOG = logging.getLogger(__name__)
TITLE = re.compile(r"\*([^*]+)\*")


@dataclass(frozen=True)
class Stop:
    """A page on a way, or its first section alone."""

    page: str
    first_section: bool

    @property
    def length(self) -> Length:
        """How much of the page belongs to the way."""
        return length(source_of(self.page), first_section=self.first_section)


def source_of(page: str) -> Path:
    """Return the file of a page that is named by folder and subject."""
    notebook = FOLDER / f"{page}.ipynb"
    return notebook if notebook.exists() else FOLDER / f"{page}.md"


def ways(listed: dict[str, list[str]]) -> dict[str, list[Stop]]:
    """Return the stops of each way.

    Parameters
    ----------
    listed : dict of str to list of str
        As ``paths.toml`` has them; "#" at the end means the first section alone.
    """
    return {
        way: [Stop(page.removesuffix("#"), page.endswith("#")) for page in pages]
        for way, pages in listed.items()
    }


def next_stops(page: str, found: dict[str, list[Stop]]) -> dict[str, Stop | None]:
    """Return what comes after a page, by way, and None for a way that ends there."""
    following: dict[str, Stop | None] = {}
    for way, stops in found.items():
        pages = [stop.page for stop in stops]
        if page in pages:
            following[way] = dict(enumerate(stops)).get(pages.index(page) + 1)
    return following


def loaded() -> tuple[dict[str, list[Stop]], dict[str, str]]:
    """Return the ways, and what each chapter asks of the reader."""
    content = tomllib.loads((FOLDER / "paths.toml").read_text(encoding="utf-8"))
    return ways(content["ways"]), content["needs"]


def link(app: Sphinx, at: str, page: str) -> nodes.reference:
    """Return a link to a page, with its title as text."""
    target = f"book/{page}"
    title = app.env.titles[target].astext()
    uri = app.builder.get_relative_uri(at, target)
    return nodes.reference("", title, refuri=uri, internal=True)


def asked(app: Sphinx, at: str, text: str) -> Iterator[nodes.Node]:
    """Yield what a chapter asks, in which titles between asterisks become links."""
    titles = {title.astext(): name for name, title in app.env.titles.items()}
    for place, part in enumerate(TITLE.split(text)):
        if place % 2 == 0:
            yield nodes.Text(part)
        elif part in titles:
            yield link(app, at, titles[part].removeprefix("book/"))
        else:
            LOG.warning("paths.toml: there is no page with the title %r", part)


def onwards(
    app: Sphinx, at: str, following: dict[str, Stop | None]
) -> Iterator[nodes.Node]:
    """Yield what comes next on each way, as links."""
    for way, stop in following.items():
        if stop is None:
            yield nodes.Text(f"{way[0].upper()}{way[1:]} ends here. ")
            continue
        yield nodes.Text(f"Next on {way}: ")
        yield link(app, at, stop.page)
        yield nodes.Text(", its first section. " if stop.first_section else ". ")


def add_way(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Insert minutes, demands and next stops behind the bar of a chapter."""
    page = docname.removeprefix("book/")
    found, needs = loaded()
    on_a_way = any(stop.page == page for stops in found.values() for stop in stops)
    title = next(iter(doctree.findall(nodes.title)), None)
    if app.builder.format != "html" or title is None or not (on_a_way or page in needs):
        return
    line = nodes.paragraph("", f"{length(source_of(page)).minutes} minutes. ")
    if page in needs:
        line += [nodes.Text("You need: "), *asked(app, docname, needs[page])]
        line += nodes.Text(". ")
    following = next_stops(page, found)
    line += onwards(app, docname, following)
    place = title.parent.index(title) + 1
    if "chapter-bar" in title.parent[place].astext():
        place += 1
    title.parent.insert(place, nodes.container("", line, classes=["reading-way"]))
    if following:
        # Again at the end, where the theme's link leads to the next page of the book.
        last = nodes.paragraph("", "", *onwards(app, docname, following))
        title.parent += nodes.container("", last, classes=["reading-way", "at-the-end"])


class ReadingPaths(SphinxDirective):
    """The directive; it has no body."""

    def run(self) -> list[nodes.Node]:
        """Return a place for the ways: titles are known when all pages are read."""
        return [nodes.container("", classes=["reading-paths"])]


def show_ways(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Fill the place with a paragraph for each way."""
    places = [
        node
        for node in doctree.findall(nodes.container)
        if "reading-paths" in node["classes"]
    ]
    for place in places:
        for way, stops in loaded()[0].items():
            minutes = sum(stop.length.minutes for stop in stops)
            name = nodes.strong("", f"{way[0].upper()}{way[1:]}")
            line = nodes.paragraph("", "", name, nodes.Text(f" ({minutes} minutes): "))
            for number, stop in enumerate(stops):
                line += nodes.Text(", then " if number else "")
                line += link(app, docname, stop.page)
                line += nodes.Text(" (first section)" if stop.first_section else "")
            place += line


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("reading-paths", ReadingPaths)
    # Behind the bar, which is inserted first.
    app.connect("doctree-resolved", add_way, priority=600)
    app.connect("doctree-resolved", show_ways)
    app.connect("env-check-consistency", lambda _, env: check(env))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def check(env: BuildEnvironment) -> None:
    """Complain of pages that the ways name and that do not exist."""
    found, needs = loaded()
    named = {stop.page for stops in found.values() for stop in stops} | set(needs)
    for page in sorted(named):
        if f"book/{page}" not in env.found_docs:
            LOG.warning("paths.toml: there is no page %s", page)
