"""The program that renders formulas is waited for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import katex_start
import pytest
from sphinxcontrib.katex import KaTeXError, KaTeXServer

# The socket is there before anybody listens to it.
LATE = """
import socket, sys, time
late = socket.socket(socket.AF_UNIX)
late.bind(sys.argv[1])
time.sleep(float(sys.argv[2]))
late.listen()
late.accept()[0].send(b"here")
"""


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Any:
    def command(seconds: float) -> None:
        monkeypatch.setattr(
            KaTeXServer,
            "build_command",
            lambda socket: [sys.executable, "-c", LATE, str(socket), str(seconds)],
        )

    return command


def test_program_is_waited_for_until_it_listens(tmp_path: Path, late: Any) -> None:
    late(0.2)
    process, connection = katex_start.start(tmp_path, timeout=20)
    assert connection.recv(4) == b"here"
    connection.close()
    process.communicate()


def test_program_that_never_listens_is_ended(tmp_path: Path, late: Any) -> None:
    late(60)
    with pytest.raises(KaTeXError, match="STARTUP_TIMEOUT"):
        katex_start.start(tmp_path, timeout=0.5)


def test_extension_starts_it_in_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KaTeXServer, "start_server_process", None)
    katex_start.take_over()
    assert KaTeXServer.start_server_process is katex_start.start
