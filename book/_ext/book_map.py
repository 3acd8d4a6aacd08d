"""Show the chapters with a line about each, in the parts and the order of ``_toc.yml``.

::

    :::{book-map}
    - [Weight decay](depth/weight_decay.ipynb): penalty and decay.
    :::

There is one item for each chapter of a numbered part, in any order. The page shows one
paragraph for each part.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ITEM = re.compile(r"- (?P<text>\[[^\]]*\]\((?P<file>[^)]+)\.(?:ipynb|md)\).*)")


def paragraphs(
    lines: Iterable[str], folder: str, parts: Sequence[tuple[str, Sequence[str]]]
) -> list[str]:
    """Return one paragraph of Markdown for each part.

    Parameters
    ----------
    lines : iterable of str
        The items.
    folder : str
        That of the page, to which the links are relative.
    parts : sequence of (str, sequence of str)
        The caption of each part, and the names of its documents.

    Raises
    ------
    ValueError
        If a line is no item, or if the items are not those of the parts.
    """
    items = {}
    for line in filter(str.strip, lines):
        found = ITEM.fullmatch(line)
        if found is None:
            raise ValueError(f"not of the form '- [title](file): text': {line}")
        items[posixpath.normpath(posixpath.join(folder, found["file"]))] = found["text"]
    wanted = {name for _, names in parts for name in names}
    if wrong := sorted(wanted ^ set(items)):
        raise ValueError(f"either not in the map or not a chapter: {', '.join(wrong)}")
    return [
        f"**{caption}.** {' '.join(items[name] for name in names)}"
        for caption, names in parts
    ]


class BookMap(SphinxDirective):
    """The directive; its body is the list."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the paragraphs."""
        site = self.env.external_site_map  # type: ignore[attr-defined]
        parts = [
            (part.caption, part.files()) for part in site.root.subtrees if part.numbered
        ]
        folder = posixpath.dirname(self.env.docname)
        try:
            text = "\n\n".join(paragraphs(self.content, folder, parts))
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("book-map", BookMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
