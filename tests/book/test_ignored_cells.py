"""A cell whose output is not compared is followed by an assertion that counts."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .conftest import ROOT
from .test_notebook_checks import notebooks

IGNORED = {"tags": ["nbval-ignore-output"]}
UNASSERTED = "cell 0: is tagged nbval-ignore-output, but the next cell asserts nothing"


def problems(*cells: tuple[str, dict[str, Any]]) -> list[str]:
    """Return what is wrong with a notebook of these sources and metadata."""
    written = [
        new_code_cell(source, metadata=metadata, execution_count=count)
        for count, (source, metadata) in enumerate(cells, start=1)
    ]
    return list(notebooks.problems(new_notebook(cells=written)))


def test_assertion_that_is_itself_ignored_does_not_count() -> None:
    found = problems(
        ("measure()", IGNORED), ("assert fast", IGNORED), ("assert small", {})
    )
    assert found == [UNASSERTED]


def test_assertion_counts_wherever_it_stands_in_the_next_cell() -> None:
    nested = "for x in xs:\n    assert x\nprint(xs)"
    assert problems(("measure()", IGNORED), (nested, {})) == []


@pytest.mark.parametrize("source", ["asserted = 1", "x = 1  # assert", "print(x)"])
def test_word_that_only_looks_like_an_assertion_does_not_count(source: str) -> None:
    assert problems(("measure()", IGNORED), (source, {})) == [UNASSERTED]


def test_last_cell_of_a_notebook_cannot_be_ignored() -> None:
    assert problems(("measure()", IGNORED)) == [UNASSERTED]


def test_text_and_empty_cells_between_the_two_are_passed_over() -> None:
    notebook = new_notebook(
        cells=[
            new_code_cell("measure()", metadata=IGNORED, execution_count=1),
            new_markdown_cell("What it claims."),
            new_code_cell(" \n"),
            new_code_cell("assert fast", execution_count=2),
        ]
    )
    assert list(notebooks.problems(notebook)) == []


@pytest.mark.parametrize(
    "marker",
    [
        "nbval-skip",
        "nbval-raises-exception",
        "raises-exception",
        "pytest-validate-ignore-output",
    ],
)
def test_other_words_to_nbval_are_refused_as_tags(marker: str) -> None:
    assert problems(("assert fast", {"tags": [marker]})) == [
        f"cell 0: carries {marker}; only the tag nbval-ignore-output may be used"
    ]


@pytest.mark.parametrize("marker", ["NBVAL_IGNORE_OUTPUT", "NBVAL_SKIP"])
def test_words_to_nbval_are_refused_as_comments(marker: str) -> None:
    assert problems((f"x = 1\n  # {marker}\nprint(x)", {})) == [
        f"cell 0: carries {marker}; only the tag nbval-ignore-output may be used"
    ]


def test_tags_that_are_not_for_nbval_are_welcome() -> None:
    assert problems(("print(1)", {"tags": ["hide-input", "remove-cell"]})) == []


def test_no_chapter_has_one_of_these_problems() -> None:
    for path in sorted(ROOT.glob("book/*/*.ipynb")):
        found = notebooks.problems(nbformat.read(path, as_version=4))
        assert not [problem for problem in found if "nbval" in problem], path
