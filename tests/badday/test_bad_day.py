"""A bad day: whatever goes wrong is said in a sentence, and the next run succeeds."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.badday.repository import ROOT, Ended, Repository


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Return the small repository, set up and built."""
    # A space and a letter of another alphabet, as in the folders of many.
    repository = Repository(tmp_path_factory.mktemp("a folder β") / "first")
    repository.root.mkdir()
    repository.fill()
    ended = repository.make("book")
    assert ended.complained == ""
    assert ended.said.endswith("The site is ready: open _build/html/index.html\n")
    return repository


@pytest.fixture
def repository(built: Repository, tmp_path: Path) -> Repository:
    """Return a copy of it that does not notice that it is one."""
    copy = built.copy(tmp_path / "a folder β")
    copy.write(".venv/folder", f"{copy.root}\n")
    # A site that is ready is not built again, and nothing could go wrong.
    (copy.root / "_build/site.sha256").unlink()
    return copy


def succeeds(repository: Repository, executes: str) -> str:
    """Build once more, which executes so many chapters; return what was said."""
    repository.write("trouble", "none")
    ended = repository.make("book")
    assert ended.complained == ""
    assert ended.said.endswith("The site is ready: open _build/html/index.html\n")
    found = re.search(r"executing (\d+) chapter", ended.said)
    assert (found[1] if found else "0") in executes
    assert repository.read("_build/html/index.html") == "a page"
    downloads = repository.root / "_build/html/download"
    (wheel,) = downloads.glob("*.whl")
    assert zipfile.ZipFile(wheel).testzip() is None
    return ended.said


def says(ended: Ended, sentence: str) -> None:
    """Demand a failure that takes at most three lines, one of them this."""
    # The last line is make's own, which names the target.
    lines = ended.complained.splitlines()
    assert ended.status != 0
    assert len(lines) <= 4
    assert lines[-1].startswith("make: *** ") or len(lines) == 1, lines
    assert sentence in ended.complained


def is_gone(repository: Repository) -> bool:
    """Return whether the process in which the trouble was made has ended."""
    process, end = int(repository.read("pid")), time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
            # One that nobody waited for is still in the table.
            state = Path(f"/proc/{process}/stat")
            if state.exists() and ") Z " in state.read_text():
                return True
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


# The stage, what is missing before it, and how many chapters the next run executes.
STAGES = {
    "venv": (".venv", "0"),
    "pip": (".venv", "0"),
    "npm": (".venv", "0"),
    "execution": ("_build/executed", "12"),
    "cache": ("_build/executed", "2"),
    "packing": ("_build/download.sha256", "0"),
    "pages": ("_build/pages.sha256", "0"),
    "publishing": ("_build/pages.sha256", "0"),
}


@pytest.mark.parametrize("kind", ["interrupt", "kill"])
@pytest.mark.parametrize("stage", STAGES)
def test_interrupted_or_killed(repository: Repository, stage: str, kind: str) -> None:
    missing, executes = STAGES[stage]
    subprocess.run(["rm", "-r", repository.root / missing], check=True)
    repository.write("trouble", f"{stage} {kind}")
    ended = repository.make("book")
    if kind == "interrupt":
        says(ended, "Interrupted. The same command goes on from here.")
    else:
        says(ended, "")
    assert is_gone(repository)
    said = succeeds(repository, executes)
    assert ("creating .venv" in said) == (stage in ("venv", "pip"))


def test_interrupted_while_outputs_are_compared(repository: Repository) -> None:
    repository.write("trouble", "execution interrupt")
    ended = repository.compare()
    says(ended, "Interrupted. The same command goes on from here.")
    assert "KeyboardInterrupt" not in ended.said
    assert is_gone(repository)
    repository.write("trouble", "none")
    assert "4 passed" in repository.compare().said


