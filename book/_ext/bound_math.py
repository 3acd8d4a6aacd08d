"""Keep a formula and what is written to it on one line.

A browser may break the line between a formula and the comma behind it, which then
stands alone at the start of the next line. So both go into one element, whose style
forbids that. The number of an equation brings its parentheses along, but not into
parentheses.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

# Punctuation, or the rest of a word as in "t-th": longer ones would widen a phone.
BEHIND = re.compile(r"\S{1,6}(?=\s|$)|[^\s\w]+")
NUMBER = re.compile(r"\(([A-Z\d.]+)\)")
BEFORE = re.compile(r"(?<!\S)\S{1,4}$|[^\s\w]+$")


def bind(math: nodes.math) -> None:
    """Wrap a formula together with what stands directly before and behind it."""
    parent = math.parent
    place = parent.index(math)
    bound = nodes.inline(classes=["math-bound"])
    before = parent[place - 1] if place else None
    behind = parent[place + 1] if place + 1 < len(parent) else None
    parent[place] = bound
    if isinstance(before, nodes.Text) and (found := BEFORE.search(before)):
        parent.replace(before, nodes.Text(before[: found.start()]))
        bound += nodes.Text(found[0])
    bound += math
    if isinstance(behind, nodes.Text) and (found := BEHIND.match(behind)):
        parent.replace(behind, nodes.Text(behind[found.end() :]))
        bound += nodes.Text(found[0])
    if len(bound) == 1:
        parent[place] = math


def unwrap(reference: nodes.reference) -> None:
    """Write the number of an equation without parentheses if it stands in some."""
    place = reference.parent.index(reference)
    before = reference.parent[place - 1] if place else None
    if not (isinstance(before, nodes.Text) and before.endswith("(")):
        return
    for text in list(reference.findall(nodes.Text)):
        if found := NUMBER.fullmatch(text):
            text.parent.replace(text, nodes.Text(found[1]))


class BoundMath(SphinxPostTransform):
    """Bind every formula in a line of text."""

    # After references are resolved (10).
    default_priority = 400
    formats = ("html",)

    def run(self, **_kwargs: object) -> None:
        """Change the document."""
        for math in list(self.document.findall(nodes.math)):
            bind(math)
        for reference in list(self.document.findall(nodes.reference)):
            unwrap(reference)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_post_transform(BoundMath)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
