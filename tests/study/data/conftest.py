"""A cache of its own for each test, and what delivers the toy data set."""

from __future__ import annotations

import gc
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adam_tutorial.study.data.fetch import CACHE_VARIABLE

from .toys import FakePip, Server, reply_with


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip()
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            state.reply(self)

    gc.freeze()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state = Server(
            f"http://127.0.0.1:{http.server_port}/toy.gz", reply_with(b"", status=404)
        )
        thread = threading.Thread(
            target=http.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        yield state
        http.shutdown()
        thread.join()
    # Sockets that pooch left open are collected here, where that warning is ignored,
    # and not in a later test. What is older than the test need not be looked at.
    gc.collect()
    gc.unfreeze()