PINS = "the versions in constraints.txt contradict other demands"
# What pip, venv and npm print, and what the set-up makes of it.
CAUSES = {
    "venv: The virtual environment was not created successfully because ensurepip is"
    " not available.": "apt install python3-venv",
    "pip: WARNING: Retrying (Retry(total=0)) after connection broken by"
    " 'NewConnectionError(...)'\nERROR: Could not find a version that satisfies the"
    " requirement jax (from versions: none)": "there is no network",
    "pip: ERROR: Could not find a version that satisfies the requirement soupsieve=="
    "4.1.2\nERROR: No matching distribution found for soupsieve==4.1.2": (
        "soupsieve==4.1.2\nInstalling the Python packages failed: there is no such"
        " version for Python 3."
    ),
    "pip: ERROR: Cannot install a and b because these package versions have conflicting"
    " dependencies.\nERROR: ResolutionImpossible: for help visit": PINS,
    "pip: ERROR: Could not install packages due to an OSError: [Errno 28] No space left"
    " on device": "the disk is full",
    "pip: ERROR: Could not install packages due to an OSError: [Errno 13] Permission"
    " denied: '.venv/x'": "sudo rm -r .venv",
    "pip: Segmentation fault": "see .venv/setup.log",
    "npm: npm error code EAI_AGAIN": "there is no network",
    "npm: npm error code ENOSPC": "the disk is full",
    "npm: npm error code EINTEGRITY": "Installing the web packages failed, see",
}


@pytest.mark.parametrize("printed", CAUSES)
def test_set_up_tells_causes_apart(repository: Repository, printed: str) -> None:
    stage, _, text = printed.partition(": ")
    shutil.rmtree(repository.root / ".venv")
    repository.write("trouble", f"{stage} {text}")
    says(repository.make(".venv/ready"), CAUSES[printed])
    succeeds(repository, "0")


def test_no_python(repository: Repository) -> None:
    shutil.rmtree(repository.root / ".venv")
    process = repository.start("make", "book", "PYTHON=python2")
    complained = process.communicate(timeout=60)[1]
    says(Ended(process.returncode, "", complained), "make PYTHON=/path/to/python3.12")
    succeeds(repository, "0")


# Settings that would change what a chapter prints, or where pip installs.
READER = {
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "{home}/matplotlib",
    "MATPLOTLIBRC": "{home}/matplotlib/matplotlibrc",
    "IPYTHONDIR": "{home}/.ipython",
    "JUPYTER_CONFIG_DIR": "{home}/jupyter",
    "JUPYTER_DATA_DIR": "{home}/jupyter",
    "JUPYTER_PATH": "{home}/jupyter",
    "HOME": "{home}",
    "PYTHONOPTIMIZE": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONPATH": "{home}/modules",
    "PYTHONSTARTUP": "{home}/absent.py",
    "PYTHONUTF8": "0",
    "LC_ALL": "C",
    "JAX_ENABLE_X64": "1",
    "PYTEST_ADDOPTS": "--absent",
}
FILES = {
    "matplotlib/matplotlibrc": "lines.linewidth: 9",
    ".ipython/profile_default/startup/a.py": (
        "import numpy\nnumpy.set_printoptions(precision=2)"
    ),
    ".ipython/profile_default/ipython_config.py": (
        'get_config().InteractiveShell.ast_node_interactivity = "all"'
    ),
    "jupyter/kernels/python3/kernel.json": '{{"argv": ["false"], "language": "x"}}',
    "modules/adam_tutorial.py": "1 / 0",
}


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, str]:
    """Return the settings of a reader who has many."""
    home = tmp_path / "home"
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    # A home that cannot be written to.
    (home / ".cache").symlink_to("/proc")
    return {name: value.format(home=home) for name, value in READER.items()}


def test_settings_of_the_reader_have_no_part(
    repository: Repository, reader: dict[str, str]
) -> None:
    before = {path: path.read_text() for path in repository.root.glob("book/*/*.ipynb")}
    assert len(before) == 2
    ended = repository.make("notebooks", **reader)
    assert (ended.status, ended.complained) == (0, "")
    assert {path: path.read_text() for path in before} == before
    shutil.rmtree(repository.root / "_build")
    assert "4 passed" in repository.compare(**reader).said
    # The figure is what the site gets.
    ended = repository.make("book", **reader)
    assert "executing" not in ended.said
    assert ended.complained == ""
    (first,) = (
        text
        for path in repository.root.glob("_build/executed/*/executed/*/base.ipynb")
        if "precision" not in (text := path.read_text()) and "Figure" in text
    )
    assert "image/png" in first


