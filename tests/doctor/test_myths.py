"""The chapter's table of who finds what has its entries, and names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from adam_tutorial.checking import MISTAKES
from adam_tutorial.checking.mistakes import DECAY_MISTAKES, NO_MAXIMUM
from adam_tutorial.doctor import FINDINGS
from tests.checking.test_mistakes import PROGRAMS

TESTS = Path(__file__).parents[1]
CHAPTER = Path(__file__).parents[2] / "book/depth/myths_and_mistakes.ipynb"
REMARKS = {"eps in float16", "weight decay"}


def cells() -> list[str]:
    notebook = nbformat.read(CHAPTER, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def rows() -> dict[int, list[str]]:
    text = "\n".join(cells())
    table = text.split("## Which mistakes are found")[1].split("\n## ")[0]
    table = re.sub(r" \{claim\}`[^`]*`", "", table)
    return {
        int(number): [cell.strip() for cell in rest.split("|")]
        for number, rest in re.findall(r"^\| (\d+) \|(.+)\|$", table, re.MULTILINE)
    }


def names(cell: str) -> set[str]:
    return set() if cell == "–" else set(cell.split("; "))


def test_the_table_has_a_row_for_each_entry_of_the_chapter() -> None:
    numbered = re.findall(r"^### (\d+)\. ", "\n".join(cells()), re.MULTILINE)
    assert list(rows()) == list(map(int, numbered)) != []


def test_the_names_are_those_that_are_reported() -> None:
    known = {mistake.name for mistake in (*MISTAKES, NO_MAXIMUM)}
    known |= {*DECAY_MISTAKES.values(), *REMARKS}
    for checker, doctor, _why in rows().values():
        assert names(checker) <= known
        assert names(doctor) <= FINDINGS.keys()


def test_each_name_is_that_of_a_fault_which_a_test_finds() -> None:
    by = {
        folder: "".join(p.read_text(encoding="utf-8") for p in TESTS.glob(pattern))
        for folder, pattern in (
            ("checking", "checking/test_*.py"),
            ("doctor", "doctor/test_[fr]a*.py"),
        )
    }
    programs = tuple(name for name, _, _ in PROGRAMS)
    for checker, doctor, _why in rows().values():
        for name in names(checker):
            assert name.startswith(programs) or f'"{name}"' in by["checking"]
        for name in names(doctor):
            assert f'"{name}"' in by["doctor"]


def test_what_neither_finds_has_a_reason() -> None:
    for checker, doctor, why in rows().values():
        assert why or (names(checker) and names(doctor))
