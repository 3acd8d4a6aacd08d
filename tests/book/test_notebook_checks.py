"""The checks of the stored notebooks, each on one that was spoiled on purpose."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from .conftest import ROOT


def load(name: str, folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "book" / folder / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notebooks = load("notebooks", "_tools")


def good() -> Any:
    figure = new_output(
        "display_data", {"text/plain": "<Figure size 640x340 with 1 Axes>"}
    )
    cells = [
        new_code_cell("x = 1", execution_count=1),
        new_code_cell(
            "plt.show()",
            execution_count=2,
            outputs=[figure],
            metadata={"mystnb": {"image": {"alt": "A line that falls."}}},
        ),
        new_code_cell(
            "time_it()", execution_count=3, metadata={"tags": ["nbval-ignore-output"]}
        ),
        new_code_cell("assert fast", execution_count=4),
        new_code_cell(
            "print(x)", execution_count=5, outputs=[new_output("stream", text="1\n")]
        ),
    ]
    return new_notebook(cells=cells)


def clear(notebook: Any) -> None:
    for cell in notebook.cells:
        cell.outputs, cell.execution_count = [], None


def skip_a_number(notebook: Any) -> None:
    notebook.cells[4].execution_count = 7


def store_an_image(notebook: Any) -> None:
    notebook.cells[1].outputs[0].data["image/png"] = "iVBORw0KGgo="


def store_html(notebook: Any) -> None:
    notebook.cells[1].outputs[0].data["text/html"] = "<table></table>"


def store_a_path(notebook: Any) -> None:
    notebook.cells[4].outputs[0].text = "/home/ada/adam/book\n"


def store_an_address(notebook: Any) -> None:
    notebook.cells[4].outputs[0].text = "<Line2D object at 0x7f3a5c0a1b20>\n"


def store_a_time(notebook: Any) -> None:
    notebook.cells[4].outputs[0].text = "done at 12:34:56\n"


def store_an_error(notebook: Any) -> None:
    error = new_output("error", ename="ValueError", evalue="no", traceback=[])
    notebook.cells[4].outputs = [error]


def drop_the_assertion(notebook: Any) -> None:
    notebook.cells[3].source = "print('fast')"


def drop_the_description(notebook: Any) -> None:
    notebook.cells[1].metadata = {}


SPOILED: dict[str, Callable[[Any], None]] = {
    "was not executed": clear,
    "has execution count 7, expected 5": skip_a_number,
    "what only the site shows is stored (image/png)": store_an_image,
    "what only the site shows is stored (text/html)": store_html,
    "a path or address of one machine is stored: '/home/a'": store_a_path,
    "a path or address of one machine is stored: 'at 0x": store_an_address,
    "a time is stored: '12:34:56'": store_a_time,
    "an error is stored: ValueError: no": store_an_error,
    "the next cell asserts nothing": drop_the_assertion,
    "a figure without alternative text": drop_the_description,
}


def test_a_good_notebook_has_no_problem() -> None:
    assert list(notebooks.problems(good())) == []


@pytest.mark.parametrize("message", SPOILED)
def test_a_spoiled_notebook_is_found_out(message: str) -> None:
    notebook = good()
    SPOILED[message](notebook)
    found = list(notebooks.problems(notebook))
    assert any(message in problem for problem in found), found


def test_cleaning_takes_out_images_and_keeps_text() -> None:
    notebook = good()
    store_an_image(notebook)
    notebooks.clean(notebook)
    assert notebook.cells[1].outputs[0].data == {
        "text/plain": "<Figure size 640x340 with 1 Axes>"
    }


def test_every_chapter_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    chapters = sorted(ROOT.glob("book/*/*.ipynb"))
    assert len(chapters) >= 5
    for path in chapters:
        assert path.relative_to(ROOT).with_suffix("").as_posix() in contents
