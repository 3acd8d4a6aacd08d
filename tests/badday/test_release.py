"""The release job: its steps run as they are written, in a small repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
JOB = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))
STEPS = {step.get("name"): step for step in JOB["jobs"]["release"]["steps"]}
CHECK = "Check that this version may be released"
TAG = "Tag it, with the files of the site"
GH = '#!/bin/sh\nfor word; do echo "$word"; done >"$RUNNER_TEMP/release"\n'


class Runner:
    """A clone of an origin, and what GitHub's machines have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clone = folder / "clone"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "RUNNER_TEMP": str(folder),
            "GITHUB_ENV": str(folder / "env"),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        (folder / "bin").mkdir()
        (folder / "bin/gh").write_text(GH)
        (folder / "bin/gh").chmod(0o755)
        self.git("init", "--quiet", "--bare", "origin")
        self.git("clone", "--quiet", "origin", "clone")
        who = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
        commit = ("commit", "--quiet", "--allow-empty", "-m", "c")
        self.git("-C", "clone", *who, *commit)
        for name in ("pyproject.toml", "CHANGELOG.md"):
            (self.clone / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
        site = self.clone / "_build/html/download"
        site.mkdir(parents=True)
        (site / "x.whl").touch()

    def git(self, *arguments: str) -> str:
        return subprocess.check_output(
            ["git", *arguments],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stderr=subprocess.DEVNULL,
        )

    def change(self, name: str, old: str, new: str) -> None:
        file = self.clone / name
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    def step(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a step as GitHub does."""
        written = self.folder / "env"
        lines = written.read_text().splitlines() if written.exists() else []
        given = dict(line.split("=", 1) for line in lines)
        return subprocess.run(
            ["bash", "-e", "-c", STEPS[name]["run"]],
            cwd=self.clone,
            env={**self.environment, **given},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Return one on which version 7.8.9 may be released."""
    runner = Runner(tmp_path)
    text = (runner.clone / "pyproject.toml").read_text("utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("version = ")]
    runner.change("pyproject.toml", line, 'version = "7.8.9"')
    changes = "\n## 7.8.9, 2026-01-02\n\n- New.\n"
    runner.change("CHANGELOG.md", "\n## ", f"{changes}\n## ")
    return runner


def test_a_version_is_tagged_and_released_with_its_changes(runner: Runner) -> None:
    assert runner.step(CHECK).returncode == 0
    assert runner.step(TAG).returncode == 0
    assert runner.git("-C", "origin", "tag") == "v7.8.9\n"
    words = (runner.folder / "release").read_text().splitlines()
    assert words[:3] == ["release", "create", "v7.8.9"]
    assert words[-1] == "_build/html/download/x.whl"
    assert (runner.folder / "notes.md").read_text() == "\n- New.\n\n"


def test_a_version_without_a_date_is_refused(runner: Runner) -> None:
    runner.change("CHANGELOG.md", "2026-01-02", "not released yet")
    ended = runner.step(CHECK)
    assert ended.returncode == 1
    assert ended.stdout == "CHANGELOG.md has no date for 7.8.9\n"


def test_a_version_that_was_released_is_refused(runner: Runner) -> None:
    assert runner.step(CHECK).returncode == runner.step(TAG).returncode == 0
    ended = runner.step(CHECK)
    assert ended.returncode == 1
    assert "v7.8.9 has been released" in ended.stdout


def test_it_tests_and_builds_before_it_tags() -> None:
    steps: list[Any] = JOB["jobs"]["release"]["steps"]
    done = [step.get("name", step.get("run")) for step in steps if "run" in step]
    assert done == [CHECK, "make test", "make book BUILD=--execute-nothing", TAG]
