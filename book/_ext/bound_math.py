"""Keep a formula on one line with what is written to it, and other things together.

A browser may break the line between any piece of a formula and the comma behind it,
which then stands alone at the start of the next line. Here the last piece of a formula
and what follows it without a space go into one element, whose style forbids that; so do
a parenthesis and the first piece, a number and its per cent, short code, and a number
that is all of a table's cell. The number of an equation brings its parentheses along,
but not into parentheses.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinxcontrib.katex import get_latex, render_latex

import katex_start
from equation_parts import part, split, whole

# Punctuation, or the rest of a word as in "t-th": longer ones would widen a phone.
BEHIND = re.compile(r"\S{1,6}(?=\s|$)|[^\s\w]+")
BEFORE = re.compile(r"(?<!\S)\S{1,4}$|[^\s\w]+$")
NUMBER = re.compile(r"\(([A-Z\d.]+)\)")
PER_CENT = re.compile(r"(?<=\d) (?=%)")
# The longest code that is not broken: a third of a phone.
SHORT = 16
QUANTITY = re.compile(r"[+-]?\d[\d.,]*(e[+-]?\d+)?")

HIDDEN = '<span class="katex-html" aria-hidden="true">'
PIECE = '<span class="base">'
# Of the pieces, the formula, and the element that Sphinx puts around it.
END = "</span></span>"
# So many pieces within parentheses stay on one line.
FEW = 4


def take_neighbours(math: nodes.math) -> None:
    """Hand to a formula what stands directly before and behind it.

    To a copy of it: lists that show the title of an exercise once more hold the formula
    that was there, beside a text of their own that nothing was taken from.
    """
    parent = math.parent
    place = parent.index(math)
    parent[place] = math = math.deepcopy()
    before = parent[place - 1] if place else None
    behind = parent[place + 1] if place + 1 < len(parent) else None
    # By place: a text is equal to another with the same characters.
    if isinstance(behind, nodes.Text) and (found := BEHIND.match(behind)):
        parent[place + 1] = nodes.Text(behind[found.end() :])
        math["behind"] = found[0]
    if isinstance(before, nodes.Text) and (found := BEFORE.search(before)):
        parent[place - 1] = nodes.Text(before[: found.start()])
        math["before"] = found[0]


def bound(formula: str, before: str, behind: str) -> str:
    """Return a rendered formula with text that stays beside its outer pieces.

    What is within parentheses stays together too.

    Parameters
    ----------
    formula : str
        As KaTeX writes it: pieces that a screen reader must not read, in an element
        that says so. The text is to be read, so then each piece says so.
    before, behind : str
        The text, in HTML.
    """
    head, hidden, rest = formula.partition(HIDDEN)
    pieces = [PIECE + piece for piece in rest.removesuffix(END).split(PIECE)[1:]]
    if before or behind:
        hidden = '<span class="katex-html">'
        unread = '<span aria-hidden="true" class="base">'
        pieces = [piece.replace(PIECE, unread) for piece in pieces]
        if before:
            pieces[0] = f'<span class="bound-text">{before}</span>{pieces[0]}'
        if behind:
            pieces[-1] = f'{pieces[-1]}<span class="bound-text">{behind}</span>'
        for place in {0, len(pieces) - 1}:
            pieces[place] = f'<span class="bound">{pieces[place]}</span>'
    terms = split(pieces, whole)
    kept = (part(term) if len(term) <= FEW else "".join(term) for term in terms)
    return f"{head}{hidden}{''.join(kept)}{END}"


def visit_math(translator: Any, node: nodes.math) -> None:
    """Write a formula in a line of text."""
    texts = (translator.encode(node.get(name, "")) for name in ("before", "behind"))
    formula = bound(render_latex(get_latex(node)), *texts)
    start = translator.starttag(node, "span", "", CLASS="math")
    translator.body.append(f"{start}{formula}</span>")
    raise nodes.SkipNode


def unwrap(reference: nodes.reference) -> None:
    """Write the number of an equation without parentheses if it stands in some."""
    place = reference.parent.index(reference)
    before = reference.parent[place - 1] if place else None
    if not (isinstance(before, nodes.Text) and before.endswith("(")):
        return
    for text in list(reference.findall(nodes.Text)):
        if found := NUMBER.fullmatch(text):
            text.parent.replace(text, nodes.Text(found[1]))


def name_link(reference: nodes.reference) -> None:
    """Give a link without words a title.

    Screen readers find no name for a link in a formula.
    """
    formulas = list(reference.findall(nodes.math))
    around = (
        text for text in reference.findall(nodes.Text) if text.parent not in formulas
    )
    if formulas and not any(character.isalpha() for character in "".join(around)):
        latex = ", ".join(formula.astext() for formula in formulas)
        reference["reftitle"] = f"Where {latex} is defined"


def bind_code_and_numbers(document: nodes.document) -> None:
    """Forbid breaks in short code, in a cell's only number, and before a per cent."""
    for code in document.findall(nodes.literal):
        if len(code.astext()) <= SHORT:
            code["classes"].append("bound")
    for cell in document.findall(nodes.entry):
        if QUANTITY.fullmatch(cell.astext()):
            cell["classes"].append("bound")
    for text in list(document.findall(nodes.Text)):
        if PER_CENT.search(text) and not isinstance(text.parent, nodes.literal_block):
            place = next(i for i, one in enumerate(text.parent) if one is text)
            text.parent[place] = nodes.Text(PER_CENT.sub("\N{NO-BREAK SPACE}", text))


class BoundMath(SphinxPostTransform):
    """Bind what belongs together."""

    # After references are resolved (10).
    default_priority = 400
    formats = ("html",)

    def run(self, **_kwargs: object) -> None:
        """Change the document."""
        for reference in list(self.document.findall(nodes.reference)):
            unwrap(reference)
            name_link(reference)
        for math in list(self.document.findall(nodes.math)):
            take_neighbours(math)
        bind_code_and_numbers(self.document)


def take_over(app: Sphinx) -> None:
    """Write formulas in lines with :func:`visit_math`."""
    app.registry.html_inline_math_renderers["katex"] = (visit_math, None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    katex_start.take_over()
    app.add_post_transform(BoundMath)
    app.connect("builder-inited", take_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
