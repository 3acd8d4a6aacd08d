"""What the project is called, where it is, and which state of it this is.

``pyproject.toml`` says it, once: the site, the package and the files to download take
it from there.
"""

from __future__ import annotations

import subprocess
import tomllib
from datetime import UTC, datetime
from typing import Any

from running import ROOT

# A wheel is a zip, which knows no time before.
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)


def metadata() -> dict[str, Any]:
    """Return the table ``project`` of ``pyproject.toml``."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text)["project"]
    return found


def version() -> str:
    """Return the version, such as ``0.1.0``."""
    return str(metadata()["version"])


def repository() -> str:
    """Return the public address of the repository, or nothing while it has none."""
    return str(metadata().get("urls", {}).get("Repository", "")).rstrip("/")


def wheel_name() -> str:
    """Return the name of the file with the package."""
    return f"{metadata()['name']}-{version()}-py3-none-any.whl"


def archive_name() -> str:
    """Return the name of the file with all sources."""
    return f"{metadata()['name']}-{version()}.tar.gz"


def date() -> datetime:
    """Return when the last commit was made, so that the same commit builds the same.

    An unpacked archive has no commits; all its files bear their time, and
    ``pyproject.toml`` is asked for it.
    """
    command = ["git", "-c", "safe.directory=*", f"--git-dir={ROOT / '.git'}"]
    try:
        seconds = float(
            subprocess.check_output(
                [*command, "log", "-1", "--format=%ct"], stderr=subprocess.DEVNULL
            )
        )
    except (OSError, subprocess.CalledProcessError, ValueError):
        seconds = (ROOT / "pyproject.toml").stat().st_mtime
    return max(EARLIEST, datetime.fromtimestamp(int(seconds), UTC))
