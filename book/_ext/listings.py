"""Pages with a list that is gathered from all pages, such as all exercises.

Any page may have changed such a list, so it is written anew in each build. The
extension that fills the list says which page has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def listing_pages(env: BuildEnvironment) -> set[str]:
    """Return the pages with lists; a directive adds its own."""
    if not hasattr(env, "book_listing_pages"):
        env.book_listing_pages = set()  # type: ignore[attr-defined]
    pages: set[str] = env.book_listing_pages  # type: ignore[attr-defined]
    return pages


def forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page, before it is read again or when it is gone."""
    listing_pages(env).discard(docname)


def rewrite(_app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the pages anew."""
    return sorted(listing_pages(env))


def heading(text: str, link: nodes.Node | None = None) -> nodes.paragraph:
    """Return a line that names what follows."""
    return nodes.paragraph("", "", link or nodes.Text(text), classes=["index-heading"])


def listed(items: Sequence[Sequence[nodes.Node]]) -> nodes.bullet_list:
    """Return a list."""
    return nodes.bullet_list(
        "", *[nodes.list_item("", nodes.paragraph("", "", *item)) for item in items]
    )


def link(text: str, address: str) -> nodes.reference:
    """Return a link within the site."""
    return nodes.reference("", "", nodes.Text(text), refuri=address, internal=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-purge-doc", forget)
    app.connect("env-updated", rewrite)
    # The environment keeps what was read; one process reads and writes it.
    return {"parallel_read_safe": False, "parallel_write_safe": False}
