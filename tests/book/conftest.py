"""A browser, a server for the built site, and the list of its pages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
# The extensions and tools of the book import each other by name.
sys.path[:0] = [str(ROOT / "book/_ext"), str(ROOT / "book/_tools")]

from browsing import FLAGS, find_browser, serve  # noqa: E402
from running import SITE as SITE  # noqa: E402

HOW_TO_GET_ONE = (
    "no Chromium or Chrome found: install one (Debian, Ubuntu: apt install chromium), "
    "or name one in the variable CHROMIUM"
)


def pages() -> list[str]:
    """Return the address of every page, relative to the site."""
    if not (SITE / "index.html").exists():
        pytest.fail(f"{SITE} is missing: run `make book` first", pytrace=False)
    # The page at the root only sends its visitors on to the landing page.
    redirect = SITE / "index.html"
    return sorted(
        page.relative_to(SITE).as_posix()
        for page in SITE.rglob("*.html")
        if page != redirect
        and not {"_static", "_sources"} & set(page.relative_to(SITE).parts)
    )


def browser_is_missing() -> bool:
    """Return whether there is no browser, and none was asked for."""
    return find_browser() is None and os.environ.get("BROWSER_TESTS") != "required"


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what needs a browser where there is none."""
    if browser_is_missing():
        left_out = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and how to get it."""
    if browser_is_missing():
        terminalreporter.write_line(f"The pages were not looked at: {HOW_TO_GET_ONE}")


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Serve the built site, yield its address."""
    assert pages()
    with serve(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start a browser."""
    path = find_browser()
    if path is None:
        pytest.fail(HOW_TO_GET_ONE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def blank(browser: Browser, site: str) -> Iterator[Page]:
    """Open a page of the site that loads nothing: tests import modules in it."""
    page = browser.new_page()
    page.goto(site + "_static/favicon.svg")
    yield page
    page.close()
