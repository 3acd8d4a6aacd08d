"""What all explorables must do, on every page that has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from .conftest import SITE, pages
from .visit import Visit, violations

CONTROLS = "input, select, button"
# Where each stands, (page, name), the shortest page first.
PLACES = [
    (page, name)
    for page in sorted(pages(), key=lambda page: (SITE / page).stat().st_size)
    for name in re.findall(
        r'data-explorable="(\w+)"', (SITE / page).read_text(encoding="utf-8")
    )
]
# Of each the first place, for what does not depend on it.
FIRST = list({name: (page, name) for page, name in reversed(PLACES)}.values())

pytestmark = pytest.mark.browser


def selector(name: str) -> str:
    return f"figure[data-explorable='{name}']"


def ready(page: Page, name: str) -> Locator:
    """Scroll to an explorable, wait until it lives, return it."""
    page.locator(selector(name)).scroll_into_view_if_needed()
    page.wait_for_selector(f"{selector(name)}[data-ready]", timeout=20_000)
    settle(page)
    return page.locator(selector(name))


def all_of(page: Page, name: str) -> Locator:
    """Do the same, and open what it shows only when asked."""
    figure = ready(page, name)
    more = figure.locator("button[aria-expanded=false]")
    if more.count():
        more.click()
        settle(page)
    return figure


def cut_off(figure: Locator) -> list[str]:
    """Return the options that a drop-down has no room for."""
    found: list[str] = figure.locator("select").evaluate_all(
        """all => all.filter((one) => one.offsetParent).flatMap((one) => {
            const style = getComputedStyle(one);
            const pen = document.createElement("canvas").getContext("2d");
            pen.font = style.font;
            // The arrow takes about as much as a letter is high.
            const room = one.clientWidth - parseFloat(style.paddingLeft)
                - parseFloat(style.paddingRight) - parseFloat(style.fontSize);
            return [...one.options].map((option) => option.text)
                .filter((text) => pen.measureText(text).width > room);
        })"""
    )
    return found


def small_letters(figure: Locator) -> list[str]:
    """Return what is written in plots in letters of less than 11 pixels."""
    found: list[str] = figure.locator("svg text").evaluate_all(
        """all => all.filter((one) => {
            const scale = one.ownerSVGElement.getScreenCTM().a;
            return parseFloat(getComputedStyle(one).fontSize) * scale < 11;
        }).map((one) => one.textContent)"""
    )
    return found


def settle(page: Page) -> None:
    """Wait for the next frames, and for what is said after it has come to rest."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 250)))"
    )


def state(figure: Locator) -> list[str]:
    """Return all that a reader sees of the settings and of their result."""
    return [
        *figure.locator("input, select").evaluate_all(
            "all => all.map(e => e.type === 'checkbox' ? String(e.checked) : e.value)"
        ),
        *figure.locator("output, [role=status]").evaluate_all(
            "all => all.map(o => o.textContent)"
        ),
    ]


def shown(figure: Locator) -> list[Locator]:
    """Return the controls that can be seen."""
    return [one for one in figure.locator(CONTROLS).all() if one.is_visible()]


class Explorable(NamedTuple):
    """An explorable on a phone, in the dark theme."""

    visit: Visit
    page: Page
    name: str


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(has_touch=True)
    yield context
    context.close()


