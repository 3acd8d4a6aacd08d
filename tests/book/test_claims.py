"""The tie between what the book claims and what proves it, on small books."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from assertions import cell_asserts, problem_of_test
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .conftest import ROOT, SITE
from .test_site_files import Links
from .tiny_book import quiet, warnings_of

IN_SHORT = """\
# A page

:::{{admonition}} In short
:class: in-short

- Two is two. {0}
- Three is three. {1}
:::

| rule | verdict |
| --- | --- |
| Adam | good {2} |

<!-- names -->

| symbol | name |
| --- | --- |
| a | alpha |

$$ a = b $$ (first)

$$ c $$ (def-second)

A source: {{cite}}`kingma2015adam`.
"""
LISTED = """\
# Lists

```{equation-index}
```

```{claim-counts}
```

```{claim-tests}
```

```{bibliography}
```
"""
TEST = """\
import pytest


@pytest.mark.equation("first")
def test_a_is_b() -> None:
    assert 1 == int("1")


def test_nothing() -> None:
    assert True


@pytest.mark.skip
def test_later() -> None:
    assert 1 == int("1")
"""
GOOD = ("{claim}`cell:two`", "{claim}`equation:first`", "{claim}`cited:kingma2015adam`")
BY_A_TEST = "{claim}`test:tests/test_it.py::test_a_is_b`"
SOURCE = "assert 2 == len('ab')"


def build(
    folder: Path,
    *signs: str,
    source: str = SOURCE,
    tags: tuple[str, ...] = ("asserts-two", "hide-input"),
    listed: str = LISTED,
    remember: str = "",
    name: str = "page",
    more: dict[str, str] | None = None,
) -> tuple[str, str]:
    """Build a book of a notebook and a page of lists; return it and the warnings."""
    more = more or {}
    cells = [
        new_markdown_cell(IN_SHORT.format(*signs)),
        new_code_cell(source, metadata={"tags": list(tags)}, execution_count=1),
        new_markdown_cell(remember),
    ]
    (folder / "tests").mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / "tests/test_it.py").write_text(TEST)
    notebook = new_notebook(cells=cells)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "python"}
    nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "listed.md").write_text(listed)
    for file, text in more.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text)
    children = "\n".join([name, "listed", *more])
    (folder / "index.md").write_text(f"# Root\n\n```{{toctree}}\n{children}\n```\n")
    (folder / "references.bib").write_text(
        "@article{kingma2015adam, author={Kingma, D. and Ba, J.}, title={Adam},"
        " journal={ICLR}, year={2015}}"
    )
    said = warnings_of(
        folder,
        extensions=["myst_nb", "sphinxcontrib.bibtex", "equations", "claims"],
        myst_enable_extensions=["dollarmath", "colon_fence"],
        nb_execution_mode="off",
        bibtex_bibfiles=["references.bib"],
        bibtex_reference_style="author_year",
        # Of its own: what extensions add to the default stays in the process.
        source_suffix={".md": "myst-nb", ".ipynb": "myst-nb"},
    )
    return (folder / f"out/{name}.html").read_text(), said


@quiet
class TestTheTie:
    def test_a_claim_leads_to_its_cell_to_its_equations_test_and_to_its_source(
        self, tmp_path: Path
    ) -> None:
        page, warnings = build(tmp_path, *GOOD)
        assert warnings == ""
        assert 'href="#asserts-two"' in page
        assert 'href="listed.html#equation-test-first"' in page
        assert 'aria-label="checked: by the cell “two” on this page"' in page
        assert "Two is two.\u00a0<a" in page
        # The place is inside of what is folded: the browser unfolds it.
        folded = page[page.index("<details") : page.index("</details>")]
        assert 'id="asserts-two"' in folded
        reported = re.search(r"\[reported by .*?, not run here\]", page)
        assert reported
        assert "Kingma and Ba" in re.sub("<.*?>", "", reported[0])

    def test_a_test_is_shown_on_the_page_of_the_tests(self, tmp_path: Path) -> None:
        page, warnings = build(tmp_path, GOOD[0], BY_A_TEST, GOOD[2])
        assert warnings == ""
        found = re.search(r'href="listed.html#(claim-[^"]+)"', page)
        assert found
        listed = (tmp_path / "out/listed.html").read_text()
        assert f'id="{found[1]}"' in listed
        assert "tests/test_it.py:5" in listed
        assert "a is b" in listed

    def test_the_page_of_counts_tells_the_asserted_from_the_cited(
        self, tmp_path: Path
    ) -> None:
        build(tmp_path, *GOOD)
        listed = (tmp_path / "out/listed.html").read_text()
        rows = [
            re.findall(r"<p>(.*?)</p>", row)
            for row in re.findall(r"<tr.*?</tr>", listed, re.DOTALL)
        ]
        assert [re.sub("<.*?>", "", cell) for cell in rows[1]] == [
            *("A page", "2", "1"),
        ]
        assert rows[2] == ["together", "2", "1"]
        link = re.search("<td><p>(<a.*?>)A page</a>", listed)
        assert link
        assert link[1] == '<a class="reference internal" href="page.html">'

    @pytest.mark.parametrize(
        ("signs", "more", "message"),
        [
            (("", *GOOD[1:]), {}, "no claim, instead of one: Two is two."),
            ((*GOOD[:2], ""), {}, "no claim, instead of one: Adam good"),
            ((GOOD[0] + GOOD[1], *GOOD[1:]), {}, "2 claims, instead of one: Two"),
            (("{claim}`cell:to`", *GOOD[1:]), {}, "page has no cell with the tag asse"),
            (
                ("{claim}`cell:other#two`", *GOOD[1:]),
                {},
                "other has no cell with the tag asserts-two",
            ),
            (("{claim}`cell:to`", *GOOD[1:]), {}, "no claim names the cell with the t"),
            (GOOD, {"source": "x = 2"}, "the cell asserts nothing"),
            (GOOD, {"source": "assert True"}, "the cell asserts nothing"),
            (
                GOOD,
                {"tags": ("asserts-two", "nbval-ignore-output")},
                "the cell is ignored by the comparison of outputs",
            ),
            (
                GOOD,
                {"tags": ("asserts-two", "remove-input")},
                "the cell is not on the page",
            ),
            (
                (GOOD[0], "{claim}`equation:third`", GOOD[2]),
                {},
                "there is no such equation",
            ),
            (
                (GOOD[0], "{claim}`equation:def-second`", GOOD[2]),
                {},
                "a definition states nothing",
            ),
            (
                (GOOD[0], "{claim}`cited:kingma2014`", GOOD[2]),
                {},
                "the bibliography lacks kingma2014",
            ),
            (
                (GOOD[0], BY_A_TEST.replace("is_b", "is_c"), GOOD[2]),
                {},
                "the test does not exist",
            ),
            (
                (GOOD[0], BY_A_TEST.replace("a_is_b", "nothing"), GOOD[2]),
                {},
                "the test asserts nothing",
            ),
            (
                (GOOD[0], BY_A_TEST.replace("a_is_b", "later"), GOOD[2]),
                {},
                "the test may be skipped",
            ),
            (
                (GOOD[0], BY_A_TEST, GOOD[2]),
                {"listed": LISTED.replace("```{claim-tests}\n```", "")},
                "no page has the directive claim-tests",
            ),
            (("{claim}`two`", *GOOD[1:]), {}, "it begins with none of cell, equation"),
            (
                GOOD,
                {"remember": "## What to remember\n\n1. Adam is one line."},
                "no claim, instead of one: Adam is one line.",
            ),
            (
                GOOD,
                {"remember": "## A recipe for Adam\n\n- Begin at 0.001."},
                "no claim, instead of one: Begin at 0.001.",
            ),
            (
                GOOD,
                {"name": "answers/questions", "remember": "## Why?\n\nSo. More.\n"},
                "no claim, instead of one: So. More.",
            ),
        ],
    )
    def test_a_claim_without_support_is_reported(
        self, tmp_path: Path, signs: tuple[str, ...], more: Any, message: str
    ) -> None:
        _, warnings = build(tmp_path, *signs, **more)
        assert message in warnings

    def test_a_page_is_named_by_the_end_of_its_path_beside_others_without_cells(
        self, tmp_path: Path
    ) -> None:
        sign = "{claim}`cell:page#two`"
        page, warnings = build(
            tmp_path,
            sign,
            *GOOD[1:],
            name="deep/page",
            more={
                "lists/page.md": "# Its tests\n",
                "far.md": f"# Far\n\nTwo. {sign}\n",
            },
        )
        assert warnings == ""
        assert 'href="#asserts-two"' in page
        far = (tmp_path / "out/far.html").read_text()
        assert 'href="deep/page.html#asserts-two"' in far
        assert "checked: by the cell “two” in A page" in far


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("for x in xs:\n    assert x < 1", True),
        ("%matplotlib inline\nassert x", True),
        ("np.testing.assert_allclose(a, b)", True),
        ("def check(x):\n    assert x\n\ncheck(1)", True),
        ("def check(x):\n    assert x", False),
        ("assert True", False),
        ("asserted = x  # assert", False),
        ("", False),
    ],
)
def test_what_counts_as_an_assertion(source: str, expected: bool) -> None:
    assert cell_asserts(source) is expected


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def test_it():\n    with pytest.raises(ValueError):\n        f()", ""),
        ("def same(a):\n    assert a\n\ndef test_it():\n    same(1)", ""),
        ("class TestIt:\n    def test_it(self):\n        assert x", "does not exist"),
        ("def test_it():\n    f()", "asserts nothing"),
        ("@pytest.mark.xfail\ndef test_it():\n    assert x", "may be skipped"),
    ],
)
def test_what_counts_as_a_test(tmp_path: Path, source: str, problem: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(source)
    assert problem_of_test(tmp_path, "tests/test_x.py::test_it") == problem


def test_a_test_that_is_only_run_by_hand_supports_nothing() -> None:
    path = next((ROOT / "tests/gpu").glob("test_*.py")).relative_to(ROOT)
    assert problem_of_test(ROOT, f"{path}::test_x") == "is only run by hand"


def test_the_signs_of_the_built_pages_lead_to_their_supports() -> None:
    parsed: dict[Path, Links] = {}
    found = 0
    for page in sorted(SITE.glob("book/*/*.html")):
        for target in re.findall(
            r'<a class="claim" href="([^"]*)"', page.read_text(encoding="utf-8")
        ):
            path, _, place = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            if there not in parsed:
                parsed[there] = Links(there)
            assert place in parsed[there].identifiers, f"{page.name}: {target}"
            found += 1
    assert found >= 30
