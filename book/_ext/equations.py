"""Tie every displayed equation of the book to the test that proves it.

A test says what it proves: ``@pytest.mark.equation("adam-update")``. The equation with
the label ``adam-update`` then carries a sign that leads to the test. The build fails
for an equation without a label, for a label without a test, and for a mark without an
equation. A label that begins with ``def-`` belongs to a definition: it states nothing
that could be wrong, and carries that word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

DEFINITION = "def-"
OPEN = '<details class="test-source"><summary>Show the test</summary>'
CLOSE = "</details>"


@dataclass(frozen=True)
class MarkedTest:
    """A test with an equation mark: where it stands and what it says."""

    label: str
    path: str
    line: int
    name: str
    source: str

    @property
    def sentence(self) -> str:
        """The test's name as the sentence it proves."""
        return self.name.removeprefix("test_").replace("_", " ")


def marked_tests(root: Path) -> list[MarkedTest]:
    """Return every test under ``root/tests`` that carries an equation mark."""
    found = []
    for file in sorted((root / "tests").rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef):
                continue
            for label in _labels(node.decorator_list):
                first = min(decorator.lineno for decorator in node.decorator_list)
                lines = text.splitlines()[first - 1 : node.end_lineno]
                path = file.relative_to(root).as_posix()
                found.append(
                    MarkedTest(
                        label,
                        path,
                        node.lineno,
                        node.name,
                        "\n".join(lines),
                    )
                )
    return found


def _labels(decorators: Iterable[ast.expr]) -> Iterable[str]:
    for decorator in decorators:
        if (
            isinstance(decorator, ast.Call)
            and ast.unparse(decorator.func) == "pytest.mark.equation"
        ):
            yield from (ast.literal_eval(argument) for argument in decorator.args)


class EquationIndex(SphinxDirective):
    """Place a list of equations and their tests; filled when all pages are read.

    The argument is the page, or the folder of pages, whose equations are listed.
    Without it, all are.
    """

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a placeholder."""
        listed = self.arguments[0] if self.arguments else ""
        index_pages(self.env)[self.env.docname] = listed
        return [nodes.container(classes=["equation-index"])]


def index_pages(env: BuildEnvironment) -> dict[str, str]:
    """Return the pages that list equations, each with the page or folder it lists."""
    if not hasattr(env, "book_equation_pages"):
        env.book_equation_pages = {}  # type: ignore[attr-defined]
    pages: dict[str, str] = env.book_equation_pages  # type: ignore[attr-defined]
    return pages


def forget_index(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page lists, before it is read again or when it is gone."""
    index_pages(env).pop(docname, None)


def lists(listed: str, docname: str) -> bool:
    """Return whether the equations of a page are on the list of a page or folder."""
    return not listed or f"{docname}/".startswith(f"{listed}/")


def index_of(env: BuildEnvironment, docname: str) -> str:
    """Return the page that lists the equations of a page, or an empty string."""
    pages = index_pages(env).items()
    return next((page for page, listed in pages if lists(listed, docname)), "")


def collect_tests(app: Sphinx) -> None:
    """Read the tests' marks once, before the pages are read."""
    tests: dict[str, list[MarkedTest]] = {}
    for test in marked_tests(Path(app.srcdir)):
        tests.setdefault(test.label, []).append(test)
    app.env.book_tests = tests  # type: ignore[attr-defined]


