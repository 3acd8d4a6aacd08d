"""Every figure is on its page for both themes, each in two widths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from figures import split

from .conftest import SITE, pages

PICTURE = re.compile(
    r'<picture><source media="\(max-width: 600px\)" srcset="([^"]+)"[^>]*>'
    r"\s*<img ([^>]*)>"
)


def width(svg: Path) -> float:
    """The width of a document, in points."""
    found = re.search(
        r'viewBox="0 0 ([\d.]+)', svg.read_text(encoding="utf-8").partition("<defs>")[0]
    )
    assert found is not None, svg
    return float(found[1])


@pytest.mark.parametrize("address", pages())
def test_figure_of_a_page_has_a_narrow_partner_of_its_theme(address: str) -> None:
    page = SITE / address
    html = page.read_text(encoding="utf-8")
    pictures = PICTURE.findall(html)
    assert len(pictures) == len(re.findall(r'<img [^>]*class="[^"]*\bthemed\b', html))
    for narrow, image in pictures:
        source = re.search(r'src="([^"]+)"', image)
        assert source is not None
        dark = ".dark" if "only-dark" in image else ""
        assert source[1].endswith(f"{dark}.svg")
        assert narrow == source[1].removesuffix(f"{dark}.svg") + f".narrow{dark}.svg"
        assert width(page.parent / narrow) < 300
        assert (page.parent / source[1]).exists()


def test_output_of_a_notebook_is_taken_apart() -> None:
    wide, narrow = "<?xml a?>\n<svg>1</svg>\n", "<?xml b?>\n<svg>2</svg>\n"
    assert split(wide + narrow) == {"wide": wide, "narrow": narrow}
    assert split(wide) == {"wide": wide}
