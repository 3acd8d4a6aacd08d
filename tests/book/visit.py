"""A page of the built site in a browser, and what an accessibility checker finds."""

from __future__ import annotations

from browsing import WATCH_SHIFTS
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response

from .conftest import ROOT

AXE = ROOT / ".venv/web/node_modules/axe-core/axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
HEIGHT = 900
# Asked and not heard of by events: a lazy figure whose load begins anew fires those of
# its first one too. What has not come in ten seconds does not come.
LOAD_IMAGES = """async () => {
    const missing = () => [...document.images].filter((image) => {
        image.loading = "eager";
        return !(image.complete && image.naturalWidth);
    });
    for (let k = 0; k < 200 && missing().length; k++)
        await new Promise((done) => setTimeout(done, 50));
}"""


class Visit:
    """A page that was opened, and what happened since.

    Parameters
    ----------
    context : BrowserContext
        Its pages share what the browser keeps; opening a second one is quicker.
    address : str
        The page, and where it is served.
    site : str
    theme : {"light", "dark"}
        What the reader's system asks for.
    width : int
        Of the window, in pixels.
    """

    def __init__(
        self, context: BrowserContext, site: str, address: str, theme: str, width: int
    ) -> None:
        self.site = site
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        self.page.on("console", self._on_console)
        self.page.on("response", self._on_response)
        self._resize(theme, width)
        self.page.add_init_script(WATCH_SHIFTS)
        self.page.goto(site + address, wait_until="networkidle")
        # On a busy machine the network rests before the scripts have run.
        self.page.wait_for_load_state("load")
        # What a reader waits for who has not scrolled yet.
        self.first_requests = list(self.requests)
        self.shift: float = self.page.evaluate("window.shift")
        # Colours and places are to be seen as they become, not on their way there.
        self.page.add_style_tag(
            content="*, ::before, ::after { transition: none !important; }"
        )
        # Lazy figures load when they come into view.
        self.page.evaluate(LOAD_IMAGES)
        self.look(theme, width)

    def look(self, theme: str, width: int) -> None:
        """Change theme and window, wait until the page has followed."""
        self._resize(theme, width)
        self.page.wait_for_function(
            "theme => document.documentElement.dataset.theme === theme", arg=theme
        )
        # Its scripts hear of the new size in the next frame.
        self.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
        )

    def close(self) -> None:
        """Leave the page."""
        self.page.close()

    def _resize(self, theme: str, width: int) -> None:
        self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        self.page.set_viewport_size({"width": width, "height": HEIGHT})

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.messages.append(f"{response.status} {response.url}")


def violations(page: Page, inside: str = "html", *, formulas: bool = True) -> list[str]:
    """Return what axe finds wrong in the part of a page that a selector names.

    Half of a chapter is the boxes of its formulas, which no screen reader meets.
    Without ``formulas`` they are taken out for as long as axe looks. Of the rest, most
    is words of code: of those in a block that look alike, the first stands for all.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    # Describing what is right would take as long as looking.
    found: list[str] = page.evaluate(
        """async ([inside, tags, formulas]) => {
            const look = (word) => {
                const style = getComputedStyle(word);
                return ["color", "backgroundColor", "opacity", "fontSize", "fontWeight",
                    "display", "visibility"].map((name) => style[name]).join();
            };
            // An element that says more than how its text looks is left to all rules,
            // and a single letter, which axe does not judge, stands for no other.
            const says = (word) => word.childElementCount
                || word.getAttributeNames().some((name) => name !== "class");
            const brief = (block) => {
                const seen = new Set();
                const stays = [...block.querySelectorAll("span")].map((word) => {
                    if (says(word) || word.parentElement !== block) return true;
                    const key = look(word);
                    if (seen.has(key)) return false;
                    if (word.textContent.trim().length > 1) seen.add(key);
                    return true;
                });
                const copy = block.cloneNode(true);
                [...copy.querySelectorAll("span")].forEach((word, k) =>
                    stays[k] || word.replaceWith(word.textContent));
                return [block, [...copy.childNodes]];
            };
            const boxes = formulas ? [] : document.querySelectorAll(".katex-html");
            const taken = [...boxes].map((box) => [box, [...box.childNodes]]);
            for (const [box] of taken) box.replaceChildren();
            const briefs = [...document.querySelectorAll("pre")].map(brief);
            for (const [block, words] of briefs) {
                taken.push([block, [...block.childNodes]]);
                block.replaceChildren(...words);
            }
            const options = { runOnly: tags, resultTypes: ["violations"] };
            const { violations } = await axe.run(inside, options);
            for (const [box, children] of taken) box.replaceChildren(...children);
            return violations.flatMap(({ id, nodes }) =>
                nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`));
        }""",
        [inside, WCAG, formulas],
    )
    return found