def equations_of(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """Return page and number of every equation, by its label."""
    equations: dict[str, tuple[str, str]] = env.get_domain("math").equations  # type: ignore[attr-defined]
    return equations


def chapter_number(env: BuildEnvironment, docname: str) -> str | None:
    """Return the number that Sphinx gave a chapter for its place in ``_toc.yml``."""
    number = env.toc_secnumbers.get(docname, {}).get("")
    return ".".join(map(str, number)) if number else None


def prefix_of_equations(env: BuildEnvironment, docname: str) -> str | None:
    """Return what goes before the dot: chapter number, or initial of an API page."""
    api = re.search(r"(?:^|/)api/(\w)", docname)
    return chapter_number(env, docname) or (api and api[1].upper())


def count_equations(app: Sphinx, doctree: nodes.document) -> None:
    """Count the equations of a page, and complain of one without a label.

    The chapter has no number yet: Sphinx counts the chapters when all pages are read.
    """
    docname = app.env.docname
    equations = equations_of(app.env)
    count = 0
    for block in doctree.findall(nodes.math_block):
        label = block.get("label")
        if not label:
            logger.warning(
                "displayed equation without a label: %s",
                " ".join(block.astext().split())[:60],
                location=block,
            )
            continue
        count += 1
        equations[label] = (docname, str(count))


def number_equations(_app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Put the chapter's number before the place of each equation in its chapter.

    The pages of a part of the API are counted through. Returns every page if a number
    changed: any page may refer to it.
    """
    equations = equations_of(env)
    counts: dict[str, int] = {}
    for label, docname in __in_reading_order(env):
        prefix = prefix_of_equations(env, docname)
        counts[prefix or docname] = place = counts.get(prefix or docname, 0) + 1
        equations[label] = (docname, f"{prefix}.{place}" if prefix else str(place))
    numbers = {label: number for label, (_, number) in equations.items()}
    changed = numbers != getattr(env, "book_equation_numbers", None)
    env.book_equation_numbers = numbers  # type: ignore[attr-defined]
    return sorted(env.found_docs) if changed else []


def check_consistency(_app: Sphinx, env: BuildEnvironment) -> None:
    """Complain of labels without tests, and of marks without equations."""
    tests: dict[str, list[MarkedTest]] = env.book_tests  # type: ignore[attr-defined]
    equations = equations_of(env)
    for label, (docname, number) in sorted(equations.items()):
        if label.startswith(DEFINITION):
            if label in tests:
                logger.warning(
                    "definition %s is marked by a test; give it a label without %r",
                    label,
                    DEFINITION,
                    location=docname,
                )
        elif label not in tests:
            logger.warning(
                "equation (%s) with the label %r has no test: mark one with "
                "@pytest.mark.equation(%r)",
                number,
                label,
                label,
                location=docname,
            )
        elif not index_of(env, docname):
            logger.warning(
                "no page lists the tests of %s: add one with the directive "
                "equation-index",
                docname,
                location=docname,
            )
    for label, marked in sorted(tests.items()):
        if label not in equations:
            for test in marked:
                logger.warning(
                    "%s:%d: %s is marked for the equation %r, which no page has",
                    test.path,
                    test.line,
                    test.name,
                    label,
                )


def rewrite_index(_app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the pages with lists anew in each build: any page may have changed them."""
    return sorted(index_pages(env))


def add_signs(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put number and sign beside each equation, and fill the list on its page."""
    env = app.env
    tests: dict[str, list[MarkedTest]] = env.book_tests  # type: ignore[attr-defined]
    for block in list(doctree.findall(nodes.math_block)):
        label = block.get("label")
        if label:
            block["number"] = equations_of(env)[label][1]
            sign = _sign(app, docname, label, tests.get(label, []))
            block.parent.insert(block.parent.index(block) + 1, sign)
    for placeholder in doctree.findall(nodes.container):
        if "equation-index" in placeholder["classes"] and not placeholder.children:
            placeholder += _index(app, docname, tests)


def _sign(
    app: Sphinx,
    docname: str,
    label: str,
    tests: list[MarkedTest],
) -> nodes.container:
    line = nodes.paragraph()
    page = index_of(app.env, docname)
    if label.startswith(DEFINITION):
        line += nodes.Text("definition")
    elif page:
        text = "tested" if len(tests) == 1 else f"{len(tests)} tests"
        uri = app.builder.get_relative_uri(docname, page) + f"#equation-test-{label}"
        number = equations_of(app.env)[label][1]
        line += nodes.reference(
            "",
            "",
            nodes.Text(f"✓ {text}"),
            refuri=uri,
            internal=True,
            reftitle=f"The test of equation ({number})",
        )
    return nodes.container("", line, classes=["equation-sign"])


def _index(
    app: Sphinx, docname: str, tests: dict[str, list[MarkedTest]]
) -> list[nodes.Node]:
    listed = index_pages(app.env)[docname]
    result: list[nodes.Node] = []
    for label, target in __in_reading_order(app.env):
        if label.startswith(DEFINITION) or not lists(listed, target):
            continue
        number = equations_of(app.env)[label][1]
        entry = nodes.container(
            classes=["equation-entry"], ids=[f"equation-test-{label}"]
        )
        title = nodes.paragraph(classes=["equation-entry-title"])
        uri = app.builder.get_relative_uri(docname, target) + f"#equation-{label}"
        title += nodes.reference(
            "",
            "",
            nodes.Text(f"Equation ({number})"),
            refuri=uri,
            internal=True,
        )
        title += nodes.Text(f", {app.env.titles[target].astext()}: {label}")
        entry += title
        for test in tests.get(label, []):
            where = nodes.paragraph(classes=["equation-entry-test"])
            where += nodes.Text(test.sentence + " ")
            where += nodes.literal("", f"{test.path}:{test.line}")
            entry += where
            entry += nodes.raw("", OPEN, format="html")
            entry += nodes.literal_block(test.source, test.source, language="python")
            entry += nodes.raw("", CLOSE, format="html")
        result.append(entry)
    return result


def __in_reading_order(env: BuildEnvironment) -> list[tuple[str, str]]:
    """Return label and page of every equation."""
    order = {name: place for place, name in enumerate(reading_order(env))}

    def key(item: tuple[str, tuple[str, str]]) -> tuple[int, str, int]:
        _, (docname, number) = item
        # A page that was not read anew has its numbers of the last build, with prefix.
        return order.get(docname, 0), docname, int(number.rpartition(".")[2])

    return [
        (label, docname)
        for label, (docname, _) in sorted(equations_of(env).items(), key=key)
    ]


def reading_order(env: BuildEnvironment) -> list[str]:
    """Return every page, in the order of the table of contents."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            order.append(name)
            for child in env.toctree_includes.get(name, []):
                visit(child)

    visit(env.config.root_doc)
    return order


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("equation-index", EquationIndex)
    app.connect("builder-inited", collect_tests)
    app.connect("env-purge-doc", forget_index)
    app.connect("doctree-read", count_equations)
    # After Sphinx has numbered the chapters, before references are resolved.
    app.connect("env-get-updated", number_equations, priority=900)
    app.connect("env-check-consistency", check_consistency)
    app.connect("env-updated", rewrite_index)
    app.connect("doctree-resolved", add_signs)
    # The environment keeps numbers, not nodes; one process reads and writes it.
    return {"parallel_read_safe": False, "parallel_write_safe": False}
