"""Build the website: execute what changed, then let Jupyter Book write the pages.

``python book/_tools/build.py`` from the root of the repository. Warnings are errors.
With ``--execute-nothing`` it fails if the tests have not executed all that it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError

from execution import BUILD, INPUTS, ROOT, Executed, chapters, digest
from notebooks import execute, set_environment

SITE = BUILD / "html"
PAGES_TIMEOUT_SECONDS = 600

# What the pages depend on, beside their own text.
PAGE_INPUTS = (
    *INPUTS,
    "_config.yml",
    "_toc.yml",
    "book/_ext/*.py",
    "book/references.bib",
)


def plain(text: str) -> str:
    """Return a text without the control sequences that colour it in a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def timed_run(path: Path) -> tuple[nbformat.NotebookNode, float, str]:
    """Execute one chapter; return it, the seconds it took, and what failed, if any."""
    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    failure = ""
    try:
        execute(notebook)
    except CellExecutionError as error:
        failure = plain(str(error))
    return notebook, time.monotonic() - started, failure


def execute_missing(executed: Executed, missing: list[Path]) -> bool:
    """Execute chapters, two at a time. Return False if one failed."""
    print(f"executing {len(missing)} chapters", flush=True)
    good = True
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        jobs = {pool.submit(timed_run, path): path for path in missing}
        for job in as_completed(jobs):
            name = jobs[job].relative_to(ROOT)
            notebook, seconds, failure = job.result()
            if failure:
                good = False
                print(f"{name}: failed\n{failure}", file=sys.stderr)
                continue
            print(f"  {name}: {seconds:.0f} s", flush=True)
            executed.store(jobs[job], notebook, seconds)
    return good


def write_pages(executed: Executed, *, everything: bool) -> int:
    """Run Jupyter Book; print its output only if something is wrong."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT)]
    command += ["-n", "-W", "--keep-going"] + (["--all"] if everything else [])
    environment = dict(os.environ, BOOK_EXECUTION_CACHE=str(executed.folder))
    log = BUILD / "pages.log"
    with log.open("w", encoding="utf-8") as output:
        # Into a file, in a session of its own: now and then the node process that
        # renders the formulas outlives the build. It would keep a pipe open, and us
        # waiting at its end.
        build = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = build.wait(timeout=PAGES_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            print(
                f"writing the pages took over {PAGES_TIMEOUT_SECONDS} s",
                file=sys.stderr,
            )
            status = 1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGKILL)
    if status != 0:
        lines = plain(log.read_text(encoding="utf-8")).splitlines()
        marks = re.compile(r"WARNING|ERROR|CRITICAL|[Ee]rror:|Exception")
        said = [
            line for line in lines if marks.search(line) and "IPKernelApp" not in line
        ]
        print("\n".join(said or lines[-30:]), file=sys.stderr)
        print("The book was not built: mend what is listed above.", file=sys.stderr)
    return status


def main(arguments: list[str]) -> int:
    """Build, and say where the site is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--execute-nothing", action="store_true")
    may_execute = not parser.parse_args(arguments).execute_nothing

    set_environment()
    executed = Executed(digest())
    executed.forget_others()
    executed.take_in()
    missing = [path for path in chapters() if not executed.holds(path)]
    if missing and not may_execute:
        names = ", ".join(str(path.relative_to(ROOT)) for path in missing)
        print(f"to be executed, but nothing was to be: {names}", file=sys.stderr)
        return 1
    if missing and not execute_missing(executed, missing):
        return 1
    before = executed.count()

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
    stamp.write_text(state)
    # The landing page holds code of its own, which Jupyter Book executes.
    if executed.count() > before and not may_execute:
        print("a page was executed, but nothing was to be", file=sys.stderr)
        return 1
    print(f"The site is ready: open {SITE.relative_to(ROOT) / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
