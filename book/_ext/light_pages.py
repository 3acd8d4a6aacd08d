"""Keep the first view of a page light: few requests, and only what the page uses.

When all pages are written, their style sheets become one, and so do their scripts;
fonts lose the characters that no page has. Figures are loaded when the reader comes
near, the search index by the page that searches.
"""

from __future__ import annotations

import base64
import hashlib
import html
import posixpath
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from small_fonts import small_font
from stylesheets import light_on_paper, rules, used, with_addresses

STYLE_LINK = re.compile(
    r'\s*<link [^>]*?href="(?P<address>[^"]*\.css)[^"]*"[^>]*>', re.DOTALL
)
SCRIPT = re.compile(
    r"\s*<script\b(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL
)
PRELOAD = re.compile(r'\s*<link rel="preload" as="(?:script|font)"[^>]*>')
SOURCE = re.compile(r'\bsrc="([^"?]*)')
NARROW = re.compile(r'<source media="[^"]*" srcset="(?P<address>[^"]*)">')
IMAGE = re.compile(r"<img\b(?P<rest>[^>]*)>")
SIZE = re.compile(r'<svg [^>]*?\bwidth="([\d.]+)pt"[^>]*?\bheight="([\d.]+)pt"')
THEME = re.compile(r'<script data-cfasync="false">.*?</script>', re.DOTALL)

# In this order; what does not lie in our own folders loses the rules that no page uses.
STYLES = (
    "basic.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "togglebutton.css",
    "copybutton.css",
    "mystnb.*.css",
    "exercise.css",
    "proof.css",
    "katex/katex.min.css",
    "explorables/looks.css",
    "explorables/explorables.css",
    "css/fonts.css",
    "css/book.css",
)
# Our own styles: no rule of them is without use, though scripts put its name together.
OWN = ("css/", "explorables/")
# The first asks for basic.css, book.css says what the second says of formulas, and no
# page has the cards and tabs of the third.
UNUSED_STYLES = (
    "styles/theme.css",
    "katex-math.css",
    "sphinx-design.min.css",
    "sphinx-thebe.css",
)
# The theme loads 1.5 MB of Font Awesome as a script, although the same icons are in its
# fonts, and the scripts of a live-code service that this book does not use.
UNUSED_SCRIPTS = ("bootstrap.js", "design-tabs.js", "fontawesome.js", "sphinx-thebe.js")
UNUSED_FILES = ("scripts/fontawesome.js", "sphinx-thebe.js", "sphinx-thebe.css")
# What a screen reader would stumble over: a role that was withdrawn from the standard,
# a label that differs from the visible text, and a button without a name.
REPLACED = {
    ' role="doc-biblioentry"': ' role="listitem"',
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<summary><span class="toctree-toggle"': (
        '<summary aria-label="Its pages"><span class="toctree-toggle"'
    ),
}
# In this order. Bootstrap is not among them: all it does here are hints in a box of
# its own, in place of those of the browser.
SCRIPTS = (
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "clipboard.min.js",
    "copybutton.js",
    "togglebutton.js",
    "scripts/sphinx-book-theme.js",
    "scripts/pydata-sphinx-theme.js",
    "js/wide.js",
)
# What the theme writes into each page.
SETTINGS = """
let toggleHintShow = "Click to show";
let toggleHintHide = "Click to hide";
let toggleOpenOnPrint = "true";
var togglebuttonSelector = ".toggle, .admonition.dropdown";
DOCUMENTATION_OPTIONS.search_as_you_type = false;
window.bootstrap = { Tooltip: class {} };
"""
# The page that searches has these, and loads them when it does.
SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")
# Before the first paint, and without a moment in which both themes' figures show.
THEME_SCRIPT = """<script>
    (() => {
      const { dataset } = document.documentElement;
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      dataset.mode = localStorage.getItem("mode") || "auto";
      const wanted = dark ? "dark" : "light";
      dataset.theme = dataset.mode === "auto" ? wanted : dataset.mode;
    })();
  </script>"""
# Fonts that are smaller go into the style sheet: each request takes its time.
INLINE_BYTES = 4000
# Fonts that a page with a certain text needs at once. They come before the style sheet
# asks for them, so that the text need not move when they do.
PRELOADED = {
    "source-serif-4-latin-wght-normal": "<p>",
    "source-sans-3-latin-wght-normal": "<h1>",
    "source-serif-4-latin-wght-italic": "(?<!<td>)<p>(?:(?!</p>).)*<em>",
    "source-code-pro-latin-wght-normal": "<pre>|<code",
    "KaTeX_Main-Regular": 'class="katex"',
    "KaTeX_Math-Italic": "mathnormal",
}
ASCII = range(32, 127)

