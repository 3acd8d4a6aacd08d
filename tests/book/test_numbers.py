"""Exercises and figures are counted by chapter, and say what they must."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .conftest import ROOT
from .tiny_book import quiet, warnings_of

EXERCISE = """\
:::{exercise} LABEL
:label: ex-LABEL
:level: easy
:minutes: 5

What is it?
:::

:::{solution} ex-LABEL
This.
:::
"""
NUMBERED = re.compile(
    r'id="(ex-[\w-]+)">\s*<p class="admonition-title">'
    r'<span class="caption-number">Exercise ([\d.]+) ?</span>'
)
SVG = '<?xml version="1.0"?>\n<svg viewBox="0 0 {} 9" xmlns="http://www.w3.org/2000/svg"/>\n'
ALT = "The loss falls from 0.9 to 0.1. Then it stays."


def exercises(*labels: str) -> str:
    return "\n".join(EXERCISE.replace("LABEL", label) for label in labels)


def toctree(*names: str, numbered: bool = False) -> str:
    option = ":numbered: 1\n" if numbered else ""
    return f"```{{toctree}}\n{option}" + "\n".join(names) + "\n```\n"


def build(
    folder: Path,
    nb_execution_mode: str = "off",
    extensions: Sequence[str] = (),
    **settings: Any,
) -> str:
    return warnings_of(
        folder,
        nb_execution_mode=nb_execution_mode,
        extensions=[
            "myst_nb",
            "sphinx_exercise",
            "exercises",
            "figures",
            "figure_names",
            *extensions,
        ],
        myst_enable_extensions=["colon_fence", "dollarmath"],
        numfig_format={"figure": "Figure %s"},
        # Of its own: what extensions add to the default stays in the process.
        source_suffix={".md": "myst-nb", ".ipynb": "myst-nb"},
        **settings,
    )


def numbers(folder: Path, page: str) -> list[tuple[str, str]]:
    return NUMBERED.findall((folder / f"out/{page}.html").read_text())


@quiet
def test_exercises_count_by_chapter_and_elsewhere_by_page(tmp_path: Path) -> None:
    texts = {
        "index": "# Book\n\n"
        + toctree("one", "two", numbered=True)
        + toctree("three", "four"),
        "one": "# One\n\n" + exercises("a", "b"),
        "two": "# Two\n\nAs in {ref}`ex-b` and {ref}`ex-f`.\n\n" + exercises("c"),
        "three": "# Three\n\n" + exercises("d", "e"),
        "four": "# Four\n\n" + exercises("f"),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.md").write_text(text)
    assert build(tmp_path) == ""
    assert numbers(tmp_path, "one") == [("ex-a", "1.1"), ("ex-b", "1.2")]
    assert numbers(tmp_path, "two") == [("ex-c", "2.1")]
    assert numbers(tmp_path, "three") == [("ex-d", "1"), ("ex-e", "2")]
    assert numbers(tmp_path, "four") == [("ex-f", "1")]
    two = (tmp_path / "out/two.html").read_text()
    assert re.findall(r">As in .*?Exercise ([\d.]+)<.*Exercise ([\d.]+)<", two) == [
        ("1.2", "1")
    ]
    assert 'class="exercise-effort">easy, 5 minutes<' in two


@quiet
def test_exercises_are_listed_with_their_minutes_and_added_up(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text(
        "# Book\n\n" + toctree("one", "two", numbered=True) + "\nDo "
        "{exercises}`ex-c, ex-a`.\n\n```{exercise-index}\n```\n"
    )
    (tmp_path / "one.md").write_text("# One\n\n" + exercises("a", "b"))
    harder = exercises("c").replace("easy", "hard").replace("5", "40")
    (tmp_path / "two.md").write_text("# Two\n\n" + harder)
    assert build(tmp_path) == ""
    page = (tmp_path / "out/index.html").read_text()
    text = re.sub(r"<[^>]+>", "", page)
    assert "Do 2.1, 1.1 (45 minutes)." in text
    assert 'href="two.html#ex-c">2.1</a>' in page
    listed = text[text.index("One") :].split("\n")
    assert [line for line in listed if "minutes" in line] == [
        "Do 2.1, 1.1 (45 minutes).",
        "1.1 a: easy, 5 minutes",
        "1.2 b: easy, 5 minutes",
        "2.1 c: hard, 40 minutes",
    ]


@quiet
def test_a_title_that_ends_in_a_formula_is_listed_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text(
        "# Book\n\n" + toctree("one", "two", numbered=True)
    )
    # It is written after the page whose titles it shows.
    (tmp_path / "two.md").write_text("# Two\n\n```{exercise-index}\n```\n")
    asks = exercises("a").replace("} a\n", "} With $x$?\n", 1)
    (tmp_path / "one.md").write_text("# One\n\n" + asks)
    settings: dict[str, Any] = {
        "html_math_renderer": "katex",
        "katex_prerender": True,
    }
    extensions = ["sphinxcontrib.katex", "bound_math"]
    assert build(tmp_path, extensions=extensions, **settings) == ""
    for page in ("one", "two"):
        html = (tmp_path / f"out/{page}.html").read_text()
        text = re.sub(r"<math.*?</math>|<[^>]+>", "", html)
        assert "With x?" in text
        assert "??" not in text


@quiet
def test_an_exercise_that_is_not_there_cannot_be_added(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# Book\n\nDo {exercises}`ex-z`.\n")
    assert "there is no exercise ex-z" in build(tmp_path)


@quiet
@pytest.mark.parametrize("option", ["label", "level", "minutes"])
def test_an_exercise_without_one_of_its_options_stops_the_build(
    tmp_path: Path, option: str
) -> None:
    text = re.sub(rf":{option}:.*\n", "", exercises("a").partition(":::{solution")[0])
    (tmp_path / "index.md").write_text(f"# Book\n\n{text}")
    assert f"the exercise 'a' needs :{option}:" in build(tmp_path)


@quiet
def test_a_level_is_one_of_three(tmp_path: Path) -> None:
    text = exercises("a").replace("easy", "cruel")
    (tmp_path / "index.md").write_text(f"# Book\n\n{text}")
    assert '"cruel" unknown; choose from "easy", "medium", or "hard"' in build(tmp_path)


def notebook(folder: Path, *cells: dict[str, Any], name: str = "adam_derived") -> None:
    """Write a notebook of cells that each show a figure."""
    made = [nbformat.v4.new_markdown_cell("# Adam, derived")]
    for place, metadata in enumerate(cells):
        cell = nbformat.v4.new_code_cell(metadata.pop("source", "plt.show()"))
        alt = metadata.pop("alt", ALT)
        cell.id = f"Cell-{place}"
        cell.metadata = {"mystnb": {"image": {"alt": alt}}, **metadata}
        # No two alike: Jupyter Book would keep one file for both.
        svg = SVG.format(700 + place) + SVG.format(280)
        data = {"image/svg+xml": svg}
        cell.outputs = [nbformat.v4.new_output("display_data", data)]
        made.append(cell)
    book = nbformat.v4.new_notebook(
        cells=made,
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
        },
    )
    (folder / f"{name}.ipynb").write_text(nbformat.writes(book))


def index(folder: Path, *pages: str) -> None:
    (folder / "index.md").write_text(
        "# Book\n\n" + toctree(*pages, numbered=True) + "\n```{figure-index}\n```\n"
    )


@quiet
def test_a_figure_has_number_caption_file_and_a_place_in_the_list(
    tmp_path: Path,
) -> None:
    named = {"name": "bias", "caption": "At $t = 1$ the step is too long."}
    notebook(tmp_path, {}, {"figure": named})
    index(tmp_path, "adam_derived")
    (tmp_path / "text.md").write_text(
        "---\norphan: true\n---\n# Text\n\n{numref}`fig-adam-derived-bias`"
    )
    assert build(tmp_path) == ""
    page = (tmp_path / "out/adam_derived.html").read_text()
    captions = re.findall(
        r'<figure [^>]*id="([^"]+)">.*?<span class="caption-number">([^<]*) </span>'
        r'<span class="caption-text">(.*?)</span><a',
        page,
        re.DOTALL,
    )
    assert captions[0] == (
        "fig-adam-derived-cell-0",
        "Figure 1.1",
        "The loss falls from 0.9 to 0.1.",
    )
    label, number, caption = captions[1]
    assert (label, number) == ("fig-adam-derived-bias", "Figure 1.2")
    assert 'class="math' in caption
    images = {path.name for path in (tmp_path / "out/_images").iterdir()}
    assert images == {
        f"adam-derived-{name}{variant}.svg"
        for name in ("cell-0", "bias")
        for variant in ("", ".dark", ".narrow", ".narrow.dark")
    }
    listed = (tmp_path / "out/index.html").read_text()
    assert 'href="adam_derived.html#fig-adam-derived-bias">Figure 1.2</a>' in listed
    assert 'href="_images/adam-derived-bias.svg"' in listed
    assert "Figure 1.2" in (tmp_path / "out/text.html").read_text()


@quiet
def test_the_name_of_a_file_does_not_depend_on_what_is_drawn_or_stands_before(
    tmp_path: Path,
) -> None:
    found = []
    for before in (0, 1):
        folder = tmp_path / str(before)
        folder.mkdir()
        cells: list[dict[str, Any]] = [{} for _ in range(before)]
        notebook(folder, *cells, {"figure": {"name": "bias"}})
        index(folder, "adam_derived")
        assert build(folder) == ""
        found.append((folder / "out/_images/adam-derived-bias.svg").read_text())
    assert found[0] != found[1]


@quiet
@pytest.mark.parametrize(
    ("cells", "warning"),
    [
        ([{"figure": {"name": "The Bias"}}], "a figure needs a name"),
        ([{"alt": ""}], "and a caption"),
        ([{"figure": {"name": "a"}}] * 2, "two figures of the name adam-derived-a"),
    ],
)
def test_a_name_that_cannot_be_stops_the_build(
    tmp_path: Path, cells: list[dict[str, Any]], warning: str
) -> None:
    notebook(tmp_path, *[dict(cell) for cell in cells])
    index(tmp_path, "adam_derived")
    assert warning in build(tmp_path)


MARKDOWN = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3, language: python}
---
# Book

```{code-cell} ipython3
:tags: [remove-input]
:figure: {name: maps}
:mystnb:
:  image:
:    alt: "Two maps of a valley. Both are long."
from IPython.display import display

svg = "<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"
display({"image/svg+xml": svg}, raw=True)
```

```{code-cell} ipython3
:mystnb:
:  image:
:    alt: "Its cell has no id and no name."
display({"image/svg+xml": svg}, raw=True)
```
"""


