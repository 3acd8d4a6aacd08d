"""The parts of the code that are changed, and the tests that should notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["AREAS", "Area", "Suite"]


@dataclass(frozen=True)
class Suite:
    """Tests, and the code that they test.

    Parameters
    ----------
    name : str
    sources : tuple of str
        Folders of the code; examples in its docstrings are tests, too.
    tests : str
        The folder of the tests.
    without : tuple of str
        Folders and files of it that test something else.
    options : tuple of str
        More for pytest.
    of_signatures : tuple of str
        Files of tests that read signatures, defaults or tables, and so run no line.
    run_by : dict
        From a file that Numba compiles, no line of which Python runs, to the file that
        calls it: a mutant of the first is tried on the tests of the second.
    """

    name: str
    sources: tuple[str, ...]
    tests: str = "tests"
    without: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    of_signatures: tuple[str, ...] = ()
    run_by: Mapping[str, str] = field(default_factory=dict)

    def files(self, root: Path) -> list[str]:
        """Return the files with tests, from the root of the repository.

        Those with examples come last: read first, pytest would import a module apart
        from the package, and its classes would not be those of the package.
        """
        left_out = [root / folder for folder in self.without]
        tests = [
            file
            for file in (root / self.tests).rglob("test_*.py")
            if not any(file.is_relative_to(folder) for folder in left_out)
        ]
        examples = [
            file
            for source in self.sources
            for file in (root / source).rglob("*.py")
            if ">>> " in file.read_text(encoding="utf-8")
        ]
        return [
            file.relative_to(root).as_posix()
            for file in (*sorted(tests), *sorted(examples))
        ]


@dataclass(frozen=True)
class Area:
    """Folders whose code is changed, and the tests that are tried.

    ``only_run`` leaves out what no test runs in this process: the build's tools are
    mostly tested as commands, and on the finished site.
    """

    sources: tuple[str, ...]
    suite: Suite
    only_run: bool = False


BACKENDS = "adam_tutorial/optim/backends"
PRODUCT = (
    *("optim", "reference", "theory", "checking", "libraries"),
    *("bench", "checkpoint", "distributed", "doctor"),
)
OF_PRODUCT = Suite(
    "product",
    tuple(f"adam_tutorial/{name}" for name in PRODUCT),
    without=tuple(
        f"tests/{name}" for name in ("badday", "book", "clients", "mutants", "study")
    ),
    of_signatures=(
        *("tests/reference/test_defaults.py", "tests/libraries/test_table.py"),
        *("tests/checking/test_topics.py", "tests/bench/test_picture.py"),
        *("tests/bench/test_workloads.py", "tests/bench/test_command.py"),
    ),
    run_by={
        f"{BACKENDS}/{name}.py": f"{BACKENDS}/fused.py"
        for name in ("kernels", "kernels_small")
    },
)
TOOLS = ("book/_ext", "book/_tools")
# These look at the finished site, which the copies do not have.
ON_THE_SITE = ("explorables", "figure_widths", "pages", "site_files", "site_numbers")
OF_BOOK = Suite(
    "book",
    TOOLS,
    tests="tests/book",
    without=tuple(f"tests/book/test_{name}.py" for name in ON_THE_SITE),
    options=("-m", "not browser"),
)
AREAS = {name: Area((f"adam_tutorial/{name}",), OF_PRODUCT) for name in PRODUCT}
# Part of it is run by processes of their own only.
AREAS["distributed"] = Area(("adam_tutorial/distributed",), OF_PRODUCT, only_run=True)
AREAS["book"] = Area(TOOLS, OF_BOOK, only_run=True)
