"""Serve the website: ``python book/_tools/serve.py PORT``."""

from __future__ import annotations

import contextlib
import functools
import http.server
import sys

from running import SITE, run


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C."""
    (port,) = arguments
    if not port.isdecimal() or not 0 < int(port) < 65536:
        sys.exit(f"PORT must be a number from 1 to 65535, got {port!r}")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(SITE)
    )
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
    except OSError as error:
        sys.exit(f"Port {port}: {error.strerror}. Name another: make serve PORT=8001")
    with contextlib.suppress(KeyboardInterrupt):
        print(f"serving on http://localhost:{port}, stop with Ctrl-C", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    run(main)
