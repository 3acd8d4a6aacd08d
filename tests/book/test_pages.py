"""Every page of the built site, as a reader's browser sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing import serve
from measure import FIRST_PICTURE, cut_blocks, weight, wrong_on_paper
from playwright.sync_api import Browser, BrowserContext

from .conftest import SITE, pages
from .visit import Visit, violations

# Each page is loaded in one of these, the next page in the next, and then looked at in
# all. What axe finds depends on the theme (contrast) and on the width (targets), and
# hardly on which goes with which: it runs once for each, for it takes longer than
# everything else here together. From one look to the next only theme or width changes:
# a page with many formulas is laid out anew for each.
LOOKS = [("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)]
ACCESSIBILITY = (("light", 1280), ("dark", 390))
# Pages that are made from one template: every other one in each of the two.
GENERATED = ("book/reference/api/", "book/reference/equations/")

DOUBLED = re.compile(r"\(\([A-Z]?\.?\d[\d.]*\)")
MOST_BYTES = 350_000
MOST_REQUESTS = 20
MOST_SHIFT = 0.02
# A beginner sees something before reading much.
MOST_BEFORE_A_PICTURE = 900
FOR_BEGINNERS = ("book/foundations/", "book/adam/")

# Matplotlib draws a letter as a path, in units of which a hundred are the size of the
# type: its scale says how large that is.
SMALL_LETTERS = r"""
(async () => {
    const found = [];
    for (const image of document.querySelectorAll(".bd-article img")) {
        if (!image.offsetParent || !image.currentSrc.endsWith(".svg")) continue;
        const text = await (await fetch(image.currentSrc)).text();
        const scales = [...text.matchAll(/scale\(([\d.]+) -[\d.]+\)/g)];
        const sizes = scales.map((found) => 100 * found[1]);
        const points = Number(text.match(/viewBox="0 0 ([\d.]+)/)?.[1]);
        const least = Math.min(...sizes) * image.getBoundingClientRect().width / points;
        if (least < 11) found.push(`${least.toFixed(1)} in ${image.currentSrc}`);
    }
    return found;
})()
"""

CODE_OUT_OF_ITS_PARAGRAPH = """
const words = document.querySelectorAll(".bd-article :is(p, li, dd) > code .pre");
[...words].filter((word) => {
    const end = word.closest("p, li, dd").getBoundingClientRect().right + 1;
    return [...word.getClientRects()].some((part) => part.right > end);
}).map((word) => word.textContent)
"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context()
    yield opened
    opened.close()


@pytest.fixture
def visit(context: BrowserContext, site: str) -> Iterator[Callable[..., Visit]]:
    """Open pages, close them afterwards."""
    opened: list[Visit] = []

    def go(address: str, theme: str = "light", width: int = 1280) -> Visit:
        opened.append(Visit(context, site, address, theme, width))
        return opened[-1]

    yield go
    for one in opened:
        one.close()


def complaints(visit: Visit) -> Iterator[str]:
    """Yield what is wrong with a page as it looks now."""
    page = visit.page
    for url in visit.requests:
        if not url.startswith((visit.site, "data:", "blob:")):
            yield f"a request leaves the site: {url}"
    yield from visit.messages

    width, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if width > window:
        yield f"the page scrolls sideways: {width} pixels in {window}"

    for block in cut_blocks(page):
        # On a phone code and tables may scroll, if one sees that they do.
        scrolls = window < 600 and block.hint and block.what == "wider than its box"
        if not scrolls or block.kind == "equation":
            yield str(block)

    # Prerendered math has a .katex child; a formula that was left as text has none.
    for formula in page.evaluate(
        "[...document.querySelectorAll('.math')].filter(e =>"
        " !e.querySelector('.katex')).map(e => e.textContent)"
    ):
        yield f"a formula was not rendered: {formula}"

    for figure in page.evaluate(
        "[...document.querySelectorAll('.bd-article img')]"
        ".filter(i => i.offsetParent && !(i.complete && i.naturalWidth))"
        ".map(i => i.src)"
    ):
        yield f"a figure did not load: {figure}"
    if window < 600:
        for figure in page.evaluate(SMALL_LETTERS):
            yield f"a figure has letters of less than 11 pixels: {figure}"
        for figure in page.evaluate(
            "[...document.querySelectorAll('.bd-article img')].filter(i =>"
            " i.getBoundingClientRect().right > innerWidth + 1).map(i => i.src)"
        ):
            yield f"a figure reaches out of the screen: {figure}"
        for code in page.evaluate(CODE_OUT_OF_ITS_PARAGRAPH):
            yield f"code reaches out of its paragraph: {code}"
    # Without a description of ours the file's path or nothing stands there.
    for figure in page.evaluate(
        "[...document.querySelectorAll('.bd-article img')]"
        ".filter(i => i.alt.length < 20 || i.alt.includes('/')).map(i => i.src)"
    ):
        yield f"a figure has no alternative text: {figure}"


@pytest.mark.parametrize("address", pages())
def test_a_page_is_whole_quiet_readable_and_accessible(
    visit: Callable[..., Visit], site: str, address: str
) -> None:
    """One test for all that is seen in one visit: opening a page costs time."""
    number = pages().index(address)
    first = number % len(LOOKS)
    generated = address.startswith(GENERATED)
    asked = [ACCESSIBILITY[number % 2]] if generated else list(ACCESSIBILITY)
    opened = visit(address, *LOOKS[first])
    found = []
    sent = weight(opened.first_requests, site)
    if sent > MOST_BYTES or len(opened.first_requests) > MOST_REQUESTS:
        found.append(f"{sent} bytes in {len(opened.first_requests)} requests")
    shift = opened.shift
    if shift > MOST_SHIFT:
        # A busy machine may bring a font late, once. A page that is at fault moves at
        # every visit.
        shift = min(visit(address, *LOOKS[first]).shift for _ in range(2))
    if shift > MOST_SHIFT:
        found.append(f"what was there moves as the page loads: {shift}")
    text = opened.page.locator("body").inner_text()
    found += [f"number in two parentheses: {wrong}" for wrong in DOUBLED.findall(text)]
    if address.startswith(FOR_BEGINNERS):
        # Before anything is unfolded, or laid out for paper.
        opened.look("light", 1280)
        top = opened.page.evaluate(FIRST_PICTURE)
        if top is None or top > MOST_BEFORE_A_PICTURE:
            found.append(f"the first picture is {top} pixels below the top")
    for look in LOOKS[first:] + LOOKS[:first]:
        opened.look(*look)
        wrong = list(complaints(opened))
        if look in asked:
            # Each displayed formula has a page of its own, where it is looked at.
            wrong += violations(opened.page, formulas=generated)
        if look == ("dark", 1280):  # what the dark theme changes must not be printed
            wrong += [f"on paper, {what}" for what in wrong_on_paper(opened.page)]
        found += [f"{look}: {what}" for what in wrong]
    assert found == []


def test_a_word_of_code_that_cannot_be_read_is_found_though_one_stands_for_all(
    browser: Browser,
) -> None:
    """A single letter, which axe does not judge, stands for no other."""
    page = browser.new_page()
    page.set_content(
        """<html lang="en"><title>t</title><main><h1>t</h1><style>
        pre { color: black; background: white } .pale { color: #ccc }</style>
        <pre id="one"><span class="pale">l</span><span class="pale">l</span>
        <span class="pale">pale</span> <span class="pale">again</span></pre>
        <pre id="two"><span class="n">a</span> <span class="n">name</span>
        <span class="n" role="checkbox">name</span></pre></main>"""
    )
    before = page.content()
    found = [wrong.partition(":")[0] for wrong in violations(page)]
    after = page.content()
    page.close()
    assert found == ["aria-required-attr", "color-contrast"]
    assert after == before


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "address", ["book/reference/for_teachers.html", "book/adam/adam_in_pytorch.html"]
)
def test_nothing_moves_when_the_fonts_come_late(
    browser: Browser, address: str, width: int
) -> None:
    """On a slow line, with text and code that were read in other fonts."""
    context = browser.new_context()
    with serve(SITE, late_fonts=0.5) as slow:
        shift = Visit(context, slow, address, "light", width).shift
    context.close()
    assert shift <= MOST_SHIFT


def test_a_table_on_a_phone_is_laid_out_before_the_scripts_come(
    browser: Browser, site: str
) -> None:
    """Else what is below it moves, wherever they come after the first look."""
    widths = []
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts)
        page = context.new_page()
        page.set_viewport_size({"width": 390, "height": 900})
        page.goto(site + "book/reference/for_teachers.html")
        table = page.locator(".bd-article table").first
        widths.append(table.evaluate("table => table.offsetWidth"))
        context.close()
    assert widths[0] == widths[1] > 390


