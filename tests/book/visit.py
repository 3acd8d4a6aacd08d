"""A page of the built site as it was opened, and what an accessibility checker finds in it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page

from .conftest import ROOT

AXE = ROOT / ".venv/web/node_modules/axe-core/axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


class Visit:
    """A page that was opened, and what happened while it loaded."""

    def __init__(
        self,
        browser: Browser,
        site: str,
        address: str,
        theme: str,
        width: int,
        touch: bool = False,
    ) -> None:
        self.site = site
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, has_touch=touch
        )
        self.context.add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme',"
            f" '{theme}')"
        )
        self.page: Page = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        self.page.on(
            "console",
            lambda message: (
                self.messages.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        self.page.on(
            "response",
            lambda response: (
                self.messages.append(f"{response.status} {response.url}")
                if response.status >= 400
                else None
            ),
        )
        self.page.goto(site + address, wait_until="load")
        # Lazy figures load when they come into view.
        self.page.evaluate(
            "document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })"
        )
        self.page.wait_for_load_state("networkidle")


def violations(page: Page, inside: str = "html") -> list[str]:
    """Return what axe finds wrong in the part of a page that a selector names."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    report: dict[str, Any] = page.evaluate(
        "([inside, tags]) => axe.run(inside, {runOnly: tags})", [inside, WCAG]
    )
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in report["violations"]
        for node in violation["nodes"]
    ]
