"""The tie between equations and tests, on a book of one page."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from adam_tutorial.study.plotting import DARK

from .conftest import ROOT

sys.path.insert(0, str(ROOT / "book/_ext"))

from equations import chapter_number, marked_tests, prefix_of_equations
from figures import darken

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


def build(folder: Path, page: str, test: str) -> tuple[str, str]:
    """Build a book of one page, return it and the warnings."""
    (folder / "tests").mkdir()
    (folder / "conf.py").write_text("")
    (folder / "03_page.md").write_text(page)
    (folder / "tests/test_it.py").write_text(test)
    warnings = io.StringIO()
    # Otherwise the second build of a process warns of what the first one registered.
    with docutils_namespace():
        app = Sphinx(
            folder,
            folder,
            folder / "out",
            folder / "trees",
            "html",
            confoverrides={
                "extensions": ["myst_parser", "equations"],
                "myst_enable_extensions": ["dollarmath"],
                "root_doc": "03_page",
                "exclude_patterns": ["tests", "out"],
                "math_numfig": False,
            },
            status=None,
            warning=warnings,
            freshenv=True,
        )
        app.build()
    return (folder / "out/03_page.html").read_text(), warnings.getvalue()


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)
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
        assert "(3.1)" in page
        assert "definition" in page

    @pytest.mark.parametrize(
        ("page", "test", "message"),
        [
            (PAGE, TEST.replace('"first"', '"frist"'), "label 'first' has no test"),
            (PAGE, TEST.replace('"first"', '"frist"'), "'frist', which no page has"),
            (PAGE.replace("(first)", "(third)"), TEST, "label 'third' has no test"),
            (PAGE.replace("(first)", "(third)"), TEST, "'first', which no page has"),
            (PAGE.replace("(first)", ""), TEST, "displayed equation without a label"),
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


def test_a_chapter_has_the_number_of_its_file() -> None:
    assert chapter_number("book/adam/04_adam_derived") == "4"
    assert chapter_number("book/index") is None


def test_equations_of_an_api_page_are_told_from_those_of_another() -> None:
    assert prefix_of_equations("book/adam/04_adam_derived") == "4"
    assert prefix_of_equations("book/api/optim") == "O"
    assert prefix_of_equations("book/api/theory") == "T"
    assert prefix_of_equations("book/appendix/notation") is None


def test_every_mark_of_the_tests_is_found() -> None:
    labels = {test.label for test in marked_tests(ROOT)}
    assert {"adam-update", "adam-efficient", "adam-eps-hat"} <= labels


def test_a_dark_figure_has_every_colour_replaced() -> None:
    svg = "".join(f'<path style="fill: {light.upper()}"/>' for light in DARK)
    dark = darken(svg)
    assert all(light not in dark.lower() for light in DARK)
    assert all(colour in dark for colour in DARK.values())
