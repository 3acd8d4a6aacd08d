"""Run the chapters and store their text outputs, or check that these can be trusted.

``python book/_tools/notebooks.py run FILE ...`` executes and rewrites;
``check FILE ...`` only looks.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "application/pdf")
# What only the site shows. A table's text is stored and compared, its HTML is not.
NOT_STORED = (*IMAGES, "text/html")
TIMEOUT_SECONDS = 600
# Figures as SVG, for both themes; one thread, so that sums are added in the same order
# on every machine.
ENVIRONMENT = {
    "ADAM_TUTORIAL_FIGURES": "svg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
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


def set_environment() -> None:
    """Set what every kernel, and every program that the build starts, inherits."""
    os.environ.update(ENVIRONMENT)
    # node, npm and the kernels are those of this environment.
    own = str(Path(sys.executable).parent)
    if os.environ["PATH"].split(os.pathsep)[0] != own:
        os.environ["PATH"] = f"{own}{os.pathsep}{os.environ['PATH']}"


def execute(notebook: Any) -> None:
    """Execute a notebook in an empty folder; raise CellExecutionError where it fails.

    It runs as it would where a reader has downloaded it, alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=TIMEOUT_SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
            extra_arguments=list(KERNEL_ARGUMENTS),
        ).execute()


def run(path: Path) -> None:
    """Execute a notebook and store its outputs as text, for the sake of git."""
    notebook = nbformat.read(path, as_version=4)
    execute(notebook)
    clean(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


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
    command, *names = arguments
    set_environment()
    status = 0
    for path in map(Path, names):
        if command == "run":
            started = time.monotonic()
            run(path)
            print(f"{path}: {time.monotonic() - started:.0f} s")
        for problem in problems(nbformat.read(path, as_version=4)):
            print(f"{path}: {problem}")
            status = 1
    return status


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("run", "check"):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