def test_pip_installs_into_the_environment(repository: Repository) -> None:
    # The real pip, with a package that needs nothing.
    # And nothing else: what is installed elsewhere is not in its reach.
    site = repository.root / "stand_ins/site"
    shutil.rmtree(site)
    shutil.copytree(Path(sysconfig.get_path("purelib"), "pip"), site / "pip")
    repository.write("stand_ins/site/stand_ins.py", "def here(stage): pass")
    repository.write(
        "pyproject.toml",
        """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "adam_tutorial"
version = "0.1"
[project.optional-dependencies]
book = []
test = []
peers = []
""",
    )
    repository.write(
        "backend.py",
        """\
import zipfile
def build_editable(folder, settings=None, metadata=None):
    name = "adam_tutorial-0.1-py3-none-any.whl"
    about = "adam_tutorial-0.1.dist-info/"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("installed.py", "")
        version = "Metadata-Version: 2.1\\nName: adam_tutorial\\nVersion: 0.1\\n"
        extras = "".join(f"Provides-Extra: {x}\\n" for x in ("book", "test", "peers"))
        wheel.writestr(about + "METADATA", version + extras)
        tags = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(about + "WHEEL", tags)
        wheel.writestr(about + "RECORD", "")
    return name
""",
    )
    shutil.rmtree(repository.root / ".venv")
    elsewhere = repository.root / "elsewhere"
    repository.write("pip.conf", f"[install]\nuser = true\ntarget = {elsewhere}\n")
    ended = repository.make(
        ".venv/ready",
        PIP_USER="1",
        PIP_TARGET=str(elsewhere),
        PIP_PREFIX=str(elsewhere),
        PIP_CONFIG_FILE=str(repository.root / "pip.conf"),
        PIP_NO_INDEX="1",
    )
    assert (ended.status, ended.complained) == (0, "")
    assert list(repository.root.glob(".venv/lib/*/site-packages/installed.py"))
    assert not elsewhere.exists()


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_folder(repository: Repository, tmp_path: Path, how: str) -> None:
    place = tmp_path / "elsewhere"
    if how == "moved":
        new = Repository(repository.root.rename(place))
    else:
        new = repository.copy(place)
    # What chapters import is the package of the new folder: the first chapter says so.
    assert "creating .venv" in succeeds(new, "0")
    assert "creating .venv" not in succeeds(new, "0")
    ended = new.make("notebooks", "CHAPTER=first")
    assert ended.complained == ""
    assert "the package of this folder: True" in new.read("book/part/first.ipynb")


def test_a_python_that_is_gone(repository: Repository) -> None:
    (repository.root / ".venv/bin/python").unlink()
    assert "creating .venv" in succeeds(repository, "0")


def test_a_chapter_whose_kernel_dies(repository: Repository) -> None:
    shutil.rmtree(repository.root / "_build")
    repository.write("trouble", "execution die")
    says(repository.make("book"), "book/part/first.ipynb: its kernel died")
    succeeds(repository, "1")


def test_a_kernel_that_dies_while_outputs_are_compared(repository: Repository) -> None:
    repository.write("trouble", "execution die")
    ended = repository.compare()
    assert ended.status != 0
    assert "first.ipynb::Cell 0" in ended.said
    assert "the kernel died" in ended.said


@pytest.mark.parametrize("bad_starts", [1, 2])
def test_a_kernel_that_does_not_start(repository: Repository, bad_starts: int) -> None:
    (repository.root / "book/part/second.ipynb").unlink()
    shutil.rmtree(repository.root / "_build")
    repository.write("bad_starts", str(bad_starts))
    ended = repository.make("book")
    if bad_starts == 1:
        assert (ended.status, ended.complained) == (0, "")
    else:
        says(ended, "book/part/first.ipynb: its kernel did not start")
        succeeds(repository, "1")


