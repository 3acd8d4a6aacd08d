"""What the site hands out: complete, repeatable, and enough to run README and chapters.

The wheel is installed into an environment of its own. Beside it are the libraries of
the environment of the tests, but not this package, which pip has linked there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import packing
import project
import pytest
from running import environment

from .conftest import ROOT, SITE

DOWNLOADS = SITE / "download"

# What a reader of the README has.
BEFORE = """
import numpy as np
import torch

model = torch.nn.Linear(2, 1)

def train(model, optimizer):
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.ones(3, 2)).square().mean().backward()
        optimizer.step()

def make_my_adam(params, **settings):
    return torch.optim.Adam(params, **settings)
"""
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
"""
WHERE = (
    "import adam_tutorial, sys; assert adam_tutorial.__file__.startswith(sys.prefix)"
)


@pytest.fixture(scope="session")
def wheel() -> Path:
    """Return the wheel of the site."""
    (found,) = DOWNLOADS.glob("*.whl")
    assert found.name == project.wheel_name()
    return found


class Reader:
    """Somebody with an environment, into which they have installed the wheel."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        own = folder / "environment"
        command = [sys.executable, "-m", "venv", "--without-pip", str(own)]
        subprocess.run(command, check=True)
        self.python = str(own / "bin/python")
        install = ["--python", self.python, "install", "--no-deps", "--no-index"]
        subprocess.run(
            [sys.executable, "-m", "pip", *install, "--quiet", str(wheel)], check=True
        )
        (packages,) = own.glob("lib/python*/site-packages")
        libraries = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        # Folders that are named so are searched; links of pip in them are not followed.
        (packages / "libraries.pth").write_text("\n".join(libraries))
        self.environment = {**os.environ, **environment()}
        del self.environment["PYTHONPATH"]

    def run(self, *arguments: str) -> str:
        """Run Python; return what it printed."""
        ended = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Reader:
    """Return somebody who has nothing but the wheel."""
    reader = Reader(tmp_path_factory.mktemp("reader"), wheel)
    reader.run("-c", WHERE)
    return reader


def test_wheel_holds_the_whole_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        held = {
            name: file.read(name)
            for name in file.namelist()
            if name.startswith("adam_tutorial/")
        }
    there = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in packing.sources(("adam_tutorial",))
        if path.name != "ruff.toml"  # for who writes the package
    }
    assert {"adam_tutorial/py.typed", "adam_tutorial/study/results/text.json"} <= set(
        there
    )
    assert held.keys() == there.keys()
    assert held == there


def test_the_same_sources_give_the_same_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    for mask in (0o022, 0o077):
        monkeypatch.setattr(packing, "BUILD", tmp_path / f"{mask}")
        monkeypatch.setattr(packing, "PACKED", tmp_path / f"{mask}/packed")
        before = os.umask(mask)
        try:
            packing.build_wheel(project.date())
        finally:
            os.umask(before)
        built.append((packing.PACKED / project.wheel_name()).read_bytes())
    assert built[0] == built[1]


def test_a_wheel_that_cannot_be_built_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "BUILD", tmp_path)
    monkeypatch.setattr(packing, "PACKED", tmp_path / "packed")
    monkeypatch.setattr(packing, "OF_THE_PACKAGE", ("adam_tutorial",))
    why = f"The wheel was not built: {project.wheel_name()} is not there"
    with pytest.raises(SystemExit, match=re.escape(why)):
        packing.build_wheel(project.date())


def test_archive_holds_what_git_tracks_and_nothing_that_it_ignores() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("these sources are not in git")

    def listed(*options: str) -> set[str]:
        command = ["git", "ls-files", "-z", *options]
        said = subprocess.check_output(command, cwd=ROOT, text=True)
        return {name for name in said.split("\0") if (ROOT / name).is_file()}

    packed = {path.relative_to(ROOT).as_posix() for path in packing.sources()}
    assert listed() <= packed
    assert packed <= listed("--cached", "--others", "--exclude-standard")


def test_the_unpacked_archive_gives_the_same_files(tmp_path: Path) -> None:
    (archive,) = DOWNLOADS.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        # Made by the build, so it may be trusted.
        tar.extractall(tmp_path)  # noqa: S202
    (root,) = tmp_path.iterdir()
    assert root.name == archive.name.removesuffix(".tar.gz")
    assert os.access(root / ".ci/run", os.X_OK)
    program = (
        "import sys; sys.path.append('book/_tools'); import packing as p; p.pack()"
    )
    command = [sys.executable, "-I", "-c", program]
    said = [subprocess.check_output(command, cwd=root, text=True) for _ in range(2)]
    assert said == ["packing the files to download\n", ""]
    for name in (project.wheel_name(), project.archive_name()):
        ours, theirs = root / "_build/download" / name, DOWNLOADS / name
        assert ours.read_bytes() == theirs.read_bytes(), name


def readme(form: str) -> list[str]:
    """Return what of the README is written in a form."""
    return re.findall(form, (ROOT / "README.md").read_text("utf-8"), re.M | re.S)


def test_snippets_of_the_readme_run(reader: Reader) -> None:
    snippets = readme(r"^```python\n(.*?)^```")
    assert len(snippets) == 4
    after = "assert abs(theta).max() < 0.01"
    said = reader.run("-c", "\n".join([BEFORE, *snippets, after]))
    assert "2 parameters" in said
    assert "agrees with Algorithm 1" in said


def test_commands_of_the_readme_run(reader: Reader) -> None:
    (reader.folder / "my_file.py").write_text(BEFORE)
    commands = readme(r"`python (-m adam_tutorial[^`]*)`")
    assert len(commands) == 3
    for command in commands:
        # A bench in a moment.
        more = "--rounds 1 --threads 1 --candidates ours" if "bench" in command else ""
        assert reader.run(*command.split(), *more.split()) != ""


# With data and stored results, with an optimizer, and with NumPy only.
@pytest.mark.parametrize(
    "chapter", ["adam/adam_derived", "adam/adam_in_pytorch", "answers/recipe"]
)
def test_a_downloaded_chapter_runs_beside_the_wheel(
    reader: Reader, chapter: str, tmp_path: Path
) -> None:
    copy = tmp_path / "chapter.ipynb"
    shutil.copy(SITE / "_sources/book" / f"{chapter}.ipynb", copy)
    reader.run("-c", RUN, str(copy))


def test_the_landing_page_and_each_chapter_link_to_the_files() -> None:
    pages = [SITE / "book/index.html"]
    pages += [
        SITE / path.relative_to(ROOT).with_suffix(".html")
        for path in sorted((ROOT / "book").glob("*/*.ipynb"))
    ]
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        up = "../" * len(page.relative_to(SITE).parts[1:])
        for name in (project.wheel_name(), project.archive_name()):
            assert f'href="{up}download/{name}" download' in text, page
