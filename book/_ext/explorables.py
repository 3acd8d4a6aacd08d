"""Place an explorable: a figure that a script brings to life; a picture without it.

::

    ```{explorable} moments
    :alt: what the picture shows

    The caption.
    ```

The picture is ``_static/explorables/moments.svg``, and for a phone
``moments.narrow.svg``, drawn by ``make stills`` in the light colours of the book; their
dark copies are made here. It stands there without scripts, and on paper. The script
``_static/explorables/moments.mjs`` is loaded when the reader comes near. In a chapter
the caption begins with a number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from equations import chapter_number
from figures import themed

FOLDER = "book/_static/explorables"


class Explorable(SphinxDirective):
    """The directive; its body is the caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "alt": directives.unchanged_required,
        "settings": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the figure: picture and caption."""
        name = self.arguments[0]
        folder = Path(self.env.srcdir, FOLDER)
        for needed in (f"{name}.mjs", f"{name}.svg", f"{name}.narrow.svg"):
            if not (folder / needed).is_file():
                raise self.error(f"the explorable {name!r} needs {FOLDER}/{needed}")
        if len(self.options.get("alt", "")) < 20:
            raise self.error(
                f"the explorable {name!r} needs :alt:, what its picture shows"
            )
        try:
            settings = json.loads(self.options.get("settings", "{}"))
        except json.JSONDecodeError as error:
            raise self.error(f"settings of {name!r} are not JSON: {error}") from error
        self.env.metadata[self.env.docname]["explorables"] = "yes"
        drawn = {"wide": f"{name}.svg", "narrow": f"{name}.narrow.svg"}
        for file in drawn.values():
            self.env.note_dependency(str(folder / file))
        images = themed(
            self.env.app,
            nodes.image(alt=self.options["alt"]),
            {
                width: (folder / file).read_text(encoding="utf-8")
                for width, file in drawn.items()
            },
            f"/_build/explorables/{name}",
        )
        caption = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, caption)
        if not isinstance(caption.next_node(), nodes.paragraph):
            raise self.error(f"the explorable {name!r} needs a caption")
        caption[0].insert(0, nodes.inline("", name, classes=["ex-name"]))
        return [
            nodes.raw(
                "",
                f'<figure class="explorable" data-explorable="{name}"'
                f" data-settings='{json.dumps(settings)}'><div class=\"ex-still\">",
                format="html",
            ),
            *images,
            nodes.raw("", "</div><figcaption>", format="html"),
            *caption.children,
            nodes.raw("", "</figcaption></figure>", format="html"),
        ]


def number_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Write chapter and place before each name: "Explorable 4.1, moments"."""
    chapter = chapter_number(app.env, docname)
    names = [
        one for one in doctree.findall(nodes.inline) if "ex-name" in one["classes"]
    ]
    for place, name in enumerate(names, start=1):
        number = f"{chapter}.{place}" if chapter else str(place)
        name.children = [nodes.Text(f"Explorable {number}, {name.astext()}. ")]


def load_scripts(
    app: Sphinx,
    pagename: str,
    _template: str,
    _context: dict[str, Any],
    _doctree: object,
) -> None:
    """Load the starter only on pages that have an explorable."""
    if app.env.metadata.get(pagename, {}).get("explorables"):
        app.add_js_file("explorables/load.mjs", type="module")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("explorable", Explorable)
    app.connect("html-page-context", load_scripts)
    app.connect("doctree-resolved", number_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
