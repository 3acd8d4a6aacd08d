"""Build the website: execute what changed, two chapters at a time, then let Jupyter Book write it.

``python book/_tools/build.py`` from the root of the repository. Warnings are errors.
"""

from __future__ import annotations

import contextlib
import hashlib
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
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient.exceptions import CellExecutionError

from notebooks import execute

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "_build"
SITE = BUILD / "html"
PAGES_TIMEOUT_SECONDS = 600

# What the outputs of a chapter depend on, beside its own code. jupyter-cache knows only
# the code: without this, a figure would survive a change of the package that draws it.
INPUTS = (
    "adam_tutorial/**/*.py",
    "adam_tutorial/study/results/*.json",
    "constraints.txt",
)
# What the pages depend on, beside their own text.
PAGE_INPUTS = (
    *INPUTS,
    "_config.yml",
    "_toc.yml",
    "book/_ext/*.py",
    "book/references.bib",
)


def digest(patterns: tuple[str, ...]) -> str:
    """Return a short hash of the names and contents of the files that match."""
    summary = hashlib.sha256()
    for file in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        summary.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
        summary.update(hashlib.sha256(file.read_bytes()).digest())
    return summary.hexdigest()[:16]


def plain(text: str) -> str:
    """Return a text without the control sequences that colour it in a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def timed_run(path: Path) -> tuple[nbformat.NotebookNode, float, str]:
    """Execute one chapter; return it, the seconds it took, and what failed, if anything."""
    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    failure = ""
    try:
        execute(notebook, path.parent)
    except CellExecutionError as error:
        failure = plain(str(error))
    return notebook, time.monotonic() - started, failure


def fill_cache(folder: Path) -> bool:
    """Execute every chapter that the cache does not hold. Return False if one failed."""
    cache = get_cache(str(folder))
    chapters = []
    for path in sorted(ROOT.glob("book/*/*.ipynb")):
        if path.parent.name.startswith(("_", ".")):
            continue
        try:
            cache.match_cache_notebook(nbformat.read(path, as_version=4))
        except KeyError:
            chapters.append(path)
    if not chapters:
        return True
    print(f"executing {len(chapters)} chapters", flush=True)
    good = True
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        jobs = {pool.submit(timed_run, path): path for path in chapters}
        for job in as_completed(jobs):
            name = jobs[job].relative_to(ROOT)
            notebook, seconds, failure = job.result()
            if failure:
                good = False
                print(f"{name}: failed\n{failure}", file=sys.stderr)
                continue
            print(f"  {name}: {seconds:.0f} s", flush=True)
            bundle = CacheBundleIn(
                notebook,
                str(jobs[job]),
                data={"execution_seconds": seconds},
            )
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return good


def write_pages(cache: Path, *, everything: bool) -> int:
    """Run Jupyter Book; print its output only if something is wrong."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT)]
    command += ["-n", "-W", "--keep-going"] + (["--all"] if everything else [])
    environment = dict(os.environ, BOOK_EXECUTION_CACHE=str(cache))
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


def main() -> int:
    """Build, and say where the site is."""
    # Read by the chapters' kernels: figures as SVG, for both themes, and one thread, so
    # that sums are added in the same order everywhere.
    os.environ["ADAM_TUTORIAL_FIGURES"] = "svg"
    for variable in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
    ):
        os.environ[variable] = "1"
    # node, npm and the kernels are those of this environment.
    os.environ["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )

    caches = BUILD / "executed"
    cache = caches / digest(INPUTS)
    for old in caches.glob("*"):
        if old != cache:
            shutil.rmtree(old)
    cache.mkdir(parents=True, exist_ok=True)
    if not fill_cache(cache):
        return 1

    stamp = BUILD / "pages.sha256"
    state = digest(PAGE_INPUTS)
    everything = not stamp.exists() or stamp.read_text() != state
    stamp.unlink(missing_ok=True)
    if everything:
        # Pages of chapters that were renamed or taken out would stay, and be published.
        shutil.rmtree(SITE, ignore_errors=True)
    print("writing the pages", flush=True)
    status = write_pages(cache, everything=everything)
    if status == 0:
        stamp.write_text(state)
        print(f"The site is ready: open {SITE.relative_to(ROOT) / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
