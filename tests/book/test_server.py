"""The server of the tests is quiet when a browser hangs up, and only then."""

from __future__ import annotations

import socket
import struct
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsing import Handler, Server, serve


def ask_and_hang_up(address: str) -> None:
    """Ask for a file that no buffer holds, and leave before it has come."""
    with socket.create_connection(
        (urlsplit(address).hostname, urlsplit(address).port)
    ) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        connection.recv(1)
        # No goodbye: the server's next write fails.
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )


def test_a_browser_that_hangs_up_leaves_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = []
    handle = Server.handle_error

    def watched(self: Server, request: object, client_address: object) -> None:
        handle(self, request, client_address)
        handled.append(sys.exception())

    monkeypatch.setattr(Server, "handle_error", watched)
    (tmp_path / "large").write_bytes(bytes(50_000_000))
    with serve(tmp_path) as address:
        ask_and_hang_up(address)
        deadline = time.monotonic() + 20
        while not handled and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(handled) == 1
    assert isinstance(handled[0], ConnectionError)
    assert capfd.readouterr().err == ""


def test_another_error_of_the_server_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda _self: 1 // 0)
    with serve(tmp_path) as address:
        with socket.create_connection(
            (urlsplit(address).hostname, urlsplit(address).port)
        ) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert connection.recv(1) == b""
        assert "ZeroDivisionError" in capfd.readouterr().err