def test_a_kernel_that_does_not_start_at_once_is_compared(
    repository: Repository,
) -> None:
    repository.write("bad_starts", "1")
    assert "4 passed" in repository.compare().said


def test_a_cell_that_fails(repository: Repository) -> None:
    before = repository.read("book/part/first.ipynb")
    repository.write("trouble", "execution fail")
    for target in ("notebooks", "book"):
        if target == "book":
            shutil.rmtree(repository.root / "_build")
        ended = repository.make(target)
        place = "book/part/first.ipynb: cell In[1], line 7: ValueError: one line\n"
        says(ended, place)
        assert "and another" not in ended.complained
        assert "make lab CHAPTER=first" in ended.complained
    assert repository.read("book/part/first.ipynb") == before
    succeeds(repository, "1")


DAMAGE: dict[str, Callable[[str], str]] = {
    "_build/executed/*/executed/*/base.ipynb": lambda text: text[:100],
    "_build/executed/*/executed/*/base.[i]pynb": lambda _: "",
    "_build/executed/*/global.db": lambda text: text[:5000],
    "_build/executed/*/inbox/book/part/first.ipynb": lambda _: '{"cells": [',
}


@pytest.mark.parametrize("pattern", DAMAGE)
def test_what_a_full_disk_cut_is_executed_anew(
    repository: Repository, pattern: str
) -> None:
    (cache,) = repository.root.glob("_build/executed/*")
    damaged = [path for path in repository.root.glob(pattern) if path.is_file()]
    if "inbox" in pattern:
        damaged = [cache / "inbox/book/part/first.ipynb"]
        damaged[0].parent.mkdir(parents=True, exist_ok=True)
        damaged[0].write_text("")
    assert damaged
    for path in damaged:
        content = path.read_text(encoding="latin-1")
        path.write_text(DAMAGE[pattern](content), encoding="latin-1")
        if not path.stat().st_size:
            path.unlink()
    succeeds(repository, "0" if "inbox" in pattern else "2")


@pytest.fixture
def small_disk(built: Repository, tmp_path: Path) -> Iterator[Repository]:
    """Return the repository on a disk of 64 MB, with nothing executed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    copy = built.copy(disk / "first")
    copy.write(".venv/folder", f"{copy.root}\n")
    shutil.rmtree(copy.root / "_build")
    yield copy
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk, but for some bytes; return the file that does it."""
    free = shutil.disk_usage(disk).free
    filler = disk / "filler"
    filler.write_bytes(bytes(free - leave))
    return filler


@pytest.mark.parametrize("leave", [0, 120_000])
def test_full_disk(small_disk: Repository, leave: int) -> None:
    filler = fill(small_disk.root.parent, leave)
    says(small_disk.make("book"), "The disk is full. Make room")
    filler.unlink()
    succeeds(small_disk, "12")


def test_full_disk_while_setting_up(small_disk: Repository) -> None:
    shutil.rmtree(small_disk.root / ".venv")
    filler = fill(small_disk.root.parent, 20_000)
    says(small_disk.make("book"), "the disk is full")
    filler.unlink()
    succeeds(small_disk, "2")


def test_a_folder_that_cannot_be_written_to(small_disk: Repository) -> None:
    disk = str(small_disk.root.parent)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    says(small_disk.make("book"), "sudo rm -r")
    shutil.rmtree(small_disk.root / ".venv", ignore_errors=True)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    succeeds(small_disk, "2")


