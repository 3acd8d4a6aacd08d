"""Say at the top of each chapter how to run it: download, command, source."""

from __future__ import annotations

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx


def add_bar(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Insert the bar behind the title of every page that is a notebook."""
    source = Path(app.env.doc2path(docname))
    title = next(iter(doctree.findall(nodes.title)), None)
    if source.suffix != ".ipynb" or title is None or app.builder.format != "html":
        return
    root = "../" * docname.count("/")
    parts = [
        f'<a href="{root}_sources/{docname}.ipynb" download>Download this notebook</a>',
        f"<span>Open it in a clone: <code>make lab CHAPTER={source.stem}</code></span>",
    ]
    repository = app.config.book_repository_url
    if repository:
        address = escape(f"{repository}/blob/main/{docname}.ipynb", quote=True)
        parts.append(f'<a href="{address}">Source</a>')
    bar = nodes.raw(
        "",
        f'<div class="chapter-bar">{"".join(parts)}</div>',
        format="html",
    )
    title.parent.insert(title.parent.index(title) + 1, bar)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", add_bar)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
