"""The version stands in pyproject.toml, and all others agree with it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import adam_tutorial

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION = PROJECT["project"]["version"]


def test_package_has_the_version_of_pyproject() -> None:
    assert adam_tutorial.__version__ == VERSION
    namespace: dict[str, object] = {}
    exec("from adam_tutorial import *", namespace)  # noqa: S102
    assert namespace["__version__"] == VERSION
    # Or it would be a second place.
    text = Path(adam_tutorial.__file__).read_text(encoding="utf-8")
    assert VERSION not in text


def test_sources_that_are_not_installed_say_so(tmp_path: Path) -> None:
    copy = tmp_path / "adam_tutorial"
    copy.mkdir()
    shutil.copy(adam_tutorial.__file__, copy)
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import adam_tutorial
assert not hasattr(adam_tutorial, "__version__")
adam_tutorial.__version__
"""
    command = [sys.executable, "-I", "-S", "-c", program, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1] == (
        "AttributeError: adam_tutorial is not installed, and has no version"
    )


def test_citation_has_the_version_of_pyproject() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [VERSION]


def test_changes_begin_with_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", changes, re.MULTILINE)
    # A release replaces the words by its date.
    form = r"\d+\.\d+\.\d+, (not released yet|\d{4}-\d\d-\d\d)"
    assert all(re.fullmatch(form, heading) for heading in headings)
    assert headings[0].split(", ")[0] == VERSION
    assert not any("not released" in heading for heading in headings[1:])