TABLE = re.compile(
    r'<div class="pst-scrollable-table-container">\s*(?=(<table.*?</table>))', re.DOTALL
)
WHOLE_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
ROWS = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
CELLS = re.compile(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", re.DOTALL)
# What screen readers get of a formula is not seen.
TAGS = re.compile(r'<span class="katex-mathml">.*?</math></span>|<[^>]*>', re.DOTALL)
# A name in code may be broken where it joins words: after a dot, before a capital.
CODE_WORD = re.compile(r'(?<=<span class="pre">)[^<]+')
JOINT = re.compile(r"(?<=[._(=/,])(?=[A-Za-z])|(?<=[a-z0-9])(?=[A-Z])")
SOLUTION = re.compile(r"(Solution to)(<a [^>]*>) ")
# In pixels: a letter, what surrounds the text of a cell, the room on a phone.
LETTER, CELL, PHONE = 7.5, 17, 350


def words_of(pages: Iterable[str], scripts: Iterable[str]) -> set[str]:
    """Return every class and identifier that a page has or a script may give it."""
    words: set[str] = set()
    for page in pages:
        for value in set(re.findall(r'\b(?:class|id)="([^"]*)"', page)):
            words.update(html.unescape(value).split())
    for script in scripts:
        words.update(re.findall(r"[\w-]+", script))
    return words


def characters_of(texts: Iterable[str]) -> set[int]:
    """Return the code points in pages, scripts and styles, and all of ASCII."""
    found = set(ASCII)
    for text in texts:
        found.update(map(ord, set(html.unescape(text))))
        # How scripts and styles write those that an editor may not show.
        found.update(
            int(code, 16) for code in re.findall(r"\\u?([0-9a-fA-F]{4,5})", text)
        )
    return found


def one_style_sheet(static: Path, words: set[str]) -> str:
    """Return the text of all style sheets, as the file ``site.css`` beside them."""
    parts = []
    for pattern in STYLES:
        for file in sorted(static.glob(pattern)):
            name = file.relative_to(static).as_posix()
            folder = posixpath.dirname(name)
            css = with_addresses(file.read_text(encoding="utf-8"), folder)
            parts.append(css if name.startswith(OWN) else used(css, words))
    return light_on_paper("\n".join(parts))


def with_small_fonts(
    css: str, static: Path, characters: set[int], cache: Path
) -> tuple[str, dict[str, str]]:
    """Return a style sheet with smaller fonts, and the new name of each file."""
    names: dict[str, str] = {}
    parts = []
    found = list(rules(css))
    styles = _plain(
        "".join(body or "" for prelude, body in found if prelude != "@font-face")
    )
    for prelude, body in found:
        if prelude == "@font-face" and body:
            family = re.search(r"font-family:\s*[\"']?([^;\"']+)", body)
            if family is None or _plain(family[1]) not in styles:
                continue
            body = _small_face(body, static, characters, cache, names)
        parts.append(f"{prelude}{{{body}}}")
    return "\n".join(parts), names


def _plain(css: str) -> str:
    return css.replace("\\", "").replace("'", '"')


def _small_face(
    body: str, static: Path, characters: set[int], cache: Path, names: dict[str, str]
) -> str:
    found = re.search(r"url\(([^)]*?\.woff2)\)", body)
    if found is None:
        return body
    file = static / found[1].strip("\"'")
    font = small_font(file, characters, cache)
    if len(font) < INLINE_BYTES:
        source = "data:font/woff2;base64," + base64.b64encode(font).decode()
    else:
        version = hashlib.sha256(font).hexdigest()[:8]
        source = names[file.stem] = f"fonts/{file.stem}-{version}.woff2"
        (static / source).write_bytes(font)
    return re.sub(r"src:[^;}]*", f'src:url({source}) format("woff2")', body)


def image_size(file: Path) -> tuple[int, int] | None:
    """Return width and height of a picture in pixels, if its file states them."""
    if file.suffix != ".svg":
        return None
    found = SIZE.search(file.read_text(encoding="utf-8")[:2000])
    if found is None:
        return None
    width, height = (round(float(size) * 4 / 3) for size in found.groups())
    return width, height


def lighten(
    page: str, static: str, style: str, script: str, fonts: Iterable[str]
) -> str:
    """Return a page that asks for one style sheet and one script.

    Parameters
    ----------
    page : str
        Its text.
    static : str
        The address of the folder of assets, from the page.
    style, script : str
        The names of the files, with their version.
    fonts : iterable of str
        What is needed at once.
    """

    def script_tag(match: re.Match[str]) -> str:
        attributes, text = match["attributes"], match["text"]
        source = SOURCE.search(attributes)
        if source is None:
            ours = any(
                sign in text
                for sign in (
                    "toggleHint",
                    "toggleOpen",
                    "togglebutton",
                    "DOCUMENTATION_",
                    "THEBE_JS_URL",
                )
            )
            return (
                ""
                if ours or "thebe" in attributes or "kernelName" in text
                else match[0]
            )
        name = source[1].rpartition("_static/")[2]
        if name.endswith(SEARCH):
            searching = 'id="search-results"' in page
            return f'\n<script defer src="{source[1]}"></script>' if searching else ""
        if name.endswith((*SCRIPTS, *UNUSED_SCRIPTS, "site.js")):
            return ""
        return match[0]

    def style_link(match: re.Match[str]) -> str:
        name = match["address"].rpartition("_static/")[2]
        if not any(fnmatch(name, one) for one in (*STYLES, *UNUSED_STYLES, "site.css")):
            raise ExtensionError(f"{name} is in no list of light_pages.py")
        return ""

    head = "".join(
        f'\n<link rel="preload" as="font" type="font/woff2" crossorigin'
        f' href="{static}{font}">'
        for font in fonts
    )
    head += f'\n<link rel="stylesheet" href="{static}{style}">'
    head += f'\n<script defer src="{static}{script}"></script>'
    page = THEME.sub(lambda _: THEME_SCRIPT, page)
    page = PRELOAD.sub("", page)
    page = STYLE_LINK.sub(style_link, page)
    page = SCRIPT.sub(script_tag, page)
    for old, new in REPLACED.items():
        page = page.replace(old, new)
    page = SOLUTION.sub(r"\1 \2", page)  # a link is underlined, the space before it not
    # Without scripts the page is light.
    page = page.replace('data-theme="auto"', 'data-theme="light"', 1)
    return page.replace("</title>", f"</title>{head}", 1)


def with_lazy_images(page: str, folder: Path) -> str:
    """Return a page whose figures have a size at once, and load when they are near."""

    def image(match: re.Match[str]) -> str:
        rest = match["rest"]
        source = SOURCE.search(rest)
        if "loading=" in rest or source is None or source[1].startswith("data:"):
            return match[0]
        size = image_size(folder / html.unescape(source[1]))
        if size and "width=" not in rest:
            rest = f' width="{size[0]}" height="{size[1]}"{rest}'
        return f'<img loading="lazy"{rest}>'

    def narrow(match: re.Match[str]) -> str:
        size = image_size(folder / html.unescape(match["address"]))
        if size is None:
            return match[0]
        return f'{match[0][:-1]} width="{size[0]}" height="{size[1]}">'

    return NARROW.sub(narrow, IMAGE.sub(image, page))


def with_joints_in_tables(page: str) -> str:
    """Return a page whose names in the code of tables have places to be broken at.

    Where a column is narrow, ``configure_optimizers`` would be cut at any letter.
    """

    def table(match: re.Match[str]) -> str:
        return CODE_WORD.sub(lambda word: JOINT.sub("<wbr>", word[0]), match[0])

    return WHOLE_TABLE.sub(table, page)


def with_roomy_tables(page: str) -> str:
    """Return a page whose tables that will scroll on a phone are laid out so at once.

    The script that measures them comes after the first look at the page, and everything
    below would move. How wide a table is at least is estimated from its longest words.
    """

    def table(match: re.Match[str]) -> str:
        rows = [CELLS.findall(row) for row in ROWS.findall(match[1])]
        columns = zip_longest(*rows, fillvalue="")
        width = sum(CELL + LETTER * max(map(_longest_word, cells)) for cells in columns)
        if width <= PHONE:
            return match[0]
        return match[0].replace('container"', 'container roomy-on-phone"')

    return TABLE.sub(table, page)


def _longest_word(cell: str) -> int:
    text = html.unescape(TAGS.sub("", cell.replace("<wbr>", " ")))
    words = re.findall(r"[^\s-]+-?", text)
    return max(map(len, words), default=0)


def lighten_site(app: Sphinx, exception: Exception | None) -> None:
    """Rewrite every page, when all are written."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    for name in UNUSED_FILES:
        (static / name).unlink(missing_ok=True)
    files = {
        file: file.read_text(encoding="utf-8")
        for file in sorted(out.rglob("*.html"))
        if not file.is_relative_to(static) and not file.is_relative_to(out / "_sources")
    }
    scripts = [(static / name).read_text(encoding="utf-8") for name in SCRIPTS]
    explorables = [
        file.read_text(encoding="utf-8")
        for file in sorted((static / "explorables").glob("*.mjs"))
    ]
    css = one_style_sheet(static, words_of(files.values(), scripts + explorables))
    characters = characters_of([*files.values(), *scripts, *explorables, css])
    css, fonts = with_small_fonts(
        css, static, characters, Path(app.srcdir, "_build/fonts")
    )
    # Ours in braces: its names are its own.
    js = scripts[0] + SETTINGS + "\n;".join(scripts[1:-1]) + f"\n;{{{scripts[-1]}}}"
    js = re.sub(r"^//# sourceMappingURL.*$", "", js, flags=re.MULTILINE)
    versions = {}
    for name, text in (("site.css", css), ("site.js", js)):
        (static / name).write_text(text, encoding="utf-8")
        versions[name] = f"{name}?v={hashlib.sha256(text.encode()).hexdigest()[:8]}"
    for file, text in files.items():
        if 'http-equiv="Refresh"' in text:
            continue
        to_static = "../" * len(file.relative_to(out).parts[1:]) + "_static/"
        page = lighten(
            text,
            to_static,
            versions["site.css"],
            versions["site.js"],
            [
                fonts[name]
                for name, sign in PRELOADED.items()
                if name in fonts and re.search(sign, text)
            ],
        )
        page = with_joints_in_tables(with_lazy_images(page, file.parent))
        page = with_roomy_tables(page)
        file.write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", lighten_site, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
