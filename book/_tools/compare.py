"""Execute the chapters, compare their outputs with the stored ones, feed the site.

``python book/_tools/compare.py FILE ...`` lets nbval do it, with this file as a pytest
plugin. Kernels run as those of the build do, each in an empty folder: a chapter that
needs a file of the repository fails. A chapter whose cells all pass is handed to the
build, figures included, and not executed again.
"""

from __future__ import annotations

import copy
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel, start_new_kernel
from nbval.plugin import IPyNbCell, IPyNbFile

from execution import Executed, digest
from notebooks import KERNEL_ARGUMENTS, NOT_STORED
from running import alone, run

CELL_TIMEOUT_SECONDS = 300
# They take longest, and begin first: at the end, one process would wait for the other.
LONG = (
    *("scale", "images", "text", "the_parts", "adam_in_the_wild"),
    *("what_an_optimizer_does", "does_adam_converge", "when_adam_wins"),
    *("where_gradient_descent_hurts", "myths_and_mistakes", "weight_decay", "fast"),
)


class Kernel(RunningKernel):  # type: ignore[misc]
    """A kernel that numbers the cells it executes, as JupyterLab's do."""

    def __init__(self, folder: str, startup_timeout: float) -> None:
        self.km, self.kc = start_new_kernel(
            startup_timeout=startup_timeout,
            kernel_name=CURRENT_ENV_KERNEL_NAME,
            cwd=folder,
            stderr=subprocess.DEVNULL,
            extra_arguments=KERNEL_ARGUMENTS,
        )
        self._ensure_iopub_up()

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        """Return the next message, and do not wait for one of a kernel that died."""
        end = time.monotonic() + (timeout or math.inf)
        while True:
            try:
                return super().get_message(stream, timeout=1)
            except Empty:
                if not self.is_alive():
                    pytest.fail("the kernel died; was memory short?", pytrace=False)
                if time.monotonic() > end:
                    raise

    def execute_cell_input(
        self, cell_input: str, allow_stdin: bool | None = None
    ) -> str:
        """Execute a cell, return the identifier of the request."""
        request: str = self.kc.execute(
            cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
        )
        return request


class Chapter(IPyNbFile):  # type: ignore[misc]
    """A notebook, and the outputs of those of its cells that passed."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.skip_compare: tuple[str, ...] = (*self.skip_compare, *NOT_STORED)
        self.passed: dict[int, list[Any]] = {}

    def setup(self) -> None:
        """Start a kernel in an empty folder."""
        self.inputs = digest()
        self.started = time.monotonic()
        self.folder = tempfile.TemporaryDirectory()
        wait = self.config.option.nbval_kernel_startup_timeout
        try:
            self.kernel = Kernel(self.folder.name, wait)
        except RuntimeError:
            # Of two that choose one port, the second does not start.
            self.kernel = Kernel(self.folder.name, wait)
        self.setup_sanitize_files()

    def teardown(self) -> None:
        """Stop the kernel; hand the chapter in if it is whole."""
        super().teardown()
        self.folder.cleanup()
        notebook = copy.deepcopy(self.nb)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        # The package may have changed while the chapter ran.
        if len(self.passed) == len(code) and self.inputs == digest():
            for number, cell in enumerate(code):
                cell.outputs = self.passed[number]
            seconds = time.monotonic() - self.started
            Executed(self.inputs).hand_in(Path(self.path), notebook, seconds)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Any:
    """Collect notebooks as chapters."""
    if file_path.suffix == ".ipynb":
        return Chapter.from_parent(parent, path=file_path)
    return None


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Keep the outputs of a cell that passed."""
    if call.when == "call" and call.excinfo is None and isinstance(item, IPyNbCell):
        item.parent.passed[item.cell_num] = item.test_outputs


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Leave Ctrl-C to `run`, which has a sentence for it."""
    raise excinfo.value


def main(names: list[str]) -> int:
    """Execute and compare two chapters at a time; return pytest's exit status."""
    options = f"--quiet --numprocesses=2 --nbval-cell-timeout={CELL_TIMEOUT_SECONDS}"
    # This file imports nbval before pytest could rewrite its assertions.
    ignored = "-Wignore:Module already imported:pytest.PytestAssertRewriteWarning"
    in_turn = ["--dist=loadfile", "--no-loadscope-reorder"]
    names = sorted(names, key=lambda name: Path(name).stem not in LONG)
    with alone():
        return pytest.main([*options.split(), *in_turn, "-pcompare", ignored, *names])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    run(main)
