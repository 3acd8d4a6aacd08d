"""The tie between equations and tests, and the numbers of chapters, on small books."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from equations import chapter_number, lists, marked_tests, prefix_of_equations
from figures import darken

from adam_tutorial.study.plotting import DARK

from .conftest import ROOT
from .tiny_book import quiet, warnings_of

PAGE = """
# A page

$$ a = b $$ (first)

$$ c $$ (def-second)

```{equation-index}
```
"""
TEST = """
import pytest


@pytest.mark.equation("first")
def test_a_is_b() -> None:
    assert True
"""


def build(
    folder: Path, page: str, test: str, more: dict[str, str] | None = None
) -> tuple[str, str]:
    """Build a book of a page, and more pages by name; return it and the warnings."""
    (folder / "tests").mkdir()
    for name, text in {"page": page, **(more or {})}.items():
        (folder / f"{name}.md").write_text(text)
    (folder / "tests/test_it.py").write_text(test)
    said = warnings_of(
        folder,
        extensions=["myst_parser", "equations"],
        myst_enable_extensions=["dollarmath"],
        root_doc="page",
    )
    return (folder / "out/page.html").read_text(), said


@quiet
class TestTheTie:
    def test_a_tested_equation_carries_a_sign_that_leads_to_its_test(
        self, tmp_path: Path
    ) -> None:
        page, warnings = build(tmp_path, PAGE, TEST)
        assert warnings == ""
        assert 'href="#equation-test-first"' in page
        assert 'id="equation-test-first"' in page
        assert "a is b" in page
        assert "tests/test_it.py:6" in page
        assert re.search(r"<details.*test_a_is_b.*</details>", page, re.DOTALL)
        assert "(1)" in page
        assert "definition" in page

    @pytest.mark.parametrize(
        ("page", "test", "message"),
        [
            (PAGE, TEST.replace('"first"', '"frist"'), "label 'first' has no test"),
            (PAGE, TEST.replace('"first"', '"frist"'), "'frist', which no page has"),
            (PAGE.replace("(first)", "(third)"), TEST, "label 'third' has no test"),
            (PAGE.replace("(first)", "(third)"), TEST, "'first', which no page has"),
            (PAGE.replace("(first)", ""), TEST, "displayed equation without a label"),
            (PAGE[: PAGE.index("```")], TEST, "no page lists the tests of page"),
            (
                PAGE.replace("{equation-index}", "{equation-index} other"),
                TEST,
                "no page lists the tests of page",
            ),
            (
                PAGE,
                TEST.replace('"first"', '"first", "def-second"'),
                "definition def-second is marked by a test",
            ),
        ],
    )
    def test_a_broken_tie_is_reported(
        self, tmp_path: Path, page: str, test: str, message: str
    ) -> None:
        _, warnings = build(tmp_path, page, test)
        assert message in warnings


@quiet
def test_the_list_has_the_order_of_the_pages_and_of_the_numbers(
    tmp_path: Path,
) -> None:
    labels = ["first", *(f"a{n}" for n in range(1, 12)), "z"]
    root = """
# Root

$$ a = b $$ (first)

$$ c $$ (def-second)

```{equation-index}
```

