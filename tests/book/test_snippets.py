"""Programs that a page shows from files are shown whole, and all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from lengths import HIDDEN

from .conftest import ROOT

SHOWN = {
    "use_it_in": "tests/clients/snippets/*.py",
    "the_usual_article": "adam_tutorial/study/programs/*.py",
}
# So many fit side by side: book.css.
COLUMNS = 54
INCLUDED = re.compile(r"```\{literalinclude\} (\S+)\n((?::.*\n)*)```")


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_shows_each_program_that_the_tests_run_and_shows_it_whole(
    name: str,
) -> None:
    page = ROOT / "book/answers" / f"{name}.ipynb"
    text = "\n".join(
        cell.source
        for cell in nbformat.read(page, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    found = INCLUDED.findall(text)
    shown = {(page.parent / file).resolve() for file, _ in found}
    programs = ROOT.glob(SHOWN[name])
    assert shown == {path for path in programs if path.stem != "__init__"}
    assert {options for _, options in found} == {":language: python\n"}


def test_programs_side_by_side_are_narrow_enough_for_it() -> None:
    for program in ROOT.glob(SHOWN["the_usual_article"]):
        lines = program.read_text(encoding="utf-8").splitlines()
        assert max(map(len, lines)) <= COLUMNS, program.name


def test_what_is_in_view_in_fifteen_minutes_runs_alone_and_prints_the_same(
    tmp_path: Path,
) -> None:
    page = ROOT / "book/start/adam_in_fifteen_minutes.ipynb"
    program, printed = [], ""
    for cell in nbformat.read(page, as_version=4).cells:
        if cell.cell_type == "code" and not HIDDEN & set(cell.metadata.get("tags", [])):
            program.append(cell.source)
            printed += "".join(output.get("text", "") for output in cell.outputs)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.stdout, done.stderr) == (printed, "")
