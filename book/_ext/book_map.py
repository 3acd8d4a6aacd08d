"""Show the chapters as cards, in the parts and the order of ``_toc.yml``.

::

    ```{book-map}
    ```

A card has the title of its chapter, the question with which it begins, a small picture
and the minutes it takes.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lengths import cells, length
from reading_paths import link, source_of
from thumbnails import thumbnail

QUESTION = re.compile(r"^\*(?!\*)(.+?)(?<!\*)\*\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def question(text: str) -> str:
    """Return the question in italics with which a chapter begins, without links.

    Raises
    ------
    ValueError
        There is none.
    """
    found = QUESTION.search(text)
    if found is None:
        raise ValueError(f"no question in italics: {text[:80]!r}")
    return LINK.sub(r"\1", " ".join(found[1].split())).replace("`", "")


class BookMap(SphinxDirective):
    """The directive; it has no body."""

    def run(self) -> list[nodes.Node]:
        """Return places for the parts: titles are known when all pages are read."""
        site = self.env.external_site_map  # type: ignore[attr-defined]
        return [
            nodes.container("", caption=part.caption, pages=list(part.files()))
            for part in site.root.subtrees
            if part.numbered
        ]


def card(app: Sphinx, at: str, page: str) -> nodes.container:
    """Return the card of a chapter."""
    source = source_of(page)
    _, first = next(cells(source))
    title = link(app, at, page)
    title["classes"] = ["card-title"]
    minutes = nodes.inline("", f"{length(source).minutes} minutes", classes=["minutes"])
    return nodes.container(
        "",
        nodes.raw("", thumbnail(source.stem), format="html"),
        nodes.paragraph("", "", title),
        nodes.paragraph("", question(first)),
        nodes.paragraph("", "", minutes),
        classes=["chapter-card"],
    )


def show_map(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Fill the places with cards."""
    for place in [c for c in doctree.findall(nodes.container) if "caption" in c]:
        pages = [page.removeprefix("book/") for page in place["pages"]]
        cards = [card(app, docname, page) for page in pages]
        place.replace_self(
            [
                nodes.rubric("", place["caption"]),
                nodes.container("", *cards, classes=["chapter-cards"]),
            ]
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("book-map", BookMap)
    app.connect("doctree-resolved", show_map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
