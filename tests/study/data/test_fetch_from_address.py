from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from adam_tutorial.study.data import fetch
from adam_tutorial.study.data.fetch import (
    DatasetCorrupt,
    DatasetUnavailable,
    read,
)

from .toys import (
    ALTERED,
    CONTENT,
    PACKED,
    Server,
    assert_lists_every_way,
    at_url,
    digest,
    files_in,
    reply_with,
    stored,
)

pytestmark = [
    pytest.mark.usefixtures("cache"),
    # pooch leaves the socket of a failed request to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

ROOT = Path(__file__).parents[3]


def test_download_is_decompressed_verified_and_cached_as_it_came(
    cache: Path, server: Server
) -> None:
    server.reply = reply_with(PACKED)
    assert read(at_url(server.url)) == CONTENT
    assert read(at_url(server.url)) == CONTENT
    assert server.requests == 1
    assert files_in(cache) == ["toy/toy.gz"]
    assert (cache / "toy" / "toy.gz").read_bytes() == PACKED


@pytest.mark.parametrize("level", [0, 1, 9])
def test_file_that_a_mirror_compressed_again_is_accepted(
    level: int, tmp_path: Path
) -> None:
    (tmp_path / "toy.gz").write_bytes(gzip.compress(CONTENT, level, mtime=level))
    assert read(at_url("http://127.0.0.1:1/toy.gz"), folder=tmp_path) == CONTENT


def test_file_of_the_debian_package_is_used_in_place(
    tmp_path: Path, cache: Path, server: Server
) -> None:
    installed = tmp_path / "share" / "toy.gz"
    installed.parent.mkdir()
    installed.write_bytes(PACKED)
    assert read(at_url(server.url, str(installed))) == CONTENT
    assert read(at_url(server.url, str(installed)), download=False) == CONTENT
    assert server.requests == 0
    assert not cache.exists()


def test_cache_is_looked_at_before_the_debian_package(
    tmp_path: Path, cache: Path
) -> None:
    stored(cache, PACKED, "toy.gz")
    damaged = tmp_path / "toy.gz"
    damaged.write_bytes(gzip.compress(ALTERED))
    assert read(at_url("http://127.0.0.1:1/", str(damaged))) == CONTENT


def test_without_download_both_places_are_named(cache: Path, server: Server) -> None:
    with pytest.raises(DatasetUnavailable) as caught:
        read(at_url(server.url), download=False)
    places = f"not found at {cache / 'toy' / 'toy.gz'} and /nonexistent/toy.gz"
    assert places in str(caught.value)
    assert server.requests == 0


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"<html>Sign in to this hotel's network</html>", "Not a gzipped file"),
        (PACKED[:-20], "ended before"),
        (PACKED[:10] + b"\x07" + PACKED[11:], "invalid block type"),
        (PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:], "CRC check failed"),
    ],
    ids=["html page", "truncated", "damaged", "bit in the checksum"],
)
def test_file_that_does_not_decompress_is_refused(
    raw: bytes, complaint: str, cache: Path, server: Server, tmp_path: Path
) -> None:
    source = at_url(server.url)
    server.reply = reply_with(raw)
    with pytest.raises(DatasetCorrupt) as fetched:
        read(source)
    assert "what was fetched should be a complete gzip file" in str(fetched.value)
    assert complaint in str(fetched.value)
    assert f"{len(raw):,} bytes" in str(fetched.value)
    assert_lists_every_way(fetched.value, source)
    assert files_in(cache) == []

    (tmp_path / "toy.gz").write_bytes(raw)
    with pytest.raises(DatasetCorrupt) as found:
        read(source, folder=tmp_path)
    assert f"{tmp_path / 'toy.gz'} should be a complete gzip file" in str(found.value)


def test_download_with_another_content_is_refused(cache: Path, server: Server) -> None:
    server.reply = reply_with(gzip.compress(ALTERED))
    with pytest.raises(
        DatasetCorrupt, match="what was fetched is not the recorded file"
    ):
        read(at_url(server.url))
    assert files_in(cache) == []


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (reply_with(b"gone", status=404), "404"),
        (reply_with(b"broken", status=500), "500"),
        (hang_up, "Connection aborted"),
        (reply_with(PACKED[:20], length=2000), "IncompleteRead"),
    ],
    ids=["not found", "server error", "no answer", "connection lost"],
)
def test_failing_download_is_reported_with_the_address_and_the_reason(
    reply: Callable[[BaseHTTPRequestHandler], None],
    complaint: str,
    cache: Path,
    server: Server,
) -> None:
    server.reply = reply
    with pytest.raises(DatasetUnavailable) as caught:
        read(at_url(server.url))
    assert f"A toy data set: could not download {server.url} (" in str(caught.value)
    assert complaint in str(caught.value)
    assert_lists_every_way(caught.value, at_url(server.url))
    assert files_in(cache) == []


def test_server_that_never_answers_is_given_up(
    cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def say_nothing(_: BaseHTTPRequestHandler) -> None:
        over.wait(60)

    server.reply = say_nothing
    monkeypatch.setattr(fetch, "HTTP_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(DatasetUnavailable, match=r"read timeout=0\.2"):
        read(at_url(server.url))
    over.set()
    assert files_in(cache) == []


def test_address_without_a_scheme_is_reported(cache: Path) -> None:
    with pytest.raises(DatasetUnavailable, match="could not download nowhere"):
        read(at_url("nowhere"))
    assert files_in(cache) == []


# It waits for a line before it fetches, so that it may take its time to start.
FETCH = """
import sys
import pooch
from adam_tutorial.study.data.fetch import read
from adam_tutorial.study.data.sources import Download, Source

url, sha256 = sys.argv[1:]
origin = Download(url, "/nonexistent/toy.gz")
title, filename = "A toy data set", "toy.gz"
source = Source("toy", title, filename, 500, 10, "none", "nobody", sha256, origin)
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.buffer.write(read(source))
"""


def test_two_processes_that_fetch_at_once_both_get_the_file(
    cache: Path, server: Server
) -> None:
    cached_when_both_had_half: list[bool] = []
    both_have_half = threading.Barrier(
        2,
        action=lambda: cached_when_both_had_half.append(
            (cache / "toy" / "toy.gz").exists()
        ),
    )

    def reply(handler: BaseHTTPRequestHandler) -> None:
        reply_with(PACKED[:20], length=len(PACKED))(handler)
        handler.wfile.flush()
        both_have_half.wait(120)
        handler.wfile.write(PACKED[20:])

    server.reply = reply
    with subprocess.Popen(
        [sys.executable, "-c", FETCH, server.url, digest(CONTENT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        other.stdin.write(b"fetch\n")
        other.stdin.flush()
        assert read(at_url(server.url)) == CONTENT
        assert other.communicate(timeout=240)[0] == CONTENT
    assert other.returncode == 0
    assert cached_when_both_had_half == [False]
    assert files_in(cache) == ["toy/toy.gz"]
    assert (cache / "toy" / "toy.gz").read_bytes() == PACKED
