"""Tie what the book claims to what proves it.

::

    - The first step is as long as the learning rate. {claim}`cell:first-step`

The role names one support: ``cell:NAME``, a cell of this page with the tag
``asserts-NAME`` (``cell:PAGE#NAME`` for that of another page); ``equation:LABEL``, an
equation that has a test; ``test:PATH::NAME``, a test; or ``cited:KEY``, a source, if
the book only reports. The page shows ✓ with a link to it.

Each item of a box *In short*, of a section *What to remember* and of a recipe, each row
of a table, and the first paragraph of each answer has exactly one claim. A table that
only names things has ``<!-- names -->`` before it. The build fails for an item without
a claim, for a claim whose support is missing or asserts nothing, and for a tag
``asserts-`` that no claim names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinxcontrib.bibtex.roles import CiteRole

from assertions import cell_asserts, problem_of_test, source_of_test
from equations import (
    CLOSE,
    DEFINITION,
    OPEN,
    MarkedTest,
    equations_of,
    index_of,
    reading_order,
)

logger = logging.getLogger(__name__)

# Pages that look things up; what they state is checked by other means.
REFERENCE = "book/reference/"
ANSWERS = "answers/questions"

TAG = "asserts-"
IGNORED = re.compile(r"(?:nbval|pytest-validate)-[\w-]+|raises-exception")
SECTIONS = re.compile(r"what to remember|\brecipe\b", re.IGNORECASE)
NAMES = "<!-- names -->"
KINDS = ("cell", "equation", "test", "cited")


class ClaimNode(nodes.Inline, nodes.Element):  # type: ignore[misc]
    """The place of a sign, with the attributes ``kind`` and ``target``."""


class Claim(SphinxRole):
    """The role."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the place of the sign; a source is written out."""
        kind, _, target = self.text.partition(":")
        node = ClaimNode(kind=kind, target=target)
        self.set_source_info(node)
        if kind != "cited":
            return [node], []
        cited, messages = CiteRole()(
            "cite:t", self.rawtext, target, self.lineno, self.inliner
        )
        node["classes"] = ["claim", "claim-cited"]
        node += [nodes.Text("[reported by "), *cited, nodes.Text(", not run here]")]
        return [node], messages


@dataclass
class PageClaims:
    """What one page claims, what it lacks, and which of its cells assert."""

    title: str = ""
    made: list[tuple[str, str, int]] = field(default_factory=list)
    items: int = 0
    gaps: list[tuple[str, int]] = field(default_factory=list)
    # What is wrong with each cell that has a tag, or nothing.
    cells: dict[str, str] = field(default_factory=dict)


def pages_of(env: BuildEnvironment) -> dict[str, PageClaims]:
    """Return what is known of each page."""
    if not hasattr(env, "book_claims"):
        env.book_claims = {}  # type: ignore[attr-defined]
    pages: dict[str, PageClaims] = env.book_claims  # type: ignore[attr-defined]
    return pages


def claim_page(env: BuildEnvironment, docname: str, target: str) -> tuple[str, str]:
    """Return page and name of a cell; a page goes by the end of its path."""
    page, _, name = target.rpartition("#")
    if not page:
        return docname, name
    # The list of a chapter's tests has the name of the chapter, and no cells.
    found = [
        one
        for one, known in pages_of(env).items()
        if known.cells and f"/{one}".endswith(f"/{page}")
    ]
    return found[0] if len(found) == 1 else page, name


def required(doctree: nodes.document, docname: str) -> Iterator[nodes.Element]:
    """Yield every part of a page that needs exactly one claim."""
    if docname.startswith(REFERENCE):
        return
    for box in doctree.findall(nodes.admonition):
        if "in-short" in box["classes"]:
            yield from _items(box.children)
    for section in doctree.findall(nodes.section):
        title = section.next_node(nodes.title)
        if title is not None and SECTIONS.search(title.astext()):
            yield from _items(section.children)
        leaf = not any(isinstance(child, nodes.section) for child in section)
        if docname.endswith(ANSWERS) and leaf:
            yield from [p for p in section if isinstance(p, nodes.paragraph)][:1]
    for table in doctree.findall(nodes.table):
        if not _only_names(table) and not _is_output(table):
            for body in table.findall(nodes.tbody):
                yield from body.findall(nodes.row)


def _items(children: Iterable[nodes.Node]) -> Iterator[nodes.Element]:
    for child in children:
        if isinstance(child, nodes.bullet_list | nodes.enumerated_list):
            yield from (one for one in child if isinstance(one, nodes.list_item))


def _only_names(table: nodes.table) -> bool:
    place = table.parent.index(table)
    before = table.parent[place - 1] if place else None
    return before is not None and before.astext().strip() == NAMES


