"""Say on each page which edition it is, and how to report a mistake in it.

The directive ``downloads`` lists, on the landing page, what the site hands out.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.append(str(Path(__file__).parents[1] / "_tools"))
import project

# The date is put in when all pages are written: a page that stays as it was has the
# date of the others.
PLACE = '<p class="edition" data-page="{page}">{text}</p>'
PLACES = re.compile(PLACE.format(page='(?P<page>[^"]*)', text=".*?"))


def edition(page: str, version: str, date: datetime, repository: str) -> str:
    """Return the HTML of the lines in the footer of a page.

    Parameters
    ----------
    page : str
        Its path in the site, without ending.
    version : str
        That of the package and the book.
    date : datetime
        When they were last changed.
    repository : str
        Its address; without one, a line to copy stands there instead of a link.
    """
    name = f"{page.removeprefix('book/')}, version {version} of {date:%Y-%m-%d}"
    if repository:
        address = escape(f"{repository}/issues/new?title={quote(name)}", quote=True)
        report = f'<a href="{address}">Report a mistake on this page</a>'
    else:
        report = f"To report a mistake, quote: <code>{escape(name)}</code>"
    day = f"{date.day} {date:%B %Y}"
    return f"Version {escape(version)}, {day}. {report}"


def add_place(
    _app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Make room in the footer of a page."""
    context["theme_extra_footer"] += PLACE.format(page=escape(page), text="")


def fill_places(app: Sphinx, exception: Exception | None) -> None:
    """Fill the room on every page, also on those that were written before."""
    if exception or app.builder.format != "html":
        return
    about = project.version(), project.date(), app.config.book_repository_url

    def filled(match: re.Match[str]) -> str:
        page = match["page"]
        return PLACE.format(page=page, text=edition(page, *about))

    for file in Path(app.outdir).rglob("*.html"):
        if "_static" not in file.parts and "_sources" not in file.parts:
            text = file.read_text(encoding="utf-8")
            file.write_text(PLACES.sub(filled, text), encoding="utf-8")


def downloads(folder: str, repository: str) -> str:
    """Return the list of what can be downloaded, as Markdown.

    Parameters
    ----------
    folder : str
        The address of the folder of downloads, from the page.
    repository : str
        The address of the repository, or nothing.
    """
    wheel, archive = project.wheel_name(), project.archive_name()
    lines = [
        f'- <a href="{folder}{wheel}" download>{wheel}</a>, the package:'
        f" in its folder, `pip install {wheel}` installs it beside the PyTorch that you"
        " have (where there is none, pip on Linux brings the CUDA build, 5.6 GB)."
        f' `pip install "{wheel}[study]"` brings the data and plots of most chapters,'
        f" `[notebooks]` JupyterLab and what all of them compare.",
        f'- <a href="{folder}{archive}" download>{archive}</a>, everything: chapters,'
        " package, tests.",
    ]
    if repository:
        lines.append(f"- The same with its history: `git clone {repository}`.")
    return "\n".join(lines)


class Downloads(SphinxDirective):
    """The directive; it has no body."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        folder = "../" * self.env.docname.count("/") + "download/"
        text = downloads(folder, self.config.book_repository_url)
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("downloads", Downloads)
    app.connect("html-page-context", add_place)
    app.connect("build-finished", fill_places)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
