"""A browser, and a server for what it looks at: for the tests, and to measure pages."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The first has no window to put around each page: the tests take a sixth less.
BROWSERS = (
    *("chromium-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome", "google-chrome-stable"),
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The headless shell would round the width of each letter to whole pixels; a window
    # does not.
    "--font-render-hinting=none",
]
# Adds up how far things move that are there already, from the first moment.
WATCH_SHIFTS = """
    window.shift = 0;
    new PerformanceObserver((list) => {
        for (const { value } of list.getEntries()) window.shift += value;
    }).observe({ type: "layout-shift", buffered: true });
"""


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome, if there is one."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files over connections that stay open, and logs nothing."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Send a file; a font after a while."""
        if ".woff2" in self.path:
            time.sleep(self.server.late_fonts)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Expects a browser to hang up: it does so when it leaves a page."""

    late_fonts = 0.0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of every other error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serve(folder: Path, late_fonts: float = 0.0) -> Iterator[str]:
    """Serve a folder, yield its address. Fonts may come some seconds late."""
    handler = functools.partial(Handler, directory=str(folder))
    with Server(("127.0.0.1", 0), handler) as server:
        server.late_fonts = late_fonts
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
