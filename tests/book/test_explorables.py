"""What all explorables must do, on every page that has one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from .conftest import SITE, pages
from .visit import Visit, violations

FIGURE = "figure[data-explorable]"
CONTROLS = "input, select, button"
WITH_EXPLORABLES = [
    page for page in pages() if "data-explorable=" in (SITE / page).read_text(encoding="utf-8")
]

pytestmark = pytest.mark.browser


def ready(page: Page) -> Locator:
    """Scroll to the explorable, wait until it lives, return it."""
    page.locator(FIGURE).first.scroll_into_view_if_needed()
    page.wait_for_selector(f"{FIGURE}[data-ready]", timeout=20_000)
    settle(page)
    return page.locator(FIGURE).first


def settle(page: Page) -> None:
    """Wait for the next frames, and for what is said after it has come to rest."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 250)))")


def state(figure: Locator) -> list[str]:
    """Return all that a reader sees of the settings and of their result."""
    return [
        *figure.locator("input, select").evaluate_all(
            "all => all.map(one => one.type === 'checkbox' ? String(one.checked) : one.value)"
        ),
        *figure.locator("output, [role=status]").evaluate_all("all => all.map(o => o.textContent)"),
    ]


def shown(figure: Locator) -> list[Locator]:
    """Return the controls that can be seen."""
    return [one for one in figure.locator(CONTROLS).all() if one.is_visible()]


@pytest.fixture(scope="module", params=WITH_EXPLORABLES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def narrow(browser: Browser, site: str, address: str) -> Iterator[Visit]:
    opened = Visit(browser, site, address, "dark", 390, touch=True)
    yield opened
    opened.context.close()


def test_there_are_explorables() -> None:
    assert len(WITH_EXPLORABLES) >= 5


def test_it_is_not_loaded_before_the_reader_comes_near(narrow: Visit) -> None:
    if narrow.page.locator(FIGURE).first.bounding_box()["y"] > 2000:  # type: ignore[index]
        assert not [url for url in narrow.requests if "explorables/rules.mjs" in url]
    ready(narrow.page)
    assert [url for url in narrow.requests if "explorables/rules.mjs" in url]


def test_it_is_quiet_accessible_and_no_wider_than_a_phone(narrow: Visit) -> None:
    figure = ready(narrow.page)
    assert violations(narrow.page, FIGURE) == []
    assert narrow.messages == []
    width = narrow.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "the page scrolls sideways"
    # WCAG 2.2 asks for targets of 24 pixels.
    small = figure.locator(CONTROLS).evaluate_all(
        "all => all.filter(one => one.offsetParent && one.offsetHeight < 24).map(o => o.outerHTML)"
    )
    assert small == []


def test_every_control_obeys_the_keyboard(narrow: Visit) -> None:
    figure = ready(narrow.page)
    for place in range(len(shown(figure))):
        controls = shown(figure)
        if place >= len(controls):
            break  # a button that removes something has removed the last ones
        control = controls[place]
        kind = control.evaluate("one => one.type || one.tagName.toLowerCase()")
        before = [*state(figure), str(len(controls)), figure.inner_text()]
        control.focus()
        if kind == "range":
            at_end = control.evaluate("one => one.value === one.max")
            narrow.page.keyboard.press("ArrowLeft" if at_end else "ArrowRight")
        elif kind == "select-one":
            at_end = control.evaluate("one => one.selectedIndex === one.options.length - 1")
            narrow.page.keyboard.press("ArrowUp" if at_end else "ArrowDown")
        elif kind == "text":
            narrow.page.keyboard.press("End")
            narrow.page.keyboard.type(" + 1")
        else:
            narrow.page.keyboard.press("Space")
        settle(narrow.page)
        if kind in ("button", "submit"):
            continue  # at the end of a run, "one step on" has nothing to do
        after = [*state(figure), str(len(shown(figure))), figure.inner_text()]
        assert after != before, control.evaluate("one => one.outerHTML")
    assert narrow.messages == []


def test_sliders_and_boxes_obey_a_finger(narrow: Visit) -> None:
    figure = ready(narrow.page)
    for place in range(len(shown(figure))):
        controls = shown(figure)
        control = controls[min(place, len(controls) - 1)]
        kind = control.evaluate("one => one.type")
        if kind not in ("range", "checkbox"):
            continue
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        assert box is not None
        share = control.evaluate("one => (one.value - one.min) / (one.max - one.min) > 0.5")
        before = state(figure)
        x = box["x"] + box["width"] * (0.5 if kind == "checkbox" else 0.25 if share else 0.75)
        narrow.page.touchscreen.tap(x, box["y"] + box["height"] / 2)
        settle(narrow.page)
        assert state(figure) != before, control.evaluate("one => one.outerHTML")
    assert narrow.messages == []


def test_the_address_brings_the_same_view_back(browser: Browser, site: str, narrow: Visit) -> None:
    figure = ready(narrow.page)
    for place, control in enumerate(shown(figure)):
        if control.evaluate("one => one.type") != "range":
            continue
        control.focus()
        for _ in range(1 + place % 3):
            narrow.page.keyboard.press("PageDown" if place % 2 else "PageUp")
    settle(narrow.page)
    wanted = state(figure)
    address = narrow.page.url.removeprefix(narrow.site)
    again = Visit(browser, site, address, "light", 1280)
    assert state(ready(again.page)) == wanted
    again.context.close()


def test_nonsense_in_the_address_is_left_out(browser: Browser, site: str, address: str) -> None:
    name = "a:<b>,beta1:7,beta2:x,lr:-1,eps:NaN,n:1e9,s:constructor,o:__proto__~lr=9,:,t"
    explorables = ("moments", "step", "reddi", "epsilon", "playground")
    nonsense = "&".join(f"{one}={name}" for one in explorables)
    opened = Visit(browser, site, f"{address}?{nonsense}", "light", 1280)
    assert state(ready(opened.page))
    assert opened.messages == []
    opened.context.close()


def test_without_scripts_there_is_a_picture(browser: Browser, site: str, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site + address)
    for figure in page.locator(FIGURE).all():
        pictures = figure.locator("img")
        assert pictures.count() == 2
        assert len(pictures.first.get_attribute("alt") or "") >= 20
        assert pictures.first.is_visible()
        assert figure.locator("figcaption").is_visible()
    context.close()
