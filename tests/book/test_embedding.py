"""An explorable in another page, by the code that the page for teachers gives."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import serve
from playwright.sync_api import Browser

from .conftest import ROOT

pytestmark = pytest.mark.browser

PAGE = (ROOT / "book/reference/for_teachers.md").read_text(encoding="utf-8")
FRAME, INLINE = re.findall(r"```html\n(.*?)```", PAGE, re.DOTALL)
NAMES = sorted(
    path.name.removesuffix(".narrow.svg")
    for path in (ROOT / "book/_static/explorables").glob("*.narrow.svg")
)
SLIDE = (
    '<!doctype html><html data-theme="{}"><title>Slide</title><body>{}</body></html>'
)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("slides")
    shutil.copytree(ROOT / "book/_static/explorables", folder / "explorables")
    with serve(folder) as address:
        yield folder, address


@pytest.mark.parametrize("name", NAMES)
def test_in_a_frame(slides: tuple[Path, str], browser: Browser, name: str) -> None:
    folder, address = slides
    (folder / "slide.html").write_text(
        SLIDE.format("light", FRAME.replace("moments", name))
    )
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address + "slide.html")
    inside = page.frame_locator("iframe")
    inside.locator("figure[data-ready]").wait_for(timeout=20_000)
    assert inside.locator("svg").count() > 0
    assert inside.locator("h1").count() == 0
    assert inside.locator("html").get_attribute("data-theme") == "dark"
    # Slides are no place to scroll sideways.
    frame = page.frames[1]
    width, window = frame.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= window
    assert errors == []
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_the_page_itself(
    slides: tuple[Path, str], browser: Browser, theme: str
) -> None:
    folder, address = slides
    (folder / "slide.html").write_text(SLIDE.format(theme, INLINE))
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address + "slide.html")
    page.locator("figure[data-ready]").wait_for(timeout=20_000)
    assert page.locator("figure svg").count() > 0
    # Its colours are there without the site.
    assert page.locator("html").evaluate(
        "e => getComputedStyle(e).getPropertyValue('--ex-ink') !== ''"
    )
    assert errors == []
    page.close()


def test_the_page_names_every_explorable() -> None:
    listed = re.search(r"The names are (.*)\.$", PAGE, re.MULTILINE | re.DOTALL)
    assert listed is not None
    line = listed[1].split("\n")[0]
    assert sorted(re.findall(r"`(\w+)`", line)) == NAMES
