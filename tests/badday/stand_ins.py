"""What stands in for pip, npm and Jupyter Book in the small repository.

Each does what the file ``trouble`` says, which holds a stage and a kind of trouble, or
does in a moment what the real one does in minutes.
"""

from __future__ import annotations

import os
import pathlib
import runpy
import signal
import sys
import time


def root() -> pathlib.Path:
    """Return the repository that this interpreter works for."""
    own = pathlib.Path(sys.prefix).parent
    return own if (own / "trouble").exists() else pathlib.Path.cwd()


def here(stage: str) -> None:
    """Make the trouble of a stage, if it is wanted now."""
    wanted, _, kind = (root() / "trouble").read_text().partition(" ")
    if wanted != stage:
        return
    (root() / "pid").write_text(str(os.getpid()))
    # Kernels and Jupyter Book are in a session of their own.
    boss = os.getppid() if stage in ("execution", "pages") else os.getpid()
    if kind == "interrupt":
        os.killpg(os.getpgid(boss), signal.SIGINT)
    elif kind == "kill":
        os.kill(boss, signal.SIGKILL)
    elif kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "fail":
        raise ValueError("one line\nand another")
    else:
        sys.exit(kind)
    time.sleep(300)


def pip() -> None:
    """Install nothing."""
    if "install" in sys.argv:
        (root() / "pip_arguments").write_text(" ".join(sys.argv[1:]))
        here("pip")


def jupyter_book() -> None:
    """Write a site of one page."""
    here("pages")
    site = root() / "_build/html"
    site.mkdir(exist_ok=True)
    (site / "index.html").write_text("a page")


def jupyter_lab() -> None:
    """Say that it was called."""
    (root() / "lab_arguments").write_text(" ".join(sys.argv[1:]))


def cut_writes() -> None:
    """Let this process write half of a file, and then make the trouble."""
    write = pathlib.Path.write_text
    stages = {
        "base.ipynb": "cache",
        "download.sha256": "packing",
        "pages.sha256": "publishing",
    }

    def write_text(path: pathlib.Path, text: str, encoding: str | None = None) -> int:
        if path.name in stages:
            write(path, text[: len(text) // 2], encoding)
            here(stages[path.name])
        return write(path, text, encoding)

    pathlib.Path.write_text = write_text  # type: ignore[assignment, method-assign]


def start_kernel() -> None:
    """Start a kernel, but not the first times if the file ``bad_starts`` says so."""
    count = root() / "bad_starts"
    if count.exists() and (left := int(count.read_text())) > 0:
        count.write_text(str(left - 1))
        sys.exit("zmq.error.ZMQError: Address already in use")
    sys.path.remove(str(pathlib.Path(__file__).parent))
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
