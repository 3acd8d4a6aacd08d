"""No chapter number is typed: it comes from the place in ``_toc.yml``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .conftest import ROOT

CHAPTERS = sorted(ROOT.glob("book/*/*.ipynb"))
PLACES = (
    "book/**/*.ipynb",
    "book/**/*.md",
    "book/**/*.mjs",
    "book/**/*.html",
    "book/**/*.py",
    "adam_tutorial/**/*.py",
    "tests/**/*.py",
)


def titles() -> list[str]:
    """Return the title of every chapter, without a number if it has one."""
    first = (nbformat.read(path, as_version=4).cells[0].source for path in CHAPTERS)
    return [re.sub(r"# ([0-9]+\. )?", "", text.split("\n", 1)[0]) for text in first]


TYPED = re.compile(
    # "chapter 7", "chapters 2 to 5", "[chapter 7](...)", also over the end of a line
    r"\bchapters?(?:[ \t_-]+|[ \t]*\n[ \t#*]*)\[?[0-9]"
    r"|(?-i:\bPart [IVX]+\b)"
    # a link with a number as its text
    r"|\[[0-9]+\]\([^)\s]*\.ipynb"
    # a label such as ex-07-schedule
    r"|:label: *[a-z]+-[0-9]"
    # a title with a number before it
    rf"|\b[0-9]+\. (?:{'|'.join(map(re.escape, titles()))})(?![ \w])",
    re.IGNORECASE,
)
# Only in pages, where "#" begins a title and not a comment.
TITLE = re.compile(r"^# [0-9]", re.MULTILINE)


def typed(text: str) -> list[str]:
    """Return the chapter numbers that are typed in a text, as they stand there."""
    return [" ".join(found.group().split()) for found in TYPED.finditer(text)]


def typed_in_notebook(notebook: Any) -> Iterator[str]:
    """Yield the chapter numbers that are typed in cells, descriptions and outputs."""
    for cell in notebook.cells:
        yield from typed(cell.source)
        if cell.cell_type == "markdown":
            yield from TITLE.findall(cell.source)
        yield from typed(json.dumps(cell.metadata, ensure_ascii=False))
        for output in cell.get("outputs", []):
            yield from typed(output.get("text", ""))
            yield from typed(output.get("data", {}).get("text/markdown", ""))
            yield from typed(output.get("data", {}).get("text/plain", ""))


def complaints(path: Path) -> list[str]:
    """Return the chapter numbers that are typed in a file, or in its name."""
    found = ["its name"] if re.match("[0-9]", path.name) else []
    if path.suffix == ".ipynb":
        return [*found, *typed_in_notebook(nbformat.read(path, as_version=4))]
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        found += TITLE.findall(text)
    return found + typed(text)


def test_no_chapter_number_is_typed() -> None:
    files = {path for place in PLACES for path in ROOT.glob(place)} - {Path(__file__)}
    assert {path.suffix for path in files} == {".ipynb", ".md", ".mjs", ".html", ".py"}
    found = {path.relative_to(ROOT).as_posix(): complaints(path) for path in files}
    assert {name: what for name, what in sorted(found.items()) if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "see chapter 7",
        "in chapters 2 to 5",
        "[Chapter 4](../adam/adam_derived.ipynb) shows",
        "chapters [11](a.ipynb)",
        "# the digits of chapter\n# 1",
        "chapter_14 = stored_runs()",
        ":label: ex-07-schedule",
        "in Part III",
        "and [12](myths_and_mistakes.ipynb)",
        '"7. Weight decay"',
        "read: 6. Does Adam converge?",
    ],
)
def test_a_typed_number_is_found(text: str) -> None:
    assert typed(text)


@pytest.mark.parametrize(
    "text",
    [
        "this chapter takes 800 steps",
        "from the chapter\n\n1. the first",
        "about 3. Text that follows",
        "[Weight decay](../depth/weight_decay.ipynb)",
        ":label: ex-decay-schedule",
        "files(*chapters[2:])",
        "that part I like",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert typed(text) == []


def test_a_number_in_a_title_is_found() -> None:
    cell = nbformat.v4.new_markdown_cell("# 7. A chapter\n\nText.")
    assert list(typed_in_notebook(nbformat.v4.new_notebook(cells=[cell])))
