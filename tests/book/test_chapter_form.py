"""How a chapter begins, and what it folds."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .conftest import ROOT

NOTEBOOKS = sorted(ROOT.glob("book/*/*.ipynb"))
# A page of questions, each with its own short answer.
WITHOUT_SUMMARY = {"questions"}
CHAPTERS = [path for path in NOTEBOOKS if path.stem not in WITHOUT_SUMMARY]
LONG = 30
EVERYWHERE = {"Exercises", "Sources"}
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# A length, not how many rates were tried: those are written in words.
IN_LEARNING_RATES = re.compile(
    r"in learning rates|\(learning rates\)|[\d|]\$? learning rates|learning rates? long"
)
UNIT_EXPLAINED = re.compile(
    r"(?:1|one) (?:learning rate )?is a (?:step|way|distance) of "
    r"(?:length )?\$\\alpha\$"
    r"|learning rates? \(\$[^$]*\\alpha\$\)"
)
BOX = re.compile(
    r"# [^\n]+\n\n"
    r"\*[^\n]+\*\n\n"
    r":::\{admonition\} In short\n:class: in-short\n\n(?P<items>.*?)\n:::\n\n",
    re.DOTALL,
)


def code(path: Path) -> list[Any]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def only_asserts(source: str) -> bool:
    """Whether a program does nothing but assert, with what it needs to do so."""
    body = ast.parse(source).body
    if not all(
        isinstance(node, ast.Assert | ast.Assign | ast.For | ast.If | ast.With)
        for node in body
    ):
        return False
    last: ast.stmt | None = body[-1] if body else None
    while isinstance(last, ast.For | ast.If | ast.With):
        last = last.body[-1]
    return isinstance(last, ast.Assert)


def why_folded(cells: list[Any], index: int) -> str:
    """The label a cell must be folded under; '-' if any will do; '' if it need not."""
    cell = cells[index]
    if index == 0:
        return "Imports"
    if cell.outputs:
        return ""
    if only_asserts(cell.source):
        return "Checks"
    return "-" if cell.source.count("\n") + 1 >= LONG else ""


def complaints(cells: list[Any]) -> list[str]:
    found = []
    for index, cell in enumerate(cells):
        label = why_folded(cells, index)
        shown = cell.metadata.get("mystnb", {}).get("code_prompt_show", "-")
        folded = "hide-input" in cell.metadata.get("tags", [])
        if label and not folded:
            found.append(f"{index}: is not folded, but should be ({label})")
        if label and label != shown:
            found.append(f"{index}: is called {shown}, but should be {label}")
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_begins_with_its_question_and_the_answer_in_short(path: Path) -> None:
    first = nbformat.read(path, as_version=4).cells[0].source
    box = BOX.match(first)
    assert box, first[:300]
    items = box["items"].split("\n")
    assert all(item.startswith("- ") for item in items)
    assert 3 <= len(items) <= 7


def test_a_heading_stands_once_in_the_book_because_it_says_its_subject() -> None:
    pages = [nbformat.read(path, as_version=4).cells for path in NOTEBOOKS]
    found = Counter(
        heading
        for cells in pages
        for cell in cells
        if cell.cell_type == "markdown"
        for heading in HEADING.findall(re.sub("```.*?```", "", cell.source, flags=re.S))
    )
    assert {heading for heading, n in found.items() if n > 1} <= EVERYWHERE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_that_counts_in_learning_rates_first_says_that_one_is_alpha(
    path: Path,
) -> None:
    text = "\n\n".join(
        cell.source + str(cell.get("outputs", ""))
        for cell in nbformat.read(path, as_version=4).cells
    )
    used = IN_LEARNING_RATES.search(text)
    if used:
        until_then = text[: text.find("\n\n", used.end())]
        assert UNIT_EXPLAINED.search(until_then), until_then[-300:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_imports_checks_and_long_helpers_are_folded(path: Path) -> None:
    assert complaints(code(path)) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("assert x", True),
        ("y = 2 * x\nfor a in y:\n    assert a", True),
        ("if x:\n    assert y", True),
        ("y = 2 * x", False),
        ("assert x\nprint(x)", False),
        ("def f():\n    assert x", False),
        ("for a in y:\n    assert a\n    b = a", False),
        ("", False),
    ],
)
def test_what_only_asserts(source: str, expected: bool) -> None:
    assert only_asserts(source) is expected
