"""Pack what the site hands out: the package as a wheel, and all sources as an archive.

The same sources of the same commit give the same bytes. No network is needed:
setuptools is in the environment.
"""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from project import archive_name, date, wheel_name
from running import BUILD, ROOT, SITE, advice

PACKED = BUILD / "download"
STAMP = BUILD / "download.sha256"

# What the repository holds. Named, because there may lie anything beside it.
WHOLE = (
    *(".ci", ".github", "adam_tutorial", "book", "tests"),
    *(".gitignore", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE"),
    *("LICENSE-TEXT", "Makefile", "README.md", "_config.yml", "_toc.yml"),
    *("constraints.txt", "pyproject.toml"),
)
# What the wheel is built from.
OF_THE_PACKAGE = ("adam_tutorial", "LICENSE", "README.md", "pyproject.toml")

BACKEND = """
import sys
from setuptools import build_meta
build_meta.build_wheel(sys.argv[1])
"""


def sources(names: tuple[str, ...] = WHOLE) -> Iterator[Path]:
    """Yield the files in these folders, and these files, without what git ignores."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    ignored = [line.rstrip("/") for line in lines]
    for name in names:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not any(
                fnmatch.fnmatch(part, pattern) for part in parts for pattern in ignored
            ):
                yield path


def mode(path: Path) -> int:
    """Return the permissions of a file as git knows them: it is a program, or not."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def archive(when: datetime) -> bytes:
    """Return all sources as a tar file, in a folder with the name of the version."""
    folder = archive_name().removesuffix(".tar.gz")
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for path in sources():
            about = tarfile.TarInfo(f"{folder}/{path.relative_to(ROOT).as_posix()}")
            content = path.read_bytes()
            about.size, about.mode = len(content), mode(path)
            about.mtime = int(when.timestamp())
            tar.addfile(about, io.BytesIO(content))
    return written.getvalue()


def build_wheel(when: datetime) -> None:
    """Build the wheel, from a copy: setuptools leaves files, and finds old ones."""
    copy = BUILD / "wheel"
    shutil.rmtree(copy, ignore_errors=True)
    for path in sources(OF_THE_PACKAGE):
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(mode(path))
    ended = subprocess.run(
        [sys.executable, "-I", "-c", BACKEND, str(PACKED)],
        cwd=copy,
        umask=0o022,
        env=dict(os.environ, SOURCE_DATE_EPOCH=str(int(when.timestamp()))),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0 or not (PACKED / wheel_name()).exists():
        said = ended.stderr.strip()
        last = said.splitlines()[-1] if said else f"{wheel_name()} is not there"
        sys.exit(advice(said) or f"The wheel was not built: {last}")
    shutil.rmtree(copy)


def pack() -> str:
    """Pack both files, unless nothing has changed; return a hash of all sources."""
    when = date()
    content = archive(when)
    state = hashlib.sha256(content).hexdigest()
    if STAMP.exists() and STAMP.read_text() == state:
        return state
    print("packing the files to download", flush=True)
    STAMP.unlink(missing_ok=True)
    shutil.rmtree(PACKED, ignore_errors=True)
    PACKED.mkdir(parents=True)
    compressed = gzip.compress(content, mtime=when.timestamp())
    (PACKED / archive_name()).write_bytes(compressed)
    build_wheel(when)
    STAMP.write_text(state)
    return state


def publish() -> None:
    """Copy both files into the site."""
    shutil.rmtree(SITE / "download", ignore_errors=True)
    shutil.copytree(PACKED, SITE / "download")