@quiet
def test_a_figure_of_a_markdown_page_is_named_by_its_options(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text(MARKDOWN)
    warnings = build(tmp_path, nb_execution_mode="force")
    assert warnings.count("WARNING") == warnings.count("a figure needs a name") == 1
    found = sorted(path.name for path in (tmp_path / "out/_images").glob("index-*"))
    assert found == ["index-maps.dark.svg", "index-maps.svg"]


@quiet
@pytest.mark.parametrize(
    ("cell", "licence"),
    [
        ({}, "CC BY 4.0"),
        ({"source": "image_grid(digits.pixels[:3])"}, "CC BY-SA 3.0 (pictures of"),
        ({"source": "image_grid(weights)"}, "CC BY 4.0"),
        ({"figure": {"licence": "CC0"}}, "CC0"),
    ],
)
def test_a_figure_that_shows_digits_has_their_licence(
    tmp_path: Path, cell: dict[str, Any], licence: str
) -> None:
    notebook(tmp_path, dict(cell))
    index(tmp_path, "adam_derived")
    assert build(tmp_path) == ""
    page = (tmp_path / "out/index.html").read_text()
    assert f"adam-derived-cell-0.svg</a>, {licence}" in page


def test_a_solution_stands_behind_its_exercise() -> None:
    pattern = re.compile(r"^(:label: |:::\{solution-start\} )(ex-.+)$", re.MULTILINE)
    found = 0
    for path in sorted(ROOT.glob("book/*/*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        last = ""
        for kind, label in pattern.findall("\n".join(cell.source for cell in cells)):
            if kind == ":label: ":
                last = label
            else:
                found += 1
                assert label == last, path
    assert found > 50
