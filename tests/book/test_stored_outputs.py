"""What is looked for in stored outputs, and where."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from .test_notebook_checks import notebooks


def problems(output: Any, metadata: dict[str, Any] | None = None) -> list[str]:
    cell = new_code_cell(
        "show()", outputs=[output], metadata=metadata or {}, execution_count=1
    )
    return list(notebooks.problems(new_notebook(cells=[cell])))


MACHINE = "a path or address of one machine is stored"
MARKS = {
    **{
        f"/{root}/ada": MACHINE
        for root in ("home", "root", "Users", "tmp", "work", "usr", "opt", "var")
    },
    "C:\\Users": MACHINE,
    "<A at 0x7f0012ab>": MACHINE,
    "12:34:56": "a time is stored",
    "2024-05-01": "a time is stored",
    "10.2it/s]": "a time is stored",
}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("place", ["stream", "text/plain", "text/markdown"])
def test_mark_of_a_machine_or_a_clock_is_found_in_every_output(
    mark: str, place: str
) -> None:
    text = f"see {mark} there"
    if place == "stream":
        output = new_output("stream", text=text)
    else:
        output = new_output("execute_result", {place: text}, execution_count=1)
    (problem,) = problems(output)
    assert MARKS[mark] in problem


@pytest.mark.parametrize(
    "text", ["a/b and 1e-08", "at 0x12", "3:45", "D:E", "1999-5-1"]
)
def test_numbers_and_fractions_are_no_marks(text: str) -> None:
    assert problems(new_output("stream", text=text)) == []


@pytest.mark.parametrize("alternative", [None, "", "  \n"])
def test_figure_without_words_is_found(alternative: str | None) -> None:
    figure = new_output("display_data", {"text/plain": "<Figure size 640x340>"})
    image = {} if alternative is None else {"alt": alternative}
    (problem,) = problems(figure, {"mystnb": {"image": image}})
    assert "shows a figure without alternative text" in problem


@pytest.mark.parametrize("kind", ["display_data", "execute_result"])
def test_cleaning_leaves_no_metadata_no_html_and_no_image(kind: str) -> None:
    data = dict.fromkeys(
        ["image/png", "image/jpeg", "image/svg+xml", "application/pdf", "text/html"],
        "x",
    )
    more = {"execution_count": 1} if kind == "execute_result" else {}
    output = new_output(kind, {**data, "text/plain": "1"}, metadata={"a": 1}, **more)
    stream = new_output("stream", text="2\n")
    cell = new_code_cell("show()", outputs=[output, stream], execution_count=1)
    notebook = new_notebook(
        cells=[cell], metadata={"language_info": {"name": "python", "version": "3"}}
    )
    notebooks.clean(notebook)
    assert output.data == {"text/plain": "1"}
    assert output.metadata == {}
    assert stream.text == "2\n"
    assert notebook.metadata.language_info == {"name": "python"}
