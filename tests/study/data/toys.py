"""A toy data set in every form in which one can be had, and who delivers it."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from adam_tutorial.study.data.fetch import DatasetError, ways_to_get
from adam_tutorial.study.data.sources import Download, PackagedFile, Source

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
    """Stands in for subprocess.run: delivers archives and checks hashes as pip does."""

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
