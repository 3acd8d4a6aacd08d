"""The tests' execution of a chapter is the one that the site shows.

The tools are copied into a repository of their own, whose chapters are tried.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from .conftest import ROOT

TOOLS = ROOT / "book/_tools"
FIGURE = """\
from IPython.display import display

class Figure:
    def _repr_mimebundle_(self, include=None, exclude=None):
        assert os.environ["ADAM_TUTORIAL_FIGURES"] == "svg"
        return {"text/plain": "<Figure>", "image/svg+xml": "<svg/>"}

display(Figure())"""


def chapter(*cells: tuple[str, list[Any]], **metadata: Any) -> Any:
    """Return a notebook with these sources and outputs, as it is stored."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    code = [
        new_code_cell(source, execution_count=count, outputs=outputs, metadata=metadata)
        for count, (source, outputs) in enumerate(cells, start=1)
    ]
    return new_notebook(
        cells=[new_markdown_cell("# A chapter"), *code],
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}},
    )


def printed(text: str) -> Any:
    return new_output("stream", name="stdout", text=text)


CHAPTERS = {
    "whole": chapter(
        ("x = 6\nprint(x)", [printed("6\n")]),
        ("import os\nprint(os.listdir())", [printed("[]\n")]),
        (FIGURE, [new_output("display_data", {"text/plain": "<Figure>"})]),
        (
            "x * 7",
            [new_output("execute_result", {"text/plain": "42"}, execution_count=4)],
        ),
        (
            "import sys\nprint(x)\nprint('err', file=sys.stderr)\nprint('and', x)",
            [
                printed("6\nand 6\n"),
                new_output("stream", name="stderr", text="err\n"),
            ],
        ),
        (
            "1 / 0",
            [new_output("error", ename="ZeroDivisionError", evalue="division by zero")],
        ),
        tags=["raises-exception"],
    ),
    "differs": chapter(("print(1)", [printed("2\n")]), ("y = 3", [])),
    "has_a_neighbour": chapter(("print(open('data.txt').read())", [printed("here\n")])),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small repository whose chapters were compared."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(TOOLS, root / "book/_tools")
    (root / "adam_tutorial").mkdir()
    part = root / "book/part"
    part.mkdir()
    (part / "data.txt").write_text("here")
    for name, notebook in CHAPTERS.items():
        nbformat.write(notebook, part / f"{name}.ipynb")
    (root / "log").write_text(
        subprocess.run(
            [sys.executable, "book/_tools/compare.py", *part.glob("*.ipynb")],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    )
    return root


@pytest.fixture
def tools(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, ModuleType]]:
    """Import the tools of a copy of the repository."""
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy)
    monkeypatch.syspath_prepend(copy / "book/_tools")
    names = ("running", "execution", "notebooks", "build")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {name: __import__(name) for name in names}
    for name in names:
        del sys.modules[name]


def outputs(notebook: Any) -> list[Any]:
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_what_differs_or_does_not_run_alone_fails(repository: Path) -> None:
    log = (repository / "log").read_text()
    assert "2 failed, 7 passed" in log
    assert "differs.ipynb::Cell 0" in log
    assert "No such file or directory: 'data.txt'" in log


def test_only_a_chapter_that_passed_reaches_the_site(
    tools: dict[str, ModuleType],
) -> None:
    execution = tools["execution"]
    executed = execution.Executed(execution.digest())
    assert [path.stem for path in execution.chapters() if executed.holds(path)] == []
    executed.take_in()
    assert [path.stem for path in execution.chapters() if executed.holds(path)] == [
        "whole"
    ]
    assert executed.count() == 1
    assert not list(executed.inbox.rglob("*.ipynb"))


def test_the_site_gets_what_the_build_would_have_executed(
    tools: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = tools["execution"]
    executed = execution.Executed(execution.digest())
    executed.take_in()
    path = execution.ROOT / "book/part/whole.ipynb"
    notebook = nbformat.read(path, as_version=4)
    _, shown = execution.get_cache(executed.folder).merge_match_into_notebook(notebook)
    for name, value in tools["running"].environment().items():
        monkeypatch.setenv(name, value)
    tools["notebooks"].execute(notebook)
    assert outputs(shown) == outputs(notebook)
    assert "image/svg+xml" in outputs(shown)[2][0].data
    traceback = tools["notebooks"].plain("".join(outputs(shown)[5][0].traceback))
    assert "Cell In[6], line 1" in traceback


def test_a_chapter_that_was_changed_is_executed_anew(
    tools: dict[str, ModuleType],
) -> None:
    execution = tools["execution"]
    executed = execution.Executed(execution.digest())
    executed.take_in()
    path = execution.ROOT / "book/part/whole.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "# Text is not executed"
    nbformat.write(notebook, path)
    assert executed.holds(path)
    notebook.cells[1].source = "x = 7"
    nbformat.write(notebook, path)
    assert not executed.holds(path)


def test_what_was_executed_with_another_package_is_forgotten(
    tools: dict[str, ModuleType],
) -> None:
    execution = tools["execution"]
    before = execution.digest()
    (execution.ROOT / "adam_tutorial/new.py").write_text("x = 1\n")
    assert execution.digest() != before
    executed = execution.Executed(execution.digest())
    executed.take_in()
    assert executed.count() == 0
    assert execution.Executed(before).folder.exists()
    executed.forget_others()
    assert not execution.Executed(before).folder.exists()


def test_a_build_that_must_not_execute_says_what_is_missing(
    tools: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tools["build"].main(["--execute-nothing"]) == 1
    assert "differs.ipynb, book/part/has_a_neighbour.ipynb" in capsys.readouterr().err


def test_a_site_that_is_ready_is_written_anew_only_if_something_changed(
    tools: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tools["build"]
    page, written = build.SITE / "index.html", []

    def write_pages(*_: Any, **__: Any) -> int:
        written.append(page)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("a page")
        return 0

    # What is packed is every source.
    sources = ["first"]
    monkeypatch.setattr(build, "chapters", list)
    monkeypatch.setattr(build, "write_pages", write_pages)
    monkeypatch.setattr(build, "pack", lambda: sources[0])
    monkeypatch.setattr(build, "publish", lambda: None)
    for expected in (1, 1):
        assert build.main([]) == 0
        assert len(written) == expected
    sources[0] = "second"
    for expected in (2, 2):
        assert build.main([]) == 0
        assert len(written) == expected
    page.unlink()
    for expected in (3, 3):
        assert build.main([]) == 0
        assert len(written) == expected


def test_a_source_that_was_written_during_a_build_is_not_taken_for_built(
    tools: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tools["build"]
    states = iter(["before", "after", "after", "after"])
    calls = []
    monkeypatch.setattr(build, "chapters", list)

    def write_pages(*_: Any, **__: Any) -> int:
        calls.append("write")
        return 0

    monkeypatch.setattr(build, "write_pages", write_pages)
    monkeypatch.setattr(build, "pack", lambda: next(states))
    monkeypatch.setattr(build, "publish", lambda: None)
    for _ in range(3):
        assert build.main([]) == 0
    assert len(calls) == 2
