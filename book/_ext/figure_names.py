"""Name, caption and licence of every figure that a cell draws; the list of them all.

They stand in the cell's metadata, beside the description::

    {"mystnb": {"image": {"alt": "..."}},
     "figure": {"name": "bias", "caption": "The first steps are too long."}}

The file is then ``adam-derived-bias.svg`` on the page ``adam_derived``, with
``.dark``, ``.narrow`` and ``.narrow.dark`` before the suffix for the other theme and
for a phone, in ``_images``. A caption may hold formulas between dollars. What is
missing is taken from what is there: the name from the cell's id, the caption from the
first sentence of the description. A figure that shows MNIST's digits has their licence;
``licence`` in the metadata names another.

The directive ``figure-index`` lists the figures, the explorables, the stored results.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from equations import reading_order
from listings import heading, link, listed, listing_pages

logger = logging.getLogger(__name__)

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SENTENCE = re.compile(r".+?[.!?](?= [A-Z]|$)")
FORMULA = re.compile(r"\$([^$]+)\$")

OURS = "CC BY 4.0"
MNIST = "CC BY-SA 3.0 (pictures of MNIST)"
CODE = "MIT"

EXPLORABLES = "book/_static/explorables"
RESULTS = "adam_tutorial/study/results"


@dataclass(frozen=True)
class Figure:
    """What is known of a figure beside its picture."""

    name: str
    caption: str
    licence: str
    docname: str

    @property
    def label(self) -> str:
        """What references name, and the address on its page."""
        return f"fig-{self.name}"


def figures_of(env: BuildEnvironment) -> dict[str, Figure]:
    """Return every figure that was read, by its name."""
    if not hasattr(env, "book_figures"):
        env.book_figures = {}  # type: ignore[attr-defined]
    figures: dict[str, Figure] = env.book_figures  # type: ignore[attr-defined]
    return figures


def describe(env: BuildEnvironment, image: nodes.image) -> Figure | None:
    """Return name, caption and licence of what a cell has drawn.

    Where one of them can be had from nowhere, or the name is taken, the build fails.
    """
    cell = image.parent
    while cell is not None and cell.get("nb_element") != "cell_code":
        cell = cell.parent
    if cell is None:
        return None
    stored = stored_cell(Path(env.doc2path(env.docname)), cell["cell_index"])
    given: dict[str, str] = cell["cell_metadata"].get("figure", {})
    # An id stays when cells are put before it. Cells of a Markdown page have none.
    name = given.get("name") or stored.get("id", "").lower()
    alt = image.get("alt", "")
    found = SENTENCE.match(alt)
    caption = given.get("caption") or (found[0] if found else alt)
    if not NAME.fullmatch(name) or not caption:
        logger.warning(
            "a figure needs a name, of small letters, digits and dashes, and a caption:"
            ' give its cell the metadata "figure": {"name": ..., "caption": ...}',
            location=cell,
        )
        return None
    page = env.docname.rpartition("/")[2].replace("_", "-")
    figures, name = figures_of(env), f"{page}-{name}"
    earlier = cell.setdefault("figures", [])
    if earlier:
        name = f"{name}-{len(earlier) + 1}"
    if name in figures:
        logger.warning("there are two figures of the name %s", name, location=cell)
        return None
    earlier.append(name)
    source = "".join(stored.get("source", ""))
    digits = "image_grid(" in source and "pixels" in source
    licence = given.get("licence") or (MNIST if digits else OURS)
    figures[name] = Figure(name, caption, licence, env.docname)
    return figures[name]


def stored_cell(path: Path, index: int) -> dict[str, Any]:
    """Return a cell as a notebook's file has it; nothing for a Markdown page."""
    if path.suffix != ".ipynb":
        return {}
    cell: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["cells"][index]
    return cell


def numbered(
    env: BuildEnvironment,
    doctree: nodes.document,
    figure: Figure,
    images: Sequence[nodes.image],
) -> nodes.figure:
    """Return images with their caption, as what Sphinx counts and can refer to."""
    node = nodes.figure("", *images, names=[figure.label])
    node += nodes.caption("", "", *inline(figure.caption))
    doctree.note_explicit_target(node, node)
    # Sphinx has collected the labels of the page already.
    standard: Any = env.get_domain("std")
    target = (figure.docname, node["ids"][0])
    standard.anonlabels[figure.label] = target
    standard.labels[figure.label] = (*target, figure.caption)
    return node