@pytest.fixture(scope="module")
def desk(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture(scope="module")
def scriptless(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(java_script_enabled=False)
    yield context
    context.close()


@pytest.fixture
def one(
    request: pytest.FixtureRequest, phone: BrowserContext, site: str
) -> Iterator[Explorable]:
    address, name = request.param
    opened = Visit(phone, site, address, "dark", 390)
    yield Explorable(opened, opened.page, name)
    opened.close()


everywhere = pytest.mark.parametrize("one", PLACES, ids="-".join, indirect=True)
once_each = pytest.mark.parametrize("one", FIRST, ids="-".join, indirect=True)


def test_there_are_explorables() -> None:
    assert {name for _, name in PLACES} == {
        "playground",
        "moments",
        "step",
        "reddi",
        "epsilon",
    }


@everywhere
def test_it_waits_for_the_reader_is_quiet_accessible_and_no_wider_than_a_phone(
    one: Explorable,
) -> None:
    def loaded() -> bool:
        return any("explorables/rules.mjs" in url for url in one.visit.requests)

    nearest = one.page.locator("figure[data-explorable]").first.bounding_box()
    assert nearest is not None
    # The landing page's is near from the beginning.
    if nearest["y"] > 2000:
        assert not loaded()
    figure = ready(one.page, one.name)
    assert loaded()

    assert violations(one.page, selector(one.name)) == []
    assert one.visit.messages == []
    width = one.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "the page scrolls sideways"
    # WCAG 2.2 asks for targets of 24 pixels.
    small = figure.locator(CONTROLS).evaluate_all(
        "all => all.filter(one => one.offsetParent && one.offsetHeight < 24).map(o =>"
        " o.outerHTML)"
    )
    assert small == []
    assert small_letters(figure) == []
    assert cut_off(figure) == []
    # It begins with what fits a phone.
    box = figure.bounding_box()
    assert box is not None
    if one.name == "playground":
        assert box["height"] <= 600
        assert len(figure.locator("input:visible, select:visible").all()) == 2


@once_each
def test_every_control_obeys_the_keyboard(one: Explorable) -> None:
    figure = all_of(one.page, one.name)
    assert cut_off(figure) == []
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
            one.page.keyboard.press("ArrowLeft" if at_end else "ArrowRight")
        elif kind == "select-one":
            at_end = control.evaluate(
                "one => one.selectedIndex === one.options.length - 1"
            )
            one.page.keyboard.press("ArrowUp" if at_end else "ArrowDown")
        elif kind == "text":
            one.page.keyboard.press("End")
            one.page.keyboard.type(" + 1")
        else:
            one.page.keyboard.press("Space")
        settle(one.page)
        if kind in ("button", "submit"):
            continue  # those that bring settings back have nothing to do
        after = [*state(figure), str(len(shown(figure))), figure.inner_text()]
        assert after != before, control.evaluate("one => one.outerHTML")
    assert one.visit.messages == []


@once_each
def test_the_address_brings_the_view_back_and_sliders_and_boxes_obey_a_finger(
    desk: BrowserContext, site: str, one: Explorable
) -> None:
    figure = all_of(one.page, one.name)
    for place, control in enumerate(shown(figure)):
        if control.evaluate("one => one.type") != "range":
            continue
        control.focus()
        for _ in range(1 + place % 3):
            one.page.keyboard.press("PageDown" if place % 2 else "PageUp")
    settle(one.page)
    wanted = state(figure)
    address = one.page.url.removeprefix(one.visit.site)
    again = Visit(desk, site, address, "light", 1280)
    assert state(ready(again.page, one.name)) == wanted
    again.close()

    for place in range(len(shown(figure))):
        controls = shown(figure)
        control = controls[min(place, len(controls) - 1)]
        kind = control.evaluate("one => one.type")
        if kind not in ("range", "checkbox"):
            continue
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        assert box is not None
        share = control.evaluate(
            "one => (one.value - one.min) / (one.max - one.min) > 0.5"
        )
        before = state(figure)
        x = box["x"] + box["width"] * (
            0.5 if kind == "checkbox" else 0.25 if share else 0.75
        )
        one.page.touchscreen.tap(x, box["y"] + box["height"] / 2)
        settle(one.page)
        assert state(figure) != before, control.evaluate("one => one.outerHTML")
    assert one.visit.messages == []


@once_each
def test_buttons_obey_a_finger(one: Explorable) -> None:
    figure = all_of(one.page, one.name)
    for place in range(len(figure.locator("button").all())):
        buttons = [
            button for button in figure.locator("button").all() if button.is_visible()
        ]
        if place >= len(buttons):
            break  # "remove" has removed the last ones
        # Some buttons bring settings back: they have something to do when all sliders
        # were moved.
        for control in shown(figure):
            if control.evaluate("e => e.type") == "range":
                control.focus()
                one.page.keyboard.press("ArrowLeft")
        settle(one.page)
        text = figure.inner_text()
        address = one.page.url
        name = buttons[place].inner_text()
        buttons[place].tap()
        settle(one.page)
        assert (figure.inner_text(), one.page.url) != (text, address), name
    assert one.visit.messages == []


@pytest.mark.parametrize(("address", "name"), FIRST, ids=lambda value: str(value))
def test_nonsense_in_the_address_is_left_out(
    desk: BrowserContext, site: str, address: str, name: str
) -> None:
    nonsense = (
        "a:<b>,beta1:7,b1:7,b2:x,t:-3,lr:-1,eps:NaN,n:1e9,s:constructor,"
        "o:__proto__~lr=9,:,%"
    )
    opened = Visit(desk, site, f"{address}?{name}={nonsense}", "light", 1280)
    assert state(ready(opened.page, name))
    assert opened.messages == []
    opened.close()


@pytest.mark.parametrize(("address", "name"), FIRST, ids=lambda value: str(value))
def test_a_program_that_does_not_arrive_leaves_the_picture(
    desk: BrowserContext, site: str, address: str, name: str
) -> None:
    page = desk.new_page()
    page.route(f"**/explorables/{name}.mjs*", lambda route: route.abort())
    page.goto(site + address)
    figure = page.locator(selector(name))
    figure.scroll_into_view_if_needed()
    figure.locator("img").filter(visible=True).wait_for(timeout=20_000)
    page.close()


@pytest.mark.parametrize(("address", "name"), PLACES, ids=lambda value: str(value))
def test_without_scripts_there_is_a_picture(
    scriptless: BrowserContext, site: str, address: str, name: str
) -> None:
    page = scriptless.new_page()
    page.goto(site + address)
    figure = page.locator(selector(name))
    # One for each theme, of which one is shown.
    pictures = figure.locator("img").filter(visible=True)
    assert pictures.count() == 1
    assert len(pictures.first.get_attribute("alt") or "") >= 20
    assert pictures.first.is_visible()
    assert figure.locator("figcaption").is_visible()
    page.close()
