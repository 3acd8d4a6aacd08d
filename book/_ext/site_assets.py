"""Serve what the pages load from the site itself.

KaTeX's style sheet and the text fonts are in ``.venv/web/node_modules``, where ``make``
puts them. They are copied into the site's ``_static``, the fonts as woff2; what a page
loads of them ``light_pages`` decides.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import sphinxcontrib.katex as katex
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

sys.path.append(str(Path(__file__).parents[1] / "_tools"))
import project


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

# The files with Greek are for the betas and epsilons of the text.
FONTS = {
    "source-serif-4": ("latin-normal", "latin-italic", "greek-normal", "greek-italic"),
    "source-sans-3": ("latin-normal", "greek-normal"),
    "source-code-pro": ("latin-normal", "greek-normal"),
}


def copy_assets(app: Sphinx, config: Config) -> None:
    """Copy KaTeX's style sheet and the fonts to a folder on the static path."""
    modules = Path(app.srcdir, ".venv/web/node_modules")
    if not modules.is_dir():
        raise ExtensionError(
            f"{modules} is missing: build with `make book`, which installs it"
        )
    assets = Path(app.srcdir) / "_build/assets"
    shutil.rmtree(assets, ignore_errors=True)
    fonts = assets / "katex/fonts"
    fonts.mkdir(parents=True)

    shutil.copy(modules / "katex/dist/katex.min.css", assets / "katex")
    for font in sorted((modules / "katex/dist/fonts").glob("*.woff2")):
        shutil.copy(font, fonts)

    text_fonts = assets / "fonts"
    text_fonts.mkdir()
    for family, files in FONTS.items():
        folder = modules / "@fontsource-variable" / family
        for file in files:
            name = f"{family}-{file.replace('-', '-wght-')}.woff2"
            shutil.copy(folder / "files" / name, text_fonts)
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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("book_repository_url", project.repository(), "html", [str])
    app.connect("config-inited", copy_assets)
    app.connect("config-inited", link_repository)
    app.connect("config-inited", use_execution_cache)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
