"""Say where an equation is broken that is wider than its place.

A browser breaks it where the line is full, be it behind a minus or within parentheses.
Here it comes in parts: it is broken behind a quad, and if one of those parts is still
too wide behind a relation, and only if that does not help anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinxcontrib.katex import html_visit_displaymath

DISPLAYED = '<span class="katex-display">'
PIECE = '<span class="base">'
QUAD = re.compile(r"\\q?quad(?![a-z])")
# What KaTeX ends a piece with if a line may be broken behind it, of which it makes the
# first of QUAD because we ask for it.
BEHIND_QUAD = "mspace allowbreak"
RELATION = "mrel"
LAST = re.compile(rf'class="({BEHIND_QUAD}|{RELATION}|mbin)"')
TAG = re.compile(r"<span|</span>")


def closing(html: str) -> int:
    """Return where the element ends whose content a text begins with."""
    depth = 1
    for tag in TAG.finditer(html):
        depth += 1 if tag[0] == "<span" else -1
        if not depth:
            return tag.end()
    raise ValueError(f"an element has no end: {html[:80]}")


def whole(pieces: list[str]) -> bool:
    """Return whether as many parentheses are closed as are opened."""
    html = "".join(pieces)
    return html.count('class="mopen') <= html.count('class="mclose')


def behind(kind: str) -> Callable[[list[str]], bool]:
    """Return what says whether pieces end with this, outside of parentheses."""
    return lambda pieces: whole(pieces) and LAST.findall(pieces[-1])[-1:] == [kind]


def split(pieces: list[str], at: Callable[[list[str]], bool]) -> list[list[str]]:
    """Return the pieces in lists, each as far as ``at`` says that it is complete."""
    lists: list[list[str]] = [[]]
    for piece in pieces:
        lists[-1].append(piece)
        if at(lists[-1]):
            lists.append([])
    return [pieces for pieces in lists if pieces]


def part(pieces: list[str]) -> str:
    """Return pieces that stay together as long as there is room."""
    html = "".join(pieces)
    return f'<span class="part">{html}</span>' if len(pieces) > 1 else html


def in_parts(formula: str) -> str:
    """Return an equation, as KaTeX writes it, in parts."""
    before, *pieces = formula.split(PIECE)
    if not pieces:
        return formula
    # What is behind the last piece belongs to the whole.
    end = closing(pieces[-1])
    pieces[-1], after = pieces[-1][:end], pieces[-1][end:]
    groups = [
        [part([part(term) for term in split(line, whole)]) for line in split(group, at)]
        for at in [behind(RELATION)]
        for group in split([PIECE + piece for piece in pieces], behind(BEHIND_QUAD))
    ]
    return f"{before}{''.join(map(part, groups))}{after}"


def visit_equation(translator: Any, node: nodes.math_block) -> None:
    """Write an equation."""
    node["latex"] = QUAD.sub(r"\g<0>\\allowbreak{}", node.astext())
    place = len(translator.body)
    try:
        html_visit_displaymath(translator, node)
    finally:
        translator.body[place:] = [
            in_parts(html) if html.startswith(DISPLAYED) else html
            for html in translator.body[place:]
        ]


def take_over(app: Sphinx) -> None:
    """Write equations with :func:`visit_equation`."""
    app.registry.html_block_math_renderers["katex"] = (visit_equation, None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", take_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
