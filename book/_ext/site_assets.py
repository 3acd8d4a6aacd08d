"""Serve what the pages load from the site itself, and nothing that they do not use.

KaTeX's style sheet and the text fonts are in ``.venv/web/node_modules``, where ``make``
puts them. They are copied into the site's ``_static``; the style sheets ask for the
woff2 files only.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import sphinxcontrib.katex as katex
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError


def start_formula_server(
    folder: Path, timeout: float
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the node process that renders formulas, and connect to its unix socket.

    The library connects as soon as the socket's file exists. Now and then that is
    before the server listens, and the build fails. (Its network variant tries again,
    but waits 40 ms for each formula, because of how small packets are sent.)
    """
    address = folder / "katex.sock"
    command = katex.KaTeXServer.build_command(socket=address)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    )
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(address))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise
            time.sleep(0.01)
        else:
            return process, connection


katex.KaTeXServer.start_server_process = staticmethod(start_formula_server)
katex.STARTUP_TIMEOUT = 60.0
katex.RENDER_TIMEOUT = 60.0
# By default a typo in a formula is shown in red on the page; here it ends the build.
katex.KATEX_DEFAULT_OPTIONS.update(throwOnError=True)

FONTS = {
    "source-serif-4": ("normal", "italic"),
    "source-sans-3": ("normal", "italic"),
    "source-code-pro": ("normal",),
}

# The theme loads 1.5 MB of Font Awesome as a script, although the same icons are in its
# fonts, and the scripts of a live-code service that this book does not use.
UNUSED_IN_PAGE = re.compile(
    r"\s*<script[^>]*fontawesome\.js[^>]*></script>"
    r"|\s*<script>const THEBE_JS_URL.*?</script>"
    r"|\s*<script[^>]*sphinx-thebe\.js[^>]*></script>"
    r"|\s*<link[^>]*sphinx-thebe\.css[^>]*/?>",
    re.DOTALL,
)
# What a screen reader would stumble over: a role that was withdrawn from the standard,
# a label that differs from the visible text, and a button without a name.
REPLACED_IN_PAGE = {
    ' role="doc-biblioentry"': ' role="listitem"',
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<summary><span class="toctree-toggle"': (
        '<summary aria-label="Its pages"><span class="toctree-toggle"'
    ),
}
UNUSED_FILES = (
    "scripts/fontawesome.js",
    "sphinx-thebe.js",
    "sphinx-thebe.css",
)


def node_modules(srcdir: Path) -> Path:
    """Return the folder with the packages that npm installed."""
    return Path(os.environ.get("BOOK_NODE_MODULES", srcdir / ".venv/web/node_modules"))


def copy_assets(app: Sphinx, config: Config) -> None:
    """Copy KaTeX's style sheet and the fonts to a folder on the static path."""
    modules = node_modules(Path(app.srcdir))
    if not modules.is_dir():
        raise ExtensionError(
            f"{modules} is missing: build with `make book`, which installs it"
        )
    assets = Path(app.srcdir) / "_build/assets"
    shutil.rmtree(assets, ignore_errors=True)
    fonts = assets / "katex/fonts"
    fonts.mkdir(parents=True)

    style = (modules / "katex/dist/katex.min.css").read_text(encoding="utf-8")
    # All browsers of today know woff2; the other formats are not copied.
    style = re.sub(r',url\(fonts/[^)]*\.(?:woff|ttf)\) format\("[a-z]*"\)', "", style)
    (assets / "katex/katex.min.css").write_text(style, encoding="utf-8")
    for font in sorted((modules / "katex/dist/fonts").glob("*.woff2")):
        shutil.copy(font, fonts)

    text_fonts = assets / "fonts"
    text_fonts.mkdir()
    for family, shapes in FONTS.items():
        folder = modules / "@fontsource-variable" / family
        for shape in shapes:
            # The second file holds Greek, which the text uses for betas and epsilons.
            for script in ("latin", "greek"):
                shutil.copy(
                    folder / f"files/{family}-{script}-wght-{shape}.woff2",
                    text_fonts,
                )
        shutil.copy(folder / "LICENSE", text_fonts / f"{family}-LICENSE.txt")
    config.html_static_path.append(str(assets))


def link_repository(_app: Sphinx, config: Config) -> None:
    """Show buttons that lead to the repository, if it has an address."""
    url = config.book_repository_url
    options = config.html_theme_options
    options["repository_url"] = url
    for button in (
        "use_repository_button",
        "use_source_button",
        "use_issues_button",
    ):
        options[button] = bool(url)
    options["repository_branch"] = "main"


def use_execution_cache(_app: Sphinx, config: Config) -> None:
    """Take the executed chapters from where the build put them."""
    config.nb_execution_cache_path = os.environ.get(
        "BOOK_EXECUTION_CACHE", config.nb_execution_cache_path
    )


def slim_pages(app: Sphinx, exception: Exception | None) -> None:
    """Remove from every page what the site does not use."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        slim = UNUSED_IN_PAGE.sub("", text)
        for old, new in REPLACED_IN_PAGE.items():
            slim = slim.replace(old, new)
        if slim != text:
            page.write_text(slim, encoding="utf-8")
    for name in UNUSED_FILES:
        (out / "_static" / name).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("book_repository_url", "", "html", [str])
    app.connect("config-inited", copy_assets)
    app.connect("config-inited", link_repository)
    app.connect("config-inited", use_execution_cache)
    app.connect("build-finished", slim_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