def test_the_two_themes_show_different_figures_on_different_paper(
    visit: Callable[..., Visit],
) -> None:
    seen = {}
    for theme in ("light", "dark"):
        opened = visit("book/adam/adam_derived.html", theme)
        seen[theme] = opened.page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " [...document.querySelectorAll('.cell_output img')]"
            "   .filter(i => i.offsetParent).map(i => i.src.endsWith('.dark.svg'))]"
        )
    assert seen["light"][0] != seen["dark"][0]
    assert len(seen["light"][1]) == len(seen["dark"][1]) > 0
    assert not any(seen["light"][1])
    assert all(seen["dark"][1])


def test_the_theme_that_a_reader_chose_stays(browser: Browser, site: str) -> None:
    """With another wish of the system, and before the page is seen."""
    context = browser.new_context(color_scheme="light")
    context.add_init_script("localStorage.setItem('mode', 'dark')")
    page = context.new_page()
    page.goto(site + "book/adam/adam_derived.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    context.close()


def test_the_search_finds_a_word(visit: Callable[..., Visit]) -> None:
    page = visit("search.html?q=padding").page
    page.wait_for_selector("ul.search li a", timeout=20_000)
    titles = page.eval_on_selector_all(
        "ul.search li a", "links => links.map(l => l.text)"
    )
    assert any("Text" in title for title in titles), titles


def test_an_equation_scrolls_inside_its_box_on_a_very_narrow_screen(
    visit: Callable[..., Visit],
) -> None:
    opened = visit("book/depth/does_adam_converge.html", width=260)
    boxes = opened.page.evaluate(
        "[...document.querySelectorAll('.katex-display')].map(e =>"
        " [e.scrollWidth > e.clientWidth + 1, e.tabIndex, e.ariaLabel])"
    )
    scrolling = [box for box in boxes if box[0]]
    assert scrolling
    assert all(box[1:] == [0, "formula, scrollable"] for box in scrolling)


def test_a_page_is_readable_without_scripts(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site + "book/adam/adam_derived.html")
    assert page.locator("div.math .katex-html").first.is_visible()
    assert page.get_by_role("heading", name="Two moving averages").is_visible()
    text = page.evaluate(
        "async () => {"
        " await Promise.all([...document.images].map(i => (i.loading = 'eager')));"
        " await document.fonts.ready;"
        " const of = (selector) => [...document.querySelectorAll(selector)];"
        " const name = (image) => image.src.replace(/\\.(dark|light)\\./, '.');"
        " return {"
        "  figures: of('.bd-article img').filter(i => i.checkVisibility())"
        "    .map(name),"
        "  all: new Set(of('.bd-article img').map(name)).size,"
        "  formulas: of('.math').filter(e => !e.querySelector('.base')).length,"
        "  fonts: [...document.fonts].filter(f => f.status === 'loaded')"
        "    .map(f => f.family.replaceAll('\"', '')),"
        " }; }"
    )
    assert len(text["figures"]) == len(set(text["figures"])) == text["all"] > 0
    assert text["formulas"] == 0
    assert {"Source Serif 4", "Source Sans 3", "KaTeX_Math"} <= set(text["fonts"])
    context.close()


def test_a_chapter_offers_its_notebook_and_the_command(
    visit: Callable[..., Visit],
) -> None:
    page = visit("book/adam/adam_derived.html").page
    bar = page.locator(".chapter-bar")
    assert "make lab CHAPTER=adam_derived" in bar.inner_text()
    with page.expect_download() as download:
        bar.locator("a").first.click()
    assert Path(download.value.suggested_filename).suffix == ".ipynb"
