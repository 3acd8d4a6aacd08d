"""Run the chapters and store their text outputs, or check that these can be trusted.

``python book/_tools/notebooks.py run FILE ...`` executes and rewrites;
``check FILE ...`` only looks.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from running import alone, run

IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "application/pdf")
# What only the site shows. A table's text is stored and compared, its HTML is not.
NOT_STORED = (*IMAGES, "text/html")
TIMEOUT_SECONDS = 600
KERNEL_ARGUMENTS = [
    # Each kernel would warn that it listens on a local port without encryption.
    "--log-level=ERROR",
    # Several kernels would write into the reader's one history.
    "--HistoryManager.hist_file=:memory:",
]
IGNORE = "nbval-ignore-output"
# Whatever else a cell can say to nbval, as a tag or as a comment, would take it out of
# the comparison without a trace.
TAG = re.compile(r"(?:nbval|pytest-validate)-[\w-]+|raises-exception")
COMMENT = re.compile(r"^\s*#+\s*((?:NBVAL|PYTEST_VALIDATE)_\w+)\s*$", re.MULTILINE)
# Home folders, temporary folders, drives, and addresses in memory change from machine
# to machine.
MACHINE = re.compile(
    r"/(?:home|root|Users|tmp|work|usr|opt|var)/\w|\b[A-Z]:\\\w|\bat 0x[0-9a-f]{6,}"
)
CLOCK = re.compile(r"\b\d{1,2}:\d{2}:\d{2}\b|\b20\d\d-\d\d-\d\d\b|it/s\]")


def plain(text: str) -> str:
    """Return a text without the control sequences that colour it in a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def execute(notebook: Any) -> None:
    """Execute a notebook in an empty folder; raise CellExecutionError where it fails.

    It runs as it would where a reader has downloaded it, alone.
    """
    for tries_left in (1, 0):
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(
                notebook,
                timeout=TIMEOUT_SECONDS,
                kernel_name="python3",
                record_timing=False,
                resources={"metadata": {"path": folder}},
                extra_arguments=list(KERNEL_ARGUMENTS),
            )
            try:
                client.execute(stderr=subprocess.DEVNULL)
            except RuntimeError as error:
                # It did not start: of two that choose one port, the second fails.
                if isinstance(error, DeadKernelError) or not tries_left:
                    raise
            else:
                return


def attempt(path: Path) -> tuple[Any, float, str]:
    """Execute a chapter; return it, the seconds it took, and what failed, if any."""
    notebook, started = nbformat.read(path, as_version=4), time.monotonic()
    failure = ""
    try:
        execute(notebook)
    except CellExecutionError as error:
        place = re.search(r"Cell (In\[\d+\], line \d+)", plain(error.traceback))
        where = f"cell {place[1]}: " if place else ""
        failure = f"{where}{error.ename}: {error.evalue}".partition("\n")[0]
    except CellTimeoutError:
        failure = f"a cell took more than {TIMEOUT_SECONDS} s"
    except DeadKernelError:
        failure = "its kernel died; if memory was short, close other programs"
    except RuntimeError as error:
        failure = f"its kernel did not start ({error})"
    return notebook, time.monotonic() - started, failure


def execute_all(paths: Iterable[Path]) -> Iterator[tuple[Path, Any, float]]:
    """Execute chapters, two at a time; yield those that pass, exit if one does not."""
    # Threads: nothing but the kernels has to be ended with this process, and kernels
    # look after that themselves.
    pool = ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1))
    jobs = {pool.submit(attempt, path): path for path in paths}
    failed = []
    for job in as_completed(jobs):
        notebook, seconds, failure = job.result()
        name = os.path.relpath(jobs[job])
        if failure:
            print(f"{name}: {failure}", file=sys.stderr, flush=True)
            failed.append(jobs[job].stem)
        else:
            yield jobs[job], notebook, seconds
            print(f"  {name}: {seconds:.0f} s", flush=True)
    if failed:
        sys.exit(f"To look at it: make lab CHAPTER={failed[0]}")


def clean(notebook: Any) -> None:
    """Remove images and HTML, and all metadata that differs between machines."""
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in NOT_STORED:
                output.get("data", {}).pop(kind, None)
            if output.output_type in ("display_data", "execute_result"):
                output.metadata = {}


def problems(notebook: Any) -> Iterator[str]:
    """Yield why the stored outputs of a notebook prove less than they seem to."""
    code = [
        (index, cell)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    ]
    full = [(index, cell) for index, cell in code if cell.source.strip()]
    for expected, (index, cell) in enumerate(full, start=1):
        if cell.execution_count is None:
            yield (
                f"cell {index}: was not executed (nbval compares nothing then); run the"
                " notebook"
            )
        elif cell.execution_count != expected:
            yield (
                f"cell {index}: has execution count {cell.execution_count}, expected"
                f" {expected}"
            )
        yield from (f"cell {index}: {what}" for what in output_problems(cell))
        tags = [tag for tag in cell.metadata.get("tags", []) if TAG.fullmatch(tag)]
        for marker in (*tags, *COMMENT.findall(cell.source)):
            if marker != IGNORE:
                yield (
                    f"cell {index}: carries {marker}; only the tag {IGNORE} may be used"
                )
    for position, (index, cell) in enumerate(full):
        if IGNORE in cell.metadata.get("tags", []):
            following = full[position + 1][1] if position + 1 < len(full) else None
            if not asserts_something(following):
                yield (
                    f"cell {index}: is tagged {IGNORE}, but the next cell asserts"
                    " nothing"
                )


def asserts_something(cell: Any) -> bool:
    """Return whether a cell asserts, and is itself compared."""
    return (
        cell is not None
        and re.search(r"^\s*assert\b", cell.source, re.MULTILINE) is not None
        and IGNORE not in cell.metadata.get("tags", [])
    )


def output_problems(cell: Any) -> Iterator[str]:
    """Yield what is wrong with the stored outputs of one cell."""
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"an error is stored: {output.ename}: {output.evalue}"
        for kind in NOT_STORED:
            if kind in output.get("data", {}):
                yield (
                    f"what only the site shows is stored ({kind}); run the notebook"
                    " with `make notebooks`"
                )
        text = output.get("text", "") + "".join(
            value for value in output.get("data", {}).values() if isinstance(value, str)
        )
        for pattern, what in (
            (MACHINE, "a path or address of one machine"),
            (CLOCK, "a time"),
        ):
            found = pattern.search(text)
            if found:
                yield f"{what} is stored: {found.group()!r}"
        shows_figure = "<Figure size" in output.get("data", {}).get("text/plain", "")
        alternative = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if shows_figure and not alternative.strip():
            yield "shows a figure without alternative text (metadata mystnb.image.alt)"


def main(arguments: list[str]) -> int:
    """Run or check; return 1 if a check found something."""
    command, paths = arguments[0], [Path(name) for name in arguments[1:]]
    if command == "run":
        with alone():
            for path, notebook, _ in execute_all(paths):
                clean(notebook)
                nbformat.validate(notebook)
                # Beside it first: a disk that is full must not cost the chapter.
                unfinished = path.with_suffix(".tmp")
                nbformat.write(notebook, unfinished)
                unfinished.replace(path)
    found = [
        f"{path}: {problem}"
        for path in paths
        for problem in problems(nbformat.read(path, as_version=4))
    ]
    print("".join(f"{line}\n" for line in found), end="")
    return bool(found)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("run", "check"):
        sys.exit(__doc__)
    run(main)