def inline(text: str) -> list[nodes.Node]:
    """Return a text as nodes: what stands between dollars is a formula."""
    parts = FORMULA.split(text)
    return [
        nodes.math(part, part) if place % 2 else nodes.Text(part)
        for place, part in enumerate(parts)
        if part
    ]


def forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the figures of a page, before it is read again or when it is gone."""
    figures = figures_of(env)
    for name in [name for name, one in figures.items() if one.docname == docname]:
        del figures[name]


class FigureIndex(SphinxDirective):
    """Place the list of figures, explorables and results; filled when all are read."""

    def run(self) -> list[nodes.Node]:
        """Return a placeholder."""
        listing_pages(self.env).add(self.env.docname)
        return [nodes.container(classes=["figure-index"])]


def fill_index(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the lists into their place."""
    for place in doctree.findall(nodes.container):
        if "figure-index" in place["classes"] and not place.children:
            place += [
                *list_figures(app, docname),
                heading("Explorables"),
                listed(list_explorables(app, docname)),
                heading("Stored results"),
                listed(list_results(Path(app.srcdir))),
            ]


def list_figures(app: Sphinx, docname: str) -> list[nodes.Node]:
    """Return the figures, a list for each page."""
    env = app.env
    images = relative_uri(app.builder.get_target_uri(docname), "_images")
    figures = {one.label: one for one in figures_of(env).values()}
    result: list[nodes.Node] = []
    for page in reading_order(env):
        numbers = env.toc_fignumbers.get(page, {}).get("figure", {})
        where = app.builder.get_relative_uri(docname, page)
        items = []
        for label, number in numbers.items():
            if (one := figures.get(label)) is None:
                continue
            text = "Figure " + ".".join(map(str, number))
            file = f"{one.name}.svg"
            items.append(
                [
                    link(text, f"{where}#{label}"),
                    nodes.Text(": "),
                    *inline(one.caption),
                    nodes.Text(" "),
                    link(file, f"{images}/{file}"),
                    nodes.Text(f", {one.licence}"),
                ]
            )
        if items:
            title = env.titles[page].astext()
            result += [heading(title, link(title, where)), listed(items)]
    return result


def list_explorables(app: Sphinx, docname: str) -> list[list[nodes.Node]]:
    """Return an item for each explorable: its picture, its page alone, its licence."""
    root = relative_uri(app.builder.get_target_uri(docname), "_static/explorables")
    names = sorted(
        path.name.removesuffix(".narrow.svg")
        for path in Path(app.srcdir, EXPLORABLES).glob("*.narrow.svg")
    )
    return [
        [
            link(name, f"{root}/index.html?name={name}"),
            nodes.Text(": picture "),
            link(f"{name}.svg", f"{root}/{name}.svg"),
            nodes.Text(f", {OURS}; script "),
            link(f"{name}.mjs", f"{root}/{name}.mjs"),
            nodes.Text(f", {CODE}"),
        ]
        for name in names
    ]


def list_results(root: Path) -> list[list[nodes.Node]]:
    """Return an item for each file of stored runs: what made it, and its licence."""
    return [
        [
            nodes.literal("", path.name),
            nodes.Text(f": {first_line_of_program(root, path)} {CODE}"),
        ]
        for path in sorted((root / RESULTS).glob("*.json"))
    ]


def first_line_of_program(root: Path, result: Path) -> str:
    """Return what the program that made a result says of itself in its first line."""
    command = json.loads(result.read_text(encoding="utf-8"))["command"].split()
    # python -m MODULE, or python FILE
    program = command[2] if command[1] == "-m" else command[1].removesuffix(".py")
    stem = root / program.replace(".", "/")
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.exists():
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            return text.partition("\n")[0]
    return ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("listings")
    app.add_directive("figure-index", FigureIndex)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-resolved", fill_index)
    # The environment keeps what was read; one process reads and writes it.
    return {"parallel_read_safe": False, "parallel_write_safe": False}
