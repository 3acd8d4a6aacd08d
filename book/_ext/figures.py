"""Show every SVG figure of a notebook in the colours of the theme, for every width.

A notebook draws it in the light colours of :mod:`adam_tutorial.study.plotting`, once
for a wide page and once for a phone, two documents in one output. Dark copies are made
here, in which each light colour is replaced by its dark partner. The page gets a
picture for each theme, which the browser loads in one of the two widths.

Each figure has a number, a caption and a file of its own, whose name stays when it is
drawn anew: :mod:`figure_names` says which.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

from adam_tutorial.study.plotting import DARK
from figure_names import describe, numbered

sys.path.append(str(Path(__file__).parents[1] / "_tools"))
from svg import shorten

# As in the style sheets.
PHONE = "(max-width: 600px)"

_COLOUR = re.compile("|".join(map(re.escape, DARK)), re.IGNORECASE)


def darken(svg: str) -> str:
    """Return an SVG document with every light colour of the palette replaced."""
    return _COLOUR.sub(lambda match: DARK[match.group().lower()], svg)


def write(path: Path, text: str) -> None:
    """Write a file, unless it holds this already: Sphinx copies what is new."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def themed(
    app: Sphinx, image: nodes.image, documents: dict[str, str], stem: str
) -> list[nodes.image]:
    """Return an image for each theme, which knows its narrow partner.

    Parameters
    ----------
    image : nodes.image
        What they are made from.
    documents : dict of str to str
        SVG documents in light colours: wide, and narrow if there is one.
    stem : str
        Where their files go, relative to the sources, without suffix.
    """
    images = []
    documents = {width: shorten(svg) for width, svg in documents.items()}
    for theme in ("light", "dark"):
        uris = {}
        for width, svg in documents.items():
            # What people link to is the plain name; the others are variants of it.
            variant = (".narrow" if width == "narrow" else "") + (
                ".dark" if theme == "dark" else ""
            )
            uris[width] = f"{stem}{variant}.svg"
            path = Path(app.srcdir, uris[width].lstrip("/"))
            write(path, darken(svg) if theme == "dark" else svg)
        copy = image.deepcopy()
        copy["uri"] = uris["wide"]
        if "narrow" in uris:
            copy["narrow"] = uris["narrow"].lstrip("/")
            # What is in the tree Sphinx collects by itself.
            app.env.images.add_file(app.env.docname, copy["narrow"])
        if theme == "dark":
            copy["ids"], copy["names"] = [], []
        copy["classes"] += [f"only-{theme}", "themed"]
        images.append(copy)
    return images


def split(text: str) -> dict[str, str]:
    """Return the documents of a notebook's output: wide, and narrow if there is one."""
    parts = re.split(r"(?=<\?xml )", text)[1:]
    return dict(zip(("wide", "narrow"), parts, strict=False))


def add_themes(app: Sphinx, doctree: nodes.document) -> None:
    """Replace every SVG image that a notebook made by a figure for each theme."""
    for image in list(doctree.findall(nodes.image)):
        uri = image["uri"]
        if not (uri.endswith(".svg") and "jupyter_execute" in uri):
            continue
        drawn = Path(app.srcdir, uri.lstrip("/")).read_text(encoding="utf-8")
        figure = describe(app.env, image)
        if figure is None:
            continue
        both = themed(app, image, split(drawn), f"/_build/figures/{figure.name}")
        image.parent.replace(image, numbered(app.env, doctree, figure, both))


def add_widths(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put a picture element around every image that has a narrow partner."""
    for image in list(doctree.findall(nodes.image)):
        if "narrow" not in image:
            continue
        name = app.env.images[image["narrow"]][1]
        # What stands in no image node has to be handed to the builder, which copies it.
        app.builder.images[image["narrow"]] = name
        folder = relative_uri(app.builder.get_target_uri(docname), "_images")
        around = [
            f'<picture><source media="{PHONE}" srcset="{folder}/{name}">',
            "</picture>",
        ]
        opened, closed = (nodes.raw("", text, format="html") for text in around)
        image.parent.replace(image, [opened, image.deepcopy(), closed])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    # Before Sphinx collects the images (priority 500): it must collect the copies too.
    app.connect("doctree-read", add_themes, priority=100)
    app.connect("doctree-resolved", add_widths)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
