"""Say at the top of each chapter how to run it: download, command, source."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

sys.path.append(str(Path(__file__).parents[1] / "_tools"))
import project


def links(page: str, repository: str) -> str:
    """Return the HTML of the bar of a chapter.

    Parameters
    ----------
    page : str
        Its path in the book, without ending.
    repository : str
        The address of the repository, or nothing.
    """
    root = "../" * page.count("/")
    download = root + "download/"
    name = page.rpartition("/")[2]
    parts = [
        f'<span>Download <a href="{root}_sources/{page}.ipynb" download>this notebook'
        f'</a>, <a href="{download}{project.wheel_name()}" download>the package</a> or'
        f' <a href="{download}{project.archive_name()}" download>all sources</a>;'
        f" there, <code>make lab CHAPTER={name}</code> opens it</span>",
    ]
    if repository:
        address = escape(f"{repository}/blob/main/{page}.ipynb", quote=True)
        parts.append(f'<a href="{address}">Source</a>')
    return f'<div class="chapter-bar">{"".join(parts)}</div>'


def add_bar(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Insert the bar behind the title of every page that is a notebook."""
    source = Path(app.env.doc2path(docname))
    title = next(iter(doctree.findall(nodes.title)), None)
    if source.suffix != ".ipynb" or title is None or app.builder.format != "html":
        return
    text = links(docname, app.config.book_repository_url)
    bar = nodes.raw("", text, format="html")
    title.parent.insert(title.parent.index(title) + 1, bar)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", add_bar)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
