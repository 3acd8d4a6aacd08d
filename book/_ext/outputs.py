"""Tell printed columns from printed sentences: the style sheet wraps only sentences.

A wrapped line of a table cannot be read; a sentence that has to be scrolled is not.
"""

from __future__ import annotations

import re
from itertools import pairwise

from docutils import nodes
from sphinx.application import Sphinx

# So many fit on a window of 1,280 pixels (css/book.css); longer lines have to wrap.
WIDEST = 97
# What stands before two spaces or more, behind the indentation.
GAP = re.compile(r"(?<=\S) {2,}(?=\S)")


def has_columns(text: str) -> bool:
    """Return whether two lines in succession have a gap that ends in the same place."""
    if max(map(len, text.splitlines()), default=0) > WIDEST:
        return False
    places = [{gap.end() for gap in GAP.finditer(line)} for line in text.splitlines()]
    return any(above & below for above, below in pairwise(places))


def mark_columns(_app: Sphinx, doctree: nodes.document) -> None:
    """Give every printed output that has columns the class ``columns``."""
    for block in doctree.findall(nodes.literal_block):
        if "output" in block["classes"] and has_columns(block.astext()):
            block["classes"].append("columns")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", mark_columns)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