```{toctree}
:numbered:
zebra
ape
```
"""
    ape = "# Ape\n\n" + "\n\n".join(f"$$ {n} $$ (a{n})" for n in range(1, 12))
    marks = ", ".join(f'"{label}"' for label in labels)
    page, warnings = build(
        tmp_path,
        root,
        TEST.replace('"first"', marks),
        {"ape": ape, "zebra": "# Zebra\n\n$$ z $$ (z)\n"},
    )
    assert warnings == ""
    shown = re.findall(r'id="equation-test-([\w-]+)"', page)
    # Zebra comes before Ape in the table of contents, and a10 after a9.
    assert shown == ["first", "z", *labels[1:-1]]
    numbers = re.findall(r">Equation \(([\w.]+)\)<", page)
    assert numbers == ["1", "1.1", *(f"2.{n}" for n in range(1, 12))]


def test_a_chapter_has_the_number_that_sphinx_counted() -> None:
    # Below the depth that is numbered Sphinx notes None.
    env: Any = SimpleNamespace(toc_secnumbers={"book/four": {"": (4,), "#more": None}})
    assert chapter_number(env, "book/four") == "4"
    assert chapter_number(env, "book/index") is None


def test_equations_of_an_api_page_are_told_from_those_of_another() -> None:
    env: Any = SimpleNamespace(toc_secnumbers={"book/adam/four": {"": (4,)}})
    assert prefix_of_equations(env, "book/adam/four") == "4"
    assert prefix_of_equations(env, "book/reference/api/optim") == "O"
    assert prefix_of_equations(env, "book/reference/api/theory") == "T"
    assert prefix_of_equations(env, "book/reference/api/theory/averages") == "T"
    assert prefix_of_equations(env, "book/reference/notation") is None


@pytest.mark.parametrize(
    ("listed", "docname", "there"),
    [
        ("", "book/adam/derived", True),
        ("book/adam/derived", "book/adam/derived", True),
        ("book/api/optim", "book/api/optim/adam", True),
        ("book/api/optim", "book/api/optimum", False),
        ("book/api/optim/adam", "book/api/optim", False),
    ],
)
def test_list_has_the_equations_of_its_page_or_folder(
    listed: str, docname: str, there: bool
) -> None:
    assert lists(listed, docname) is there


class Book:
    """Three numbered chapters in two parts, and one page that has no number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tests").mkdir()
        extensions = ["sphinx_external_toc", "myst_parser", "equations"]
        (folder / "conf.py").write_text(
            f"import sys\n"
            f"sys.path.insert(0, {str(ROOT / 'book/_ext')!r})\n"
            f"extensions = {extensions}\n"
            f"myst_enable_extensions = ['dollarmath']\n"
            f"exclude_patterns = ['out', 'tests']\n"
            f"html_theme = 'basic'\n"
        )
        (folder / "index.md").write_text("# A book\n")
        for name in ("cat", "dog", "eel", "notes"):
            (folder / f"{name}.md").write_text(
                f"# The {name}\n\n## More\n\n"
                f"$$ a $$ (def-young-{name})\n\n$$ b $$ (def-{name})\n"
            )
        with (folder / "notes.md").open("a") as notes:
            notes.write("\nSee {eq}`def-dog`.\n")

    def build(self, *chapters: str, more: tuple[str, ...] = ()) -> None:
        """Write the pages, with the chapters in this order, two in the first part.

        More pages come after the notes, in the part without numbers.
        """

        def files(*names: str) -> str:
            return "[" + ", ".join(f"{{file: {name}}}" for name in names) + "]"

        (self.folder / "_toc.yml").write_text(
            "format: jb-book\n"
            "root: index\n"
            "parts:\n"
            f"  - {{caption: One, numbered: 1, chapters: {files(*chapters[:2])}}}\n"
            f"  - {{caption: Two, numbered: 1, chapters: {files(*chapters[2:])}}}\n"
            f"  - {{caption: Three, chapters: {files('notes', *more)}}}\n"
        )
        subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-W", ".", "out"],
            cwd=self.folder,
            check=True,
        )

    def page(self, name: str) -> str:
        return (self.folder / f"out/{name}.html").read_text()

    def headings(self, name: str) -> list[str]:
        """Return the headings of a page as one reads them."""
        found = re.findall(r"<h[12]>(.*?)<a class=\"headerlink", self.page(name))
        return [re.sub("<.*?>", "", heading) for heading in found]

    def equations(self, name: str) -> list[str]:
        """Return the numbers beside the equations of a page."""
        return re.findall(r'class="eqno">\((.*?)\)', self.page(name))


def test_chapters_and_their_equations_are_numbered_by_the_table_of_contents(
    tmp_path: Path,
) -> None:
    book = Book(tmp_path)
    book.build("cat", "dog", "eel")
    assert book.headings("dog") == ["2. The dog", "More"]
    assert book.equations("dog") == ["2.1", "2.2"]
    assert book.headings("eel") == ["3. The eel", "More"]
    assert book.equations("eel") == ["3.1", "3.2"]
    assert book.headings("notes") == ["The notes", "More"]
    assert book.equations("notes") == ["1", "2"]
    assert "(2.2)" in book.page("notes")

    # Another order, and no page was changed.
    book.build("dog", "eel", "cat")
    assert book.headings("dog") == ["1. The dog", "More"]
    assert book.equations("dog") == ["1.1", "1.2"]
    assert book.headings("cat") == ["3. The cat", "More"]
    assert book.equations("cat") == ["3.1", "3.2"]
    assert "(1.2)" in book.page("notes")


def test_equations_of_the_pages_of_one_part_of_the_api_are_counted_through(
    tmp_path: Path,
) -> None:
    book = Book(tmp_path)
    (tmp_path / "api/optim").mkdir(parents=True)
    pages = ("api/optim", "api/optim/lion", "api/optim/adam")
    for name in ("optim", "optim/adam", "optim/lion"):
        label = name.replace("/", "-")
        (tmp_path / f"api/{name}.md").write_text(
            f"# Page\n\n$$ a $$ (def-{label})\n\n$$ b $$ (def-more-{label})\n"
        )
    book.build("cat", "dog", "eel", more=pages)
    assert book.equations("api/optim/lion") == ["O.3", "O.4"]
    assert book.equations("api/optim/adam") == ["O.5", "O.6"]
    # The pages that were not read anew keep their order.
    (tmp_path / "api/optim/lion.md").write_text("# Page\n\n$$ c $$ (def-lion)\n")
    book.build("cat", "dog", "eel", more=pages)
    assert book.equations("api/optim/lion") == ["O.3"]
    assert book.equations("api/optim/adam") == ["O.4", "O.5"]


def test_every_mark_of_the_tests_is_found() -> None:
    labels = {test.label for test in marked_tests(ROOT)}
    assert {"adam-update", "adam-efficient", "adam-eps-hat"} <= labels


def test_a_dark_figure_has_every_colour_replaced() -> None:
    svg = "".join(f'<path style="fill: {light.upper()}"/>' for light in DARK)
    dark = darken(svg)
    assert all(light not in dark.lower() for light in DARK)
    assert all(colour in dark for colour in DARK.values())
