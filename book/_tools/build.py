"""Build the website: execute what changed, then let Jupyter Book write the pages.

``python book/_tools/build.py`` from the root of the repository. Warnings are errors.
With ``--execute-nothing`` it fails if the tests have not executed all that it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from execution import INPUTS, Executed, chapters, digest
from notebooks import execute_all, plain
from packing import pack, publish
from running import BUILD, ROOT, SITE, advice, alone, run

PAGES_TIMEOUT_SECONDS = 600

# The program, and beside it one that waits for the end of this process, even a sudden
# one, and then ends all of the session.
LEASH = """exec 3<&0 </dev/null
(read -r _ <&3; kill -KILL 0) &
exec "$0" "$@" 3<&-"""

# What the pages depend on, beside their own text.
PAGE_INPUTS = (
    *INPUTS,
    "_config.yml",
    "_toc.yml",
    "pyproject.toml",
    "book/_ext/*.py",
    "book/_ext/*.js",
    "book/_ext/*.json",
    "book/_tools/project.py",
    "book/_tools/svg.py",
    "book/references.bib",
    "book/paths.toml",
)


def write_pages(executed: Executed, *, everything: bool) -> int:
    """Run Jupyter Book; print its output only if something is wrong."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT)]
    command += ["-n", "-W", "--keep-going"] + (["--all"] if everything else [])
    log = BUILD / "pages.log"
    with log.open("w", encoding="utf-8") as output:
        # Into a file, in a session of its own: now and then the node process that
        # renders the formulas outlives the build. It would keep a pipe open, and us
        # waiting at its end.
        build = subprocess.Popen(
            ["sh", "-c", LEASH, *command],
            cwd=ROOT,
            env=dict(os.environ, BOOK_EXECUTION_CACHE=str(executed.folder)),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = build.wait(timeout=PAGES_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"It took over {PAGES_TIMEOUT_SECONDS} s.", file=sys.stderr)
            status = 1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGKILL)
    if status != 0:
        text = plain(log.read_text(encoding="utf-8"))
        lines = text.splitlines()
        marks = re.compile(r"WARNING|ERROR|CRITICAL|[Ee]rror:|Exception")
        said = [
            line for line in lines if marks.search(line) and "IPKernelApp" not in line
        ]
        print(advice(text) or "\n".join(said or lines[-1:]), file=sys.stderr)
        print(f"The pages were not written. The whole log is {log}", file=sys.stderr)
    return status


def main(arguments: list[str]) -> int:
    """Build, and say where the site is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--execute-nothing", action="store_true")
    may_execute = not parser.parse_args(arguments).execute_nothing

    with alone():
        return build(may_execute=may_execute)


def build(*, may_execute: bool) -> int:
    """Execute and write what is not there yet; return the exit status."""
    finished = BUILD / "site.sha256"
    if finished.exists() and finished.read_text() == pack() + listing():
        return ready()
    finished.unlink(missing_ok=True)

    executed = Executed(digest())
    executed.forget_others()
    executed.drop_damaged()
    executed.take_in()
    missing = [path for path in chapters() if not executed.holds(path)]
    if missing and not may_execute:
        names = ", ".join(str(path.relative_to(ROOT)) for path in missing)
        print(f"to be executed, but nothing was to be: {names}", file=sys.stderr)
        return 1
    if missing:
        print(f"executing {len(missing)} chapters", flush=True)
    for path, notebook, seconds in execute_all(missing):
        executed.store(path, notebook, seconds)
    before = executed.count()
    sources = pack()

    stamp = BUILD / "pages.sha256"
    state = digest(PAGE_INPUTS)
    everything = not stamp.exists() or stamp.read_text() != state
    stamp.unlink(missing_ok=True)
    if everything:
        # Pages of chapters that were renamed or taken out would stay, and be published.
        shutil.rmtree(SITE, ignore_errors=True)
    print("writing the pages", flush=True)
    status = write_pages(executed, everything=everything)
    if status != 0:
        return status
    publish()
    stamp.write_text(state)
    # The landing page holds code of its own, which Jupyter Book executes.
    if executed.count() > before and not may_execute:
        print("a page was executed, but nothing was to be", file=sys.stderr)
        return 1
    # What was written on while it was built differs from these sources, and is built
    # the next time.
    finished.write_text(sources + listing())
    return ready()


def listing() -> str:
    """Return a hash of the names and sizes of the files of the site."""
    files = sorted(path for path in SITE.rglob("*") if path.is_file())
    named = [f"{path.relative_to(SITE)} {path.stat().st_size}" for path in files]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


def ready() -> int:
    """Say where the site is."""
    print(f"The site is ready: open {SITE.relative_to(ROOT) / 'index.html'}")
    return 0


if __name__ == "__main__":
    run(main)
