"""What an executed chapter depends on, where it is kept, and how the site gets it.

A chapter is executed by the tests, which compare its outputs with the stored ones, or
by the build. Both hand it to the cache of the build: with the same inputs it is not
executed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.db import NbCacheRecord
from sqlalchemy.exc import DatabaseError

from running import BUILD, ROOT

EXECUTED = BUILD / "executed"

# What the outputs of a chapter depend on, beside its own code. jupyter-cache knows only
# the code: without this, a figure would survive a change of the package that draws it.
INPUTS = (
    "adam_tutorial/**/*.py",
    "adam_tutorial/study/results/*.json",
    "constraints.txt",
)


def chapters() -> list[Path]:
    """Return every notebook of the book."""
    return sorted(
        path
        for path in (ROOT / "book").rglob("*.ipynb")
        if not any(part.startswith(("_", ".")) for part in path.relative_to(ROOT).parts)
    )


def digest(patterns: tuple[str, ...] = INPUTS) -> str:
    """Return a short hash of the names and contents of the files that match."""
    summary = hashlib.sha256()
    for file in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        summary.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
        summary.update(hashlib.sha256(file.read_bytes()).digest())
    return summary.hexdigest()[:16]


class Executed:
    """The chapters that were executed with the inputs of one digest."""

    def __init__(self, inputs: str) -> None:
        self.folder = EXECUTED / inputs
        self.inbox = self.folder / "inbox"

    def hand_in(self, path: Path, notebook: Any, seconds: float) -> None:
        """Leave an executed chapter for `take_in`; several processes may do so."""
        notebook.metadata.seconds = seconds
        letter = self.inbox / path.relative_to(ROOT)
        letter.parent.mkdir(parents=True, exist_ok=True)
        unfinished = letter.with_suffix(".tmp")
        nbformat.write(notebook, unfinished)
        unfinished.rename(letter)

    def take_in(self) -> None:
        """Put what was handed in into the cache."""
        for letter in sorted(self.inbox.rglob("*.ipynb")):
            # A disk that was full or lost its power may have kept a part of it.
            with contextlib.suppress(ValueError, KeyError):
                notebook = nbformat.read(letter, as_version=4)
                seconds = notebook.metadata.pop("seconds")
                self.store(ROOT / letter.relative_to(self.inbox), notebook, seconds)
            letter.unlink()

    def drop_damaged(self) -> None:
        """Remove what the cache has a record of and cannot give back whole."""
        cache = get_cache(str(self.folder))
        try:
            for record in cache.list_cache_records():
                try:
                    cache.get_cache_bundle(record.pk)
                except (ValueError, KeyError):
                    NbCacheRecord.remove_record(record.pk, cache.db)
                    shutil.rmtree(self.folder / "executed" / record.hashkey, True)
        except (DatabaseError, RuntimeError) as error:
            # jupyter-cache hides some of what the database said.
            said = f"{error} {error.__cause__}"
            if not re.search("malformed|not a database|no such", said):
                raise
            shutil.rmtree(self.folder)

    def store(self, path: Path, notebook: Any, seconds: float) -> None:
        """Put an executed chapter into the cache."""
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        get_cache(str(self.folder)).cache_notebook_bundle(
            bundle, check_validity=False, overwrite=True
        )

    def holds(self, path: Path) -> bool:
        """Return whether a chapter was executed as it is now."""
        notebook = nbformat.read(path, as_version=4)
        try:
            get_cache(str(self.folder)).match_cache_notebook(notebook)
        except KeyError:
            return False
        return True

    def forget_others(self) -> None:
        """Remove what was executed with other inputs."""
        for old in EXECUTED.glob("*"):
            if old != self.folder:
                shutil.rmtree(old)

    def count(self) -> int:
        """Return how many chapters and pages were executed."""
        return len(get_cache(str(self.folder)).list_cache_records())
