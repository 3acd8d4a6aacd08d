"""Write the chapters as handouts: exercises without their solutions, with checks.

``python book/_tools/handouts.py`` writes ``_build/handouts``, in the folders of the
chapters, so that links between them lead on.

A solution is the cells between ``solution-start`` and ``solution-end``. Two lines in
its code say what a handout takes from it::

    usual = initialise(...)
    # Answer
    gentle = [*usual[:2], usual[2] * 0.05, usual[3]]
    # Check
    assert ...

What stands before the first is given to the student, what stands behind the second is
the check. Of what is between them the handout keeps the names that the check needs:
``gentle = ...``, and of a function or class its first line. Without a check the student
gets an empty cell. Citations and references are written out, since Jupyter shows the
roles of Sphinx as they stand in the source.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml

from plain_roles import plain, sources_of
from running import BUILD, ROOT

HANDOUTS = BUILD / "handouts"
ANSWER, CHECK = "# Answer", "# Check"

EXERCISE = re.compile(
    r"^:::\{exercise\} (?P<title>.+)\n(?P<options>(?::[a-z]+: .+\n)*)"
    r"(?P<text>(?:(?!:::).*\n)*):::$",
    re.MULTILINE,
)
OPTION = re.compile(r"^:([a-z]+): (.+)$", re.MULTILINE)
BEGIN = re.compile(
    r"^:::\{solution-start\} (?P<label>.+)\n(?::.*\n)*:::$", re.MULTILINE
)
END = ":::{solution-end}\n:::"
CLAIM = re.compile(r" ?\{claim\}`[^`]*`")
# A heading that says what it is, in any notebook.
SHOWN = "**Exercise {number}: {title}** ({level}, {minutes} minutes)\n\n{text}"


def chapter_numbers(toc: Path) -> dict[str, int]:
    """Return the number of each chapter, by the name of its file without suffix."""
    parts = yaml.safe_load(toc.read_text(encoding="utf-8"))["parts"]
    files = [
        chapter["file"]
        for part in parts
        if part.get("numbered")
        for chapter in part["chapters"]
    ]
    return {file: number for number, file in enumerate(files, start=1)}


def handout(
    notebook: Any, chapter: int | None, sources: Mapping[str, tuple[str, str]]
) -> Any:
    """Return a notebook as students get it.

    Parameters
    ----------
    notebook : NotebookNode
        A chapter.
    chapter : int or None
        Its number, which goes before that of each exercise.
    sources : mapping
        Authors and year of what is cited, by its key.

    Raises
    ------
    ValueError
        If a solution does not end, or has a check that checks no answer.
    """
    cells: list[Any] = []
    solution: list[str] | None = None
    count = 0

    def number(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        place = f"{chapter}.{count}" if chapter else str(count)
        options = dict(OPTION.findall(match["options"]))
        return SHOWN.format(
            number=place,
            title=match["title"],
            level=options["level"],
            minutes=options["minutes"],
            text=match["text"].strip(),
        )

    def write(text: str) -> None:
        text = plain(CLAIM.sub("", EXERCISE.sub(number, text)).strip(), sources)
        if text:
            cells.append(nbformat.v4.new_markdown_cell(text))

    for cell in notebook.cells:
        if cell.cell_type == "code":
            if solution is None:
                metadata = {
                    key: value
                    for key, value in cell.metadata.items()
                    if key != "figure"
                }
                cells.append(nbformat.v4.new_code_cell(cell.source, metadata=metadata))
            else:
                solution.append(cell.source)
            continue
        text = cell.source
        while text:
            if solution is not None:
                _, end, text = text.partition(END)
                if end:
                    cells += [
                        nbformat.v4.new_code_cell(part) for part in asked(solution)
                    ]
                    solution = None
            elif begin := BEGIN.search(text):
                write(text[: begin.start()])
                text, solution = text[begin.end() :], []
            else:
                write(text)
                text = ""
    if solution is not None:
        raise ValueError("a solution has no end")
    for place, cell in enumerate(cells):
        # Of notebooks with the same chapters, the same cells have the same names.
        cell.id = f"handout-{place}"
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def asked(solution: Sequence[str]) -> list[str]:
    """Return the code cells that a handout has in the place of a solution's.

    Raises
    ------
    ValueError
        If the check uses nothing that the answer defines.
    """
    lines = "\n".join(solution).split("\n")
    if CHECK not in lines:
        return [""]
    end = lines.index(CHECK)
    begin = lines.index(ANSWER) if ANSWER in lines else 0
    given, answer = "\n".join(lines[:begin]), "\n".join(lines[begin:end])
    check = "\n".join(lines[end:])
    stub = "\n".join(stubs(answer, check))
    return [f"{given}\n{stub}".strip(), check.strip()]


def stubs(answer: str, check: str) -> Iterator[str]:
    """Yield the beginning of what an answer defines and a check needs.

    Raises
    ------
    ValueError
        If that is nothing.
    """
    needed = free_names(check)
    empty = True
    for node in ast.parse(answer).body:
        names = bound_names(node) & needed
        needed -= names
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if names:
                empty = False
                yield from ("", *beginning(node, answer.split("\n")), "")
        else:
            for name in sorted(names):
                empty = False
                yield f"{name} = ...  # your answer"
    if empty:
        raise ValueError(f"a check needs nothing of the answer:\n{check}")


def beginning(node: ast.stmt, lines: Sequence[str]) -> Iterator[str]:
    """Yield the first lines of a function, or of a class and each of its methods."""
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    yield from lines[node.lineno - 1 : node.body[0].lineno - 1]
    if isinstance(node, ast.FunctionDef):
        yield f"{' ' * node.body[0].col_offset}...  # your answer"
        return
    for place, part in enumerate(node.body):
        if isinstance(part, ast.FunctionDef):
            yield from [""] * (place > 0)
            yield from (lines[one.lineno - 1] for one in part.decorator_list)
            yield from beginning(part, lines)


def free_names(code: str) -> set[str]:
    """Return the names that a program uses, and does not define before."""
    bound: set[str] = set()
    free: set[str] = set()
    for node in ast.parse(code).body:
        loops = [
            one.target
            for one in ast.walk(node)
            if isinstance(one, ast.For | ast.comprehension)
        ]
        own = {
            one.id
            for target in loops
            for one in ast.walk(target)
            if isinstance(one, ast.Name)
        }
        used = {
            one.id
            for one in ast.walk(node)
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
        }
        free |= used - own - bound
        bound |= bound_names(node)
    return free


def bound_names(node: ast.stmt) -> set[str]:
    """Return the names that a statement defines in the notebook."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }


def main() -> None:
    """Write all handouts, in the place of those of before."""
    numbers = chapter_numbers(ROOT / "_toc.yml")
    sources = sources_of(ROOT / "book/references.bib")
    shutil.rmtree(HANDOUTS, ignore_errors=True)
    exercises = checks = 0
    for path in sorted((ROOT / "book").glob("*/*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        try:
            made = handout(notebook, numbers.get(name), sources)
        except ValueError as error:
            sys.exit(f"{name}: {error}")
        target = HANDOUTS / path.relative_to(ROOT / "book")
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(made, target)
        exercises += sum(cell.source.count("**Exercise ") for cell in made.cells)
        checks += sum(cell.source.startswith(CHECK) for cell in made.cells)
    print(
        f"{exercises} exercises, {checks} with a check, in {HANDOUTS.relative_to(ROOT)}"
    )


if __name__ == "__main__":
    main()
