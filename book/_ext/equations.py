"""Tie every displayed equation of the book to the test that proves it.

A test names what it proves: ``@pytest.mark.equation("adam-update")``. The equation
with the label ``adam-update`` then carries a sign that leads to the test. The build
fails for an equation without a label, for a label without a test, and for a mark
without an equation. A label that begins with ``def-`` belongs to a definition: it
states nothing that could be wrong, and its sign says so.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

DEFINITION = "def-"


@dataclass(frozen=True)
class MarkedTest:
    """A test with an equation mark: where it stands and what it says."""

    label: str
    path: str
    line: int
    name: str
    source: str

    @property
    def anchor(self) -> str:
        """The identifier of the test on the page that lists them."""
        return "test-" + re.sub(
            r"[^a-z0-9]+", "-", f"{self.path}-{self.name}".lower()
        ).strip("-")

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
    """Place the list of equations and tests; it is filled when all pages are read."""

    def run(self) -> list[nodes.Node]:
        """Return a placeholder."""
        self.env.book_equation_page = self.env.docname  # type: ignore[attr-defined]
        return [nodes.container(classes=["equation-index"])]


def collect_tests(app: Sphinx) -> None:
    """Read the tests' marks once, before the pages are read."""
    tests: dict[str, list[MarkedTest]] = {}
    for test in marked_tests(Path(app.srcdir)):
        tests.setdefault(test.label, []).append(test)
    app.env.book_tests = tests  # type: ignore[attr-defined]


def chapter_number(docname: str) -> str | None:
    """Return the number at the start of a chapter's file name, without zeros."""
    match = re.match(r"(\d+)_", docname.rsplit("/", 1)[-1])
    return str(int(match.group(1))) if match else None


def prefix_of_equations(docname: str) -> str | None:
    """Return what is before the dot: a chapter's number or an API page's initial."""
    folder, _, name = docname.rpartition("/")
    initial = name[0].upper() if folder.endswith("api") else None
    return chapter_number(docname) or initial


def number_equations(app: Sphinx, doctree: nodes.document) -> None:
    """Give the equations of a chapter their numbers; complain of missing labels."""
    docname = app.env.docname
    prefix = prefix_of_equations(docname)
    equations: dict[str, tuple[str, Any]] = app.env.get_domain("math").equations  # type: ignore[attr-defined]
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
        number = f"{prefix}.{count}" if prefix else str(count)
        block["number"] = number
        equations[label] = (docname, number)


def check_consistency(app: Sphinx, env: BuildEnvironment) -> None:
    """Complain of labels without tests, and of marks without equations."""
    tests: dict[str, list[MarkedTest]] = env.book_tests  # type: ignore[attr-defined]
    equations = app.env.get_domain("math").equations  # type: ignore[attr-defined]
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
    """Write the page with the list anew in each build: any page may have changed it."""
    page = getattr(env, "book_equation_page", None)
    return [page] if page in env.all_docs else []


def add_signs(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the sign behind each equation, and fill the list on its page."""
    env = app.env
    tests: dict[str, list[MarkedTest]] = env.book_tests  # type: ignore[attr-defined]
    page: str = getattr(env, "book_equation_page", "")
    for block in list(doctree.findall(nodes.math_block)):
        label = block.get("label")
        if label:
            sign = _sign(app, docname, page, label, tests.get(label, []))
            block.parent.insert(block.parent.index(block) + 1, sign)
    for placeholder in doctree.findall(nodes.container):
        if "equation-index" in placeholder["classes"] and not placeholder.children:
            placeholder += _index(app, docname, tests)


def _sign(
    app: Sphinx,
    docname: str,
    page: str,
    label: str,
    tests: list[MarkedTest],
) -> nodes.container:
    line = nodes.paragraph()
    if label.startswith(DEFINITION):
        line += nodes.Text("definition")
    elif page:
        text = "tested" if len(tests) == 1 else f"{len(tests)} tests"
        uri = app.builder.get_relative_uri(docname, page) + f"#equation-test-{label}"
        number = app.env.get_domain("math").equations[label][1]  # type: ignore[attr-defined]
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
    equations: dict[str, tuple[str, str]] = app.env.get_domain("math").equations  # type: ignore[attr-defined]
    order = {name: place for place, name in enumerate(_reading_order(app.env))}
    shown = sorted(
        equations.items(),
        key=lambda item: (
            order.get(item[1][0], 0),
            int(item[1][1].rpartition(".")[2]),
        ),
    )
    result: list[nodes.Node] = []
    for label, (target, number) in shown:
        if label.startswith(DEFINITION):
            continue
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
            code = nodes.literal_block(test.source, test.source, language="python")
            entry += code
        result.append(entry)
    return result


def _reading_order(env: BuildEnvironment) -> list[str]:
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
    # Before the math domain's own look at the page is over and before references are
    # resolved.
    app.connect("doctree-read", number_equations, priority=100)
    app.connect("env-check-consistency", check_consistency)
    app.connect("env-updated", rewrite_index)
    app.connect("doctree-resolved", add_signs)
    # The environment keeps numbers, not nodes; one process reads and writes it.
    return {"parallel_read_safe": False, "parallel_write_safe": False}