def _is_output(node: nodes.Node) -> bool:
    """Return whether a cell has made this: it is compared by the tests."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.container) and "cell" in node["classes"]:
            return True
    return False


def tagged_cells(path: Path) -> Iterator[tuple[str, int, str]]:
    """Yield name, place and problem of each cell of a notebook that has a tag.

    The file is asked: the copy that was executed may have older tags.
    """
    if path.suffix != ".ipynb":
        return
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for index, cell in enumerate(cells):
        tags = cell["metadata"].get("tags", [])
        problem = ""
        if cell["cell_type"] != "code":
            problem = "is text"
        elif any(IGNORED.fullmatch(tag) for tag in tags):
            problem = "is ignored by the comparison of outputs"
        elif not cell_asserts("".join(cell["source"])):
            problem = "asserts nothing"
        for tag in tags:
            if tag.startswith(TAG):
                yield tag.removeprefix(TAG), index, problem


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note what a page claims and lacks, and make its cells places to link to."""
    docname = app.env.docname
    page = pages_of(app.env)[docname] = PageClaims()
    for node in doctree.findall(ClaimNode):
        page.made.append((node["kind"], node["target"], node.line or 0))
    for item in required(doctree, docname):
        page.items += 1
        number = len(list(item.findall(ClaimNode)))
        if number != 1:
            text = " ".join(item.astext().split())[:60]
            has = "no claim" if number == 0 else f"{number} claims"
            page.gaps.append((f"{has}, instead of one: {text}", _line(item)))
    containers = {
        node["cell_index"]: node
        for node in doctree.findall(nodes.container)
        if "cell_index" in node
    }
    for name, index, problem in tagged_cells(Path(app.env.doc2path(docname))):
        page.cells[name] = "has the tag of another" if name in page.cells else problem
        sources = [
            child
            for child in containers.get(index, [])
            if child.get("nb_element") == "cell_code_source"
        ]
        if sources:
            # Within what is folded: a browser that is led there unfolds it.
            sources[0]["ids"].append(f"{TAG}{name}")
        else:
            page.cells[name] = page.cells[name] or "is not on the page"


def _line(node: nodes.Element) -> int:
    found = [one.line for one in node.findall(nodes.Element) if one.line]
    return found[0] if found else 0


def forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page, before it is read again or when it is gone."""
    pages_of(env).pop(docname, None)


def problem_of(env: BuildEnvironment, docname: str, kind: str, target: str) -> str:
    """Return why a claim has no support, or an empty string."""
    if kind == "cell":
        page, name = claim_page(env, docname, target)
        cells = pages_of(env).get(page, PageClaims()).cells
        if name not in cells:
            return f"{page} has no cell with the tag {TAG}{name}"
        return cells[name] and f"the cell {cells[name]}"
    if kind == "equation":
        if target.startswith(DEFINITION):
            return "a definition states nothing"
        if target not in equations_of(env):
            return "there is no such equation"
        tests: dict[str, list[MarkedTest]] = env.book_tests  # type: ignore[attr-defined]
        return "" if target in tests else "the equation has no test"
    if kind == "test":
        problem = problem_of_test(Path(env.srcdir), target)
        if problem:
            return f"the test {problem}"
        return "" if listing(env) else "no page has the directive claim-tests"
    if kind == "cited":
        entries = env.get_domain("cite").bibdata.data.entries  # type: ignore[attr-defined]
        missing = [key for key in target.split(",") if key.strip() not in entries]
        return f"the bibliography lacks {', '.join(missing)}" if missing else ""
    return f"it begins with none of {', '.join(KINDS)}"


def check_consistency(_app: Sphinx, env: BuildEnvironment) -> None:
    """Complain of what has no support, of items without claims, of unused tags."""
    pages = pages_of(env)
    used = set()
    for docname, page in sorted(pages.items()):
        for kind, target, line in page.made:
            if kind == "cell":
                used.add(claim_page(env, docname, target))
            if problem := problem_of(env, docname, kind, target):
                logger.warning(
                    "claim %s:%s: %s", kind, target, problem, location=(docname, line)
                )
        for gap, line in page.gaps:
            logger.warning("%s", gap, location=(docname, line))
    for docname, page in sorted(pages.items()):
        for name in page.cells:
            if (docname, name) not in used:
                logger.warning(
                    "no claim names the cell with the tag %s%s",
                    TAG,
                    name,
                    location=docname,
                )


class Listing(SphinxDirective):
    """Place what is made when all pages are read: the counts, or the tests."""

    def run(self) -> list[nodes.Node]:
        """Return a placeholder."""
        listing_pages(self.env)[self.env.docname, self.name] = None
        return [nodes.container(classes=[self.name])]


def listing_pages(env: BuildEnvironment) -> dict[tuple[str, str], None]:
    """Return the pages with lists, and which list each has."""
    if not hasattr(env, "book_claim_listings"):
        env.book_claim_listings = {}  # type: ignore[attr-defined]
    found: dict[tuple[str, str], None] = env.book_claim_listings  # type: ignore[attr-defined]
    return found


def listing(env: BuildEnvironment) -> str:
    """Return the page that shows the tests, or an empty string."""
    return next(
        (page for page, name in listing_pages(env) if name == "claim-tests"), ""
    )


def forget_listing(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page lists."""
    for key in [key for key in listing_pages(env) if key[0] == docname]:
        del listing_pages(env)[key]


