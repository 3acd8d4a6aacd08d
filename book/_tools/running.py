"""How the tools run: in an environment of their own, one at a time, plain in trouble.

A tool ends in a sentence where the reader can do something about it, and in a traceback
only where the tool itself is wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "_build"
SITE = BUILD / "html"

# What programs need to find files, the network and their language. The rest of the
# reader's environment stays outside: settings of Python, IPython, matplotlib or JAX
# would change what the chapters print.
KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TMPDIR|TZ|LANG|LC_\w+|LD_LIBRARY_PATH"
    r"|XDG_CACHE_HOME|ADAM_TUTORIAL_CACHE|BOOK_\w+|PIP_\w+|\w+_PROXY|SSL_CERT_\w+"
    r"|(?:REQUESTS|CURL)_CA_BUNDLE",
    re.IGNORECASE,
)
CACHE = "ADAM_TUTORIAL_CACHE"

# What the system calls a trouble, and what the reader can do.
TROUBLES = {
    r"No space left on device|database or disk is full|Disk quota exceeded": (
        "The disk is full. Make room, then run the same command again."
    ),
    r"Permission denied|Read-only file system|readonly database|unable to open datab": (
        f"This cannot be written to. Remove what another user left (sudo rm -r {BUILD})"
        ", then run the same command again."
    ),
}


def environment() -> dict[str, str]:
    """Return what every kernel, and every program that the build starts, is given."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    if not Path(kept.get(CACHE) or "/").expanduser().is_absolute():
        sys.exit(f"{CACHE} must be an absolute path, got {kept[CACHE]!r}")
    own, home = str(Path(sys.executable).parent), BUILD / "home"
    # IPython would take another where its folder has no parent.
    home.mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        # node, npm and the kernels are those of this environment, the package is that
        # of this folder.
        "PATH": f"{own}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter/config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter/data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter/runtime"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        # Figures as SVG, for both themes.
        "ADAM_TUTORIAL_FIGURES": "svg",
        # One thread: sums are added in the same order on every machine.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the only tool that executes or writes in this folder; wait until it is so."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another build in this folder to finish", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def advice(trouble: str) -> str:
    """Return what to do, given what a program said of its trouble; or nothing."""
    found = (advice for what, advice in TROUBLES.items() if re.search(what, trouble))
    return next(found, "")


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Call the main function of a tool with its arguments, and end the process."""
    said = ""
    try:
        os.environ |= (own := environment())
        for name in os.environ.keys() - own:
            del os.environ[name]
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        said, status = "Interrupted. The same command goes on from here.", 130
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        said = error.code if isinstance(error.code, str) else ""
    except Exception as error:
        # The cause, if any: jupyter-cache hides what the database said.
        trouble = str(error.__cause__ or error).splitlines()[0]
        if not (what := advice(trouble)):
            raise
        said, status = f"{trouble}\n{what}", 1
    if said:
        print(said, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: kernels that are still at work end with their parent.
    os._exit(status)
