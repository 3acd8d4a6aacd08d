"""Handouts hold the exercises, and what checks an answer, but no solution."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import handouts
import nbformat
import pytest
from handouts import asked, chapter_numbers, handout
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from plain_roles import plain, sources_of

from .conftest import ROOT

CHAPTERS = sorted(ROOT.glob("book/*/*.ipynb"))
SOURCES = sources_of(ROOT / "book/references.bib")

TEXT = """\
Before it.

## Exercises

:::{exercise} Twice
:label: ex-twice
:level: easy
:minutes: 5

What is twice $x$? {claim}`cell:x`
:::

:::{solution-start} ex-twice
:class: dropdown
:::

It is $2x$, of course.
"""
SOLUTION = """\
x = 3
# Answer
secret = 2


def twice(number):
    return secret * number


y = twice(x)
# Check
assert y == 6
assert twice(5) == 10"""
END = "As one sees.\n\n:::{solution-end}\n:::\n\nBehind it."


def chapter(solution: str = SOLUTION) -> Any:
    new = nbformat.v4
    return new.new_notebook(
        cells=[
            new.new_code_cell("import math"),
            new.new_markdown_cell(TEXT),
            new.new_code_cell(solution),
            new.new_markdown_cell(END),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )


def sources(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells]


def run(cells: list[str]) -> None:
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells]
    )
    NotebookClient(made, kernel_name="python3").execute()


def test_a_handout_has_the_exercise_and_the_check_but_not_the_solution() -> None:
    assert sources(handout(chapter(), 4, SOURCES)) == [
        "import math",
        "Before it.\n\n## Exercises\n\n"
        "**Exercise 4.1: Twice** (easy, 5 minutes)\n\nWhat is twice $x$?",
        "x = 3\n\ndef twice(number):\n    ...  # your answer\n\ny = ...  # your answer",
        "# Check\nassert y == 6\nassert twice(5) == 10",
        "Behind it.",
    ]


def test_without_a_check_there_is_an_empty_cell() -> None:
    made = sources(handout(chapter("print(2)"), None, SOURCES))
    assert "**Exercise 1: Twice**" in made[1]
    assert made[2:] == ["", "Behind it."]


def test_a_check_passes_a_right_answer_and_no_other() -> None:
    given, check = asked([SOLUTION])
    assert "secret" not in given
    right = "x = 3\ndef twice(number):\n    return number + number\ny = 6"
    run([right, check])
    wrong = right.replace("number + number", "number + 3")
    for answer in (given, wrong):
        with pytest.raises(CellExecutionError):
            run([answer, check])


def test_what_stands_before_the_answer_is_given() -> None:
    solution = "a = 3\nb = 4\n# Answer\nc = a * b\n# Check\nassert c == 12"
    given, _ = asked([solution])
    assert given == "a = 3\nb = 4\nc = ...  # your answer"


def test_of_a_class_the_methods_are_to_be_filled_in() -> None:
    given, _ = asked(
        [
            "class A(list):\n    x = 1\n\n    @property\n    def two(self):\n"
            "        return 2\n\n    def three(self):\n        return 3",
            "# Check\nassert A().two == 2",
        ]
    )
    assert given == (
        "class A(list):\n\n    @property\n    def two(self):\n"
        "        ...  # your answer\n\n    def three(self):\n"
        "        ...  # your answer"
    )


@pytest.mark.parametrize(
    "solution", ["y = 2\n# Check\nassert True", "y = 2\n# Check\ny = 3\nassert y"]
)
def test_a_check_that_needs_no_answer_is_refused(solution: str) -> None:
    with pytest.raises(ValueError, match="needs nothing of the answer"):
        handout(chapter(solution), 1, SOURCES)


def test_a_solution_without_an_end_is_refused() -> None:
    open_end = chapter()
    open_end.cells.pop()
    with pytest.raises(ValueError, match="has no end"):
        handout(open_end, 1, SOURCES)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_handout_of_a_chapter_has_all_its_exercises_and_no_solution(
    path: Path,
) -> None:
    notebook = nbformat.read(path, as_version=4)
    made = handout(notebook, 7, SOURCES)
    nbformat.validate(made)
    text = "\n".join(sources(notebook))
    titles = re.findall(r"^:::\{exercise\} (.+)$", text, re.MULTILINE)
    shown = re.findall(
        r"^\*\*Exercise 7\.(\d+): (.+)\*\* \((?:easy|medium|hard), \d+ minutes\)$",
        "\n".join(sources(made)),
        re.MULTILINE,
    )
    assert shown == [(str(n), title) for n, title in enumerate(titles, start=1)]
    for cell, following in zip(made.cells, made.cells[1:], strict=False):
        assert not re.search(r"\{(exercise|solution|claim)[}-]", cell.source)
        if cell.cell_type == "markdown":
            assert not re.search(r"\{[a-z]+(:[a-z]+)?\}`", cell.source)
        assert not cell.get("outputs")
        if "**Exercise " in cell.source:
            assert following.cell_type == "code"
    # The words of the solutions are gone.
    words = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    for solution in re.findall(
        r":::\{solution-start\}.*?:::\{solution-end\}", words, re.DOTALL
    ):
        for line in filter(None, solution.split("\n")[3:-1]):
            assert line not in "\n".join(sources(made))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_handout_uses_no_name_that_only_a_solution_defines(path: Path) -> None:
    made = handout(nbformat.read(path, as_version=4), 1, SOURCES)
    code = "\n".join(cell.source for cell in made.cells if cell.cell_type == "code")
    options = ["--isolated", "--quiet", "--select=F821", "--output-format=concise", "-"]
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *options],
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )
    # What IPython brings along.
    lines = found.stdout.splitlines()
    assert [line for line in lines if "`display`" not in line] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("of {cite:t}`kingma2015adam`.", "of Kingma and Ba (2015)."),
        ("found {cite:p}`kingma2015adam`.", "found (Kingma and Ba, 2015)."),
        (
            "{cite:p}`reddi2018convergence,bottou2018optimization`",
            "(Reddi et al., 2018; Bottou et al., 2018)",
        ),
        ("By {eq}`adam-update`, {ref}`ex-a`", "By (adam-update), (ex-a)"),
        ("its {ref}`variance <needed-variance>` is", "its variance is"),
        ("{py:mod}`adam_tutorial.checkpoint`", "`adam_tutorial.checkpoint`"),
        ("`{cite:t}` is a role, {a}", "`{cite:t}` is a role, {a}"),
    ],
)
def test_citations_and_references_are_written_out(text: str, shown: str) -> None:
    assert plain(text, SOURCES) == shown


def test_an_author_may_have_two_last_names_or_many_colleagues() -> None:
    assert SOURCES["gonzalezortiz2026flashoptim"][0].startswith("Gonzalez Ortiz")
    assert SOURCES["brown2020language"] == ("Brown et al.", "2020")


def test_there_are_checks() -> None:
    made = [handout(nbformat.read(path, as_version=4), 1, SOURCES) for path in CHAPTERS]
    found = [source for one in made for source in sources(one)]
    assert sum(source.startswith("# Check") for source in found) >= 20


def test_chapters_are_counted_through_the_numbered_parts(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text(
        "parts:\n"
        "  - chapters: [{file: start}]\n"
        "  - numbered: 1\n    chapters: [{file: a}, {file: b}]\n"
        "  - numbered: 1\n    chapters: [{file: c}]\n"
    )
    assert chapter_numbers(tmp_path / "_toc.yml") == {"a": 1, "b": 2, "c": 3}


def test_all_are_written_and_those_of_before_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "book/adam").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text(
        "parts: [{numbered: 1, chapters: [{file: book/adam/a}]}]"
    )
    nbformat.write(chapter(), tmp_path / "book/adam/a.ipynb")
    (tmp_path / "book/references.bib").touch()
    target = tmp_path / "_build/handouts"
    target.mkdir(parents=True)
    (target / "old.ipynb").touch()
    monkeypatch.setattr(handouts, "ROOT", tmp_path)
    monkeypatch.setattr(handouts, "HANDOUTS", target)
    handouts.main()
    assert [path.name for path in target.rglob("*.ipynb")] == ["a.ipynb"]
    assert "1 exercises, 1 with a check" in capsys.readouterr().out