def rewrite(_app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the lists anew in each build, and the signs: any page may have changed."""
    claiming = {docname for docname, page in pages_of(env).items() if page.made}
    return sorted(claiming | {docname for docname, _ in listing_pages(env)})


def add_signs(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the sign in the place of each claim, and fill the lists."""
    for node in list(doctree.findall(ClaimNode)):
        before = node.previous_sibling()
        if isinstance(before, nodes.Text) and before.endswith((" ", "\n")):
            # The sign stands behind the last word, never alone on a line.
            before.parent.replace(before, nodes.Text(before.rstrip() + "\u00a0"))
        if node["kind"] == "cited":
            node.replace_self(nodes.inline("", "", *node, classes=node["classes"]))
        else:
            sign = _sign(app, docname, node["kind"], node["target"])
            node.replace_self(nodes.raw("", sign, format="html"))
    for place in doctree.findall(nodes.container):
        if "claim-counts" in place["classes"] and not place.children:
            place += _counts(app, docname)
        if "claim-tests" in place["classes"] and not place.children:
            place += _tests(app.env)


def _sign(app: Sphinx, docname: str, kind: str, target: str) -> str:
    env, uri = app.env, ""
    if problem_of(env, docname, kind, target):
        return "?"
    if kind == "cell":
        page, name = claim_page(env, docname, target)
        there = "on this page" if page == docname else f"in {_title(env, page)}"
        says = f"by the cell “{name.replace('-', ' ')}” {there}"
        fragment = f"{TAG}{name}"
    elif kind == "equation":
        page = index_of(env, equations_of(env)[target][0])
        says = f"by the test of equation ({equations_of(env)[target][1]})"
        fragment = f"equation-test-{target}"
    else:
        page = listing(env)
        says = f"by the test “{_sentence(target)}”"
        fragment = _test_id(target)
    if page != docname:
        uri = app.builder.get_relative_uri(docname, page)
    label = escape(f"checked: {says}", quote=True)
    return (
        f'<a class="claim" href="{uri}#{fragment}" title="{label}"'
        f' aria-label="{label}">✓</a>'
    )


def _title(env: BuildEnvironment, docname: str) -> str:
    return str(env.titles[docname].astext()) if docname in env.titles else docname


def _sentence(address: str) -> str:
    name = address.rpartition("::")[2]
    return name.removeprefix("test_").replace("_", " ")


def _test_id(address: str) -> str:
    return f"claim-{nodes.make_id(address)}"


def _tests(env: BuildEnvironment) -> list[nodes.Node]:
    """Return every test that a claim names, with its program."""
    result: list[nodes.Node] = []
    root = Path(env.srcdir)
    addresses = {
        target
        for docname, page in pages_of(env).items()
        for kind, target, _ in page.made
        if kind == "test" and not problem_of(env, docname, kind, target)
    }
    for address in sorted(addresses):
        source, line = source_of_test(root, address)
        entry = nodes.container(classes=["equation-entry"], ids=[_test_id(address)])
        where = nodes.paragraph(classes=["equation-entry-test"])
        where += nodes.Text(_sentence(address) + " ")
        where += nodes.literal("", f"{address.partition('::')[0]}:{line}")
        entry += where
        entry += nodes.raw("", OPEN, format="html")
        entry += nodes.literal_block(source, source, language="python")
        entry += nodes.raw("", CLOSE, format="html")
        result.append(entry)
    return result


def _counts(app: Sphinx, docname: str) -> nodes.table:
    """Return how many claims each page makes, and how many of them it only cites."""
    env, order = app.env, reading_order(app.env)
    rows, total = [], [0, 0]
    pages = pages_of(env)
    for name in sorted(pages, key=lambda one: order.index(one) if one in order else 0):
        page = pages[name]
        if not page.items and not page.made:
            continue
        cited = sum(kind == "cited" for kind, _, _ in page.made)
        numbers = [len(page.made) - cited, cited]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        link = nodes.reference(
            "",
            "",
            nodes.Text(_title(env, name)),
            refuri=app.builder.get_relative_uri(docname, name),
            internal=True,
        )
        rows.append([link, *(nodes.Text(str(n)) for n in numbers)])
    rows.append([nodes.Text(text) for text in ("together", *map(str, total))])
    head = ["page", "asserted", "only cited"]
    return _table([nodes.Text(text) for text in head], rows)


def _table(head: list[nodes.Text], rows: list[list[nodes.Node]]) -> nodes.table:
    def line(cells: Iterable[nodes.Node]) -> nodes.row:
        entries = (nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells)
        return nodes.row("", *entries)

    group = nodes.tgroup("", cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", line(head))
    group += nodes.tbody("", *map(line, rows))
    return nodes.table("", group, classes=["colwidths-auto"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_node(ClaimNode)
    app.add_role("claim", Claim())
    app.add_directive("claim-counts", Listing)
    app.add_directive("claim-tests", Listing)
    app.connect("env-purge-doc", forget)
    app.connect("env-purge-doc", forget_listing)
    app.connect("doctree-read", collect)
    app.connect("env-check-consistency", check_consistency)
    app.connect("env-updated", rewrite)
    app.connect("doctree-resolved", add_signs)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
