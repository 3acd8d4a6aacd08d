"""Show every SVG figure of a notebook in the colours of the theme, light or dark.

A notebook draws it once, in the light colours of :mod:`adam_tutorial.study.plotting`.
A second file is made here, in which each light colour is replaced by its dark partner.
The page gets both, and the theme hides one of them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from adam_tutorial.study.plotting import DARK

sys.path.append(str(Path(__file__).parents[1] / "_tools"))
from svg import shorten

# Wider figures have two panels. On a phone they keep more of their width, and scroll.
WIDE_POINTS = 520

_COLOUR = re.compile("|".join(map(re.escape, DARK)), re.IGNORECASE)


def darken(svg: str) -> str:
    """Return an SVG document with every light colour of the palette replaced."""
    return _COLOUR.sub(lambda match: DARK[match.group().lower()], svg)


def svg_width(svg: str) -> float:
    """Return the width that an SVG document states, in points; 0 if it states none."""
    found = re.search(r'<svg [^>]*?\bwidth="([\d.]+)pt"', svg)
    return float(found.group(1)) if found else 0.0


def add_dark_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Put a dark copy behind every SVG image that a notebook made."""
    for image in list(doctree.findall(nodes.image)):
        uri = image["uri"]
        if not (uri.endswith(".svg") and "jupyter_execute" in uri):
            continue
        light = Path(app.srcdir, uri.lstrip("/"))
        dark = light.with_suffix(".dark.svg")
        drawn = light.read_text(encoding="utf-8")
        short = shorten(drawn)
        if short != drawn:
            light.write_text(short, encoding="utf-8")
        text = darken(short)
        if not dark.exists() or dark.read_text(encoding="utf-8") != text:
            dark.write_text(text, encoding="utf-8")
        if svg_width(text) > WIDE_POINTS:
            image["classes"].append("wide")
        copy = image.deepcopy()
        copy["uri"] = uri.removesuffix(".svg") + ".dark.svg"
        copy["ids"], copy["names"] = [], []
        image["classes"] += ["only-light", "themed"]
        copy["classes"] += ["only-dark", "themed"]
        image.parent.insert(image.parent.index(image) + 1, copy)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    # Before Sphinx collects the images (priority 500): it must collect the copies too.
    app.connect("doctree-read", add_dark_figures, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