@pytest.mark.parametrize(
    "what", ["_build/.lock", "_build/executed", ".venv", "book/part"]
)
def test_what_another_user_left(repository: Repository, what: str) -> None:
    # Root without the right to write everywhere is to others' files as anybody is.
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
    if os.geteuid() != 0 or shutil.which(drop[0]) is None:
        pytest.skip("only root can make files of another user")
    for path in (repository.root / what, *(repository.root / what).rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    target = "notebooks" if what == "book/part" else "book"
    (repository.root / ".venv/ready").unlink()
    process = repository.start(
        *(*drop, "make", target, f"PYTHON={repository.root}/stand_ins/python")
    )
    complained = process.communicate(timeout=120)[1]
    says(Ended(process.returncode, "", complained), "sudo ")
    succeeds(repository, "0")


@pytest.mark.parametrize("what", ["set-up", "build"])
def test_two_at_once(repository: Repository, what: str) -> None:
    place = {"set-up": ".venv/lock", "build": "_build/.lock"}[what]
    if what == "set-up":
        (repository.root / ".venv/ready").unlink()
    with (repository.root / place).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = repository.start(
            *("make", "book", f"PYTHON={repository.root}/stand_ins/python")
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first == f"waiting for another {what} in this folder to finish\n"
        assert process.poll() is None
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (0, "")
    assert "The site is ready" in said


def test_a_port_that_is_taken(repository: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        says(repository.make("serve", f"PORT={port}"), "make serve PORT=8001")
    process = repository.start("make", "serve", f"PORT={port}")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith(f"serving on http://localhost:{port}") for line in lines)
    os.killpg(process.pid, signal.SIGINT)
    complained = process.communicate(timeout=60)[1]
    # A make that is interrupted as its child ends may say so more than once.
    assert all(line.startswith("make: *** ") for line in complained.splitlines())
    says(repository.make("serve", "PORT=abc"), "PORT must be a number")


@pytest.mark.parametrize("chapter", ["abc", "99", "*", "%", "first second"])
@pytest.mark.parametrize("target", ["lab", "notebooks"])
def test_no_such_chapter(repository: Repository, target: str, chapter: str) -> None:
    before = repository.read("book/part/first.ipynb")
    ended = repository.make(target, f"CHAPTER={chapter}")
    assert ended.status != 0
    said = f"*** There is no chapter {chapter}; there are first second.  Stop.\n"
    assert ended.complained.endswith(said)
    assert ended.complained.count("\n") == 1
    assert not (repository.root / "lab_arguments").exists()
    assert repository.read("book/part/first.ipynb") == before


def test_chapters_by_name(repository: Repository) -> None:
    assert repository.make("lab", "CHAPTER=second").status == 0
    arguments = "lab --notebook-dir=book book/part/second.ipynb"
    assert repository.read("lab_arguments") == arguments
    ended = repository.make("notebooks", "CHAPTER=second")
    assert ended.said.count(".ipynb") == 1


def test_a_cache_that_is_named_from_here(repository: Repository) -> None:
    ended = repository.make("book", ADAM_TUTORIAL_CACHE="cache")
    says(ended, "ADAM_TUTORIAL_CACHE must be an absolute path, got 'cache'")
    assert not (repository.root / "cache").exists()
    succeeds(repository, "0")


def test_pages_that_die(repository: Repository) -> None:
    (repository.root / "_build/pages.sha256").unlink()
    for kind in ("die", "OSError: [Errno 28] No space left on device"):
        repository.write("trouble", f"pages {kind}")
        says(repository.make("book"), "_build/pages.log")
    succeeds(repository, "0")


def test_tests_of_the_site_ask_for_a_site(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.book import conftest

    monkeypatch.setattr(conftest, "SITE", tmp_path)
    with pytest.raises(pytest.fail.Exception, match="run `make book` first"):
        conftest.pages()


def test_pins_resolve_for_every_python() -> None:
    """Ask uv, wheels only, for each Python that README names."""
    named = re.search(r"Python 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text())
    assert named is not None
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config"]
    command += ["--only-binary", ":all:", "--constraint", "constraints.txt"]
    # It need not look for another interpreter: it builds nothing.
    command += ["--python", sys.executable]
    for extra in ("book", "test", "peers", "notebooks"):
        command += ["--extra", extra]
    asked = {
        version: subprocess.Popen(
            [*command, "--python-version", version, "pyproject.toml"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for version in (f"3.{x}.0" for x in range(int(named[1]), int(named[2]) + 1))
    }
    assert len(asked) == 4
    for version, process in asked.items():
        resolved, complained = process.communicate(timeout=300)
        if re.search("error sending request|dns error|Could not connect", complained):
            pytest.skip("no network: uv was not asked")
        assert process.returncode == 0, f"{version}: {complained}"
        assert "\nsoupsieve==" in resolved
