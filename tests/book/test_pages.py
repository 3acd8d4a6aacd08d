"""Every page of the built site, as a reader's browser sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .conftest import pages
from .visit import Visit, violations

LOOKS = {
    f"{width}-{theme}": (theme, width)
    for width in (1280, 390)
    for theme in ("light", "dark")
}

pytestmark = pytest.mark.browser


@pytest.fixture(
    scope="module",
    params=[(page, look) for page in pages() for look in LOOKS],
    ids="-".join,
)
def visit(
    request: pytest.FixtureRequest, browser: Browser, site: str
) -> Iterator[Visit]:
    address, look = request.param
    theme, width = LOOKS[look]
    opened = Visit(browser, site, address, theme, width)
    yield opened
    opened.context.close()


def test_a_page_is_whole_quiet_and_readable(visit: Visit) -> None:
    """One test for all that is seen in one visit: opening a page is what costs time."""
    page = visit.page
    outside = [
        url
        for url in visit.requests
        if not url.startswith((visit.site, "data:", "blob:"))
    ]
    assert outside == [], "requests that leave the site"
    assert visit.messages == [], "console messages and failed requests"

    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "the page scrolls sideways"

    # Prerendered math has a .katex child; a formula that was left as text has none.
    raw = page.evaluate(
        "[...document.querySelectorAll('.math')].filter(e =>"
        " !e.querySelector('.katex')).map(e => e.textContent)"
    )
    assert raw == [], "formulas that were not rendered"

    shown = (
        "[...document.querySelectorAll('.bd-article img')].filter(i => i.offsetParent)"
    )
    broken = page.evaluate(
        f"{shown}.filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
    )
    assert broken == [], "figures that did not load"
    # Without a description of ours the file's path or nothing stands there.
    nameless = page.evaluate(
        "[...document.querySelectorAll('.bd-article img')]"
        ".filter(i => i.alt.length < 20 || i.alt.includes('/')).map(i => i.src)"
    )
    assert nameless == [], "figures without alternative text"


# What axe finds depends on the theme (contrast) and on the width (targets), and hardly
# on which goes with which: each stands once, for axe takes longer than everything else
# here together.
@pytest.mark.parametrize(
    "visit",
    [(page, look) for page in pages() for look in ("1280-light", "390-dark")],
    ids="-".join,
    indirect=True,
)
def test_a_page_has_no_accessibility_violation(visit: Visit) -> None:
    assert violations(visit.page) == []


def test_the_two_themes_show_different_figures_on_different_paper(
    browser: Browser, site: str
) -> None:
    seen = {}
    for theme in ("light", "dark"):
        opened = Visit(browser, site, "book/adam/adam_derived.html", theme, 1280)
        seen[theme] = opened.page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " [...document.querySelectorAll('.cell_output img')]"
            "   .filter(i => i.offsetParent).map(i => i.src.endsWith('.dark.svg'))]"
        )
        opened.context.close()
    assert seen["light"][0] != seen["dark"][0]
    assert len(seen["light"][1]) == len(seen["dark"][1]) > 0
    assert not any(seen["light"][1])
    assert all(seen["dark"][1])


def test_the_search_finds_a_word(browser: Browser, site: str) -> None:
    opened = Visit(browser, site, "search.html?q=padding", "light", 1280)
    opened.page.wait_for_selector("ul.search li a", timeout=20_000)
    titles = opened.page.eval_on_selector_all(
        "ul.search li a", "links => links.map(l => l.text)"
    )
    assert any("Text" in title for title in titles), titles
    opened.context.close()


def test_a_wide_equation_scrolls_inside_its_box_on_a_phone(
    browser: Browser, site: str
) -> None:
    opened = Visit(browser, site, "book/adam/adam_derived.html", "light", 390)
    boxes = opened.page.evaluate(
        "[...document.querySelectorAll('.katex-display')].map(e =>"
        " [e.scrollWidth > e.clientWidth, e.tabIndex, e.getAttribute('aria-label')])"
    )
    scrolling = [box for box in boxes if box[0]]
    assert scrolling
    assert all(box[1:] == [0, "formula, scrollable"] for box in scrolling)
    opened.context.close()


def test_a_page_is_readable_without_scripts(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site + "book/adam/adam_derived.html")
    assert page.locator("div.math .katex-html").first.is_visible()
    assert page.get_by_role("heading", name="Two moving averages").is_visible()
    context.close()


def test_a_chapter_offers_its_notebook_and_the_command(
    browser: Browser, site: str
) -> None:
    opened = Visit(browser, site, "book/adam/adam_derived.html", "light", 1280)
    bar = opened.page.locator(".chapter-bar")
    assert "make lab CHAPTER=adam_derived" in bar.inner_text()
    with opened.page.expect_download() as download:
        bar.locator("a").first.click()
    assert Path(download.value.suggested_filename).suffix == ".ipynb"
    opened.context.close()
