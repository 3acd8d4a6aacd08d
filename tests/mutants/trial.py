"""Try each mutant on its tests, in processes that are forked from a warm one.

A process that imports torch takes seconds to start, a mutant's tests often less than
one. So the process that calls :func:`try_all` imports what all tests need once, but
nothing of the code that is changed, and each mutant gets a copy of that process by
``fork``. The mutant is written into a copy of the repository: programs that a test
starts see it, too.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.mutants.coverage_map import QUIET, CoverageMap
from tests.mutants.operators import Mutant

__all__ = ["Outcome", "try_all", "warm_up"]

HEAVY = (
    *("hypothesis.strategies", "numpy.testing", "torch", "torch.testing", "matplotlib"),
    *("matplotlib.pyplot", "mpmath", "sklearn.datasets", "sphinx.application"),
    *("nbformat.v4", "nbclient", "myst_parser", "playwright.sync_api", "optax", "jax"),
)
NOT_COPIED = (
    *("_build", ".git", ".venv", "*.egg-info", "*.pyc", ".hypothesis"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints"),
)
# The warm process has imported pytest's plugins before pytest could rewrite them.
WARM = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
# The tests of a mutant run in stages of about so many seconds; most end in the first.
STAGES = (2.0, 20.0)
# A test that is slower is put off, and does not keep back the others of its file.
SLOW = 0.5
# A stage may compute for so many times what its tests took before: beyond, it never
# ends. Computing is what counts, since a busy machine only makes it last longer; the
# second limit, in seconds of the clock, is for those that wait for each other.
PATIENCE, AT_LEAST = 5, 10
CLOCK = 10
# What Numba compiles is compiled anew first.
TO_COMPILE = 120
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Parameters
    ----------
    mutant : Mutant
    result : {"killed", "timed out", "survived"}
    by : str
        The test that noticed it first.
    tests : int
        How many tests were tried, or would have been, had none failed.
    seconds : float
        How long it took.
    """

    mutant: Mutant
    result: str
    by: str
    tests: int
    seconds: float


def warm_up() -> None:
    """Import what is slow to import, as far as it is installed."""
    for plugin in entry_points(group="pytest11"):
        plugin.load()
    for module in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def try_all(
    root: Path,
    folder: Path,
    mutants: Iterable[Mutant],
    known: CoverageMap,
    *,
    jobs: int = 2,
    seen: Callable[[Outcome], object] = lambda _: None,
) -> list[Outcome]:
    """Return the outcome of each mutant.

    A test that notices a mutant is run without it, too: where it fails all the same, it
    says nothing, and the mutant is tried again without this test.

    Parameters
    ----------
    root, folder : path
        The repository, and a folder for its copies.
    mutants : iterable of Mutant
    known : CoverageMap
        Which tests run which lines.
    jobs : int
        How many mutants to try at a time.
    seen : function
        Called with each outcome as soon as it is there.
    """
    places = [_Place(root, folder / f"copy-{number}") for number in range(jobs)]
    confirmed: list[Outcome] = []
    waiting = list(mutants)
    try:
        while waiting:
            outcomes = []
            for outcome in _round(waiting, known, places):
                outcomes.append(outcome)
                seen(outcome)
            noticed = {outcome.by for outcome in outcomes if outcome.by}
            useless = _failing_anyway(sorted(noticed), known, places[0])
            confirmed += [one for one in outcomes if one.by not in useless]
            waiting = [one.mutant for one in outcomes if one.by in useless]
            known = known.without(useless)
    finally:
        for place in places:
            shutil.rmtree(place.tree, ignore_errors=True)
    return confirmed


def _round(
    mutants: Sequence[Mutant], known: CoverageMap, places: Sequence[_Place]
) -> Iterator[Outcome]:
    """Yield the outcome of each mutant, as soon as it is known."""
    waiting, free = list(mutants)[::-1], list(places)
    busy: list[_Attempt] = []
    try:
        while waiting or busy:
            while waiting and free:
                busy.append(_Attempt(waiting.pop(), known, free.pop()))
            time.sleep(POLL_SECONDS)
            for attempt in list(busy):
                outcome = attempt.poll()
                if outcome is not None:
                    busy.remove(attempt)
                    free.append(attempt.place)
                    yield outcome
    finally:
        for attempt in busy:
            attempt.end()


def _failing_anyway(
    tests: Sequence[str], known: CoverageMap, place: _Place
) -> set[str]:
    """Return those of the tests that fail without any change."""
    named = [test for test in tests if test in known.seconds]
    files = {test for test in tests if test not in known.seconds}
    # Of a file that could not be read, any test will do; where pytest could not even
    # begin, any test at all.
    named += [test for test in known.seconds if test.partition("::")[0] in files]
    if not named and not tests:
        return set()
    named = named or list(known.seconds)[:1]
    sys.stdout.flush()
    process = os.fork()
    if not process:
        _child(place, named)
    _, status = os.waitpid(process, 0)
    failed = set(place.noticed())
    if os.waitstatus_to_exitcode(status) not in PASSED and not failed:
        raise RuntimeError("no test can be run without a change:\n" + place.output())
    return failed


def stages(known: CoverageMap, mutant: Mutant) -> list[list[str]]:
    """Return the tests of a mutant in the order in which they are tried, in stages."""
    ordered: list[str] = []
    for tier in known.tests_of(mutant):
        units: dict[tuple[bool, str], list[str]] = {}
        for test in tier:
            slow = known.seconds[test] > SLOW
            units.setdefault((slow, test.partition("::")[0]), []).append(test)
        cost = {key: sum(known.seconds[one] for one in units[key]) for key in units}
        for key in sorted(units, key=lambda key: (cost[key], key)):
            ordered += sorted(units[key], key=lambda test: known.seconds[test])
    result: list[list[str]] = [[] for _ in range(len(STAGES) + 1)]
    spent = 0.0
    for test in ordered:
        result[sum(spent > limit for limit in STAGES)].append(test)
        spent += known.seconds[test]
    return [stage for stage in result if stage]


class _Place:
    """A copy of the repository in which one mutant at a time is tried."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.tree = tree
        self.times = 0
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(root, tree, ignore=shutil.ignore_patterns(*NOT_COPIED))
        self.scratch = tree / "_build/scratch"

    def noticed(self) -> list[str]:
        """Return the tests that failed, or the files that could not be read."""
        return (self.scratch / "noticed").read_text(encoding="utf-8").splitlines()

    def output(self) -> str:
        """Return the end of what pytest wrote."""
        return (self.scratch / "output").read_text(encoding="utf-8")[-3000:]

    def write(self, path: str, text: str) -> None:
        """Write a file so that Python takes no compiled one of before for it."""
        file = self.tree / path
        file.write_text(text, encoding="utf-8")
        self.times += 1
        os.utime(file, (self.times, self.times))

    def put_back(self, path: str, text: str, changed: int) -> None:
        """Write a file as it was, time and all: what Numba made of it is still good."""
        self.write(path, text)
        os.utime(self.tree / path, ns=(changed, changed))


@dataclass
class _Attempt:
    """A mutant that is being tried."""

    mutant: Mutant
    known: CoverageMap
    place: _Place
    stage: int = 0
    process: int = 0
    ends: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        file = self.place.tree / self.mutant.path
        self.original = file.read_text(encoding="utf-8")
        self.changed = file.stat().st_mtime_ns
        self.place.write(self.mutant.path, self.mutant.applied_to(self.original))
        self.stages = stages(self.known, self.mutant)
        self.begin()

    def begin(self) -> None:
        """Start the process of the next stage."""
        if self.stage == len(self.stages):
            return
        tests = self.stages[self.stage]
        needs = sum(self.known.seconds[test] for test in tests)
        limit = max(AT_LEAST, math.ceil(PATIENCE * needs))
        limit += TO_COMPILE if self.mutant.path in self.known.run_by else 0
        self.ends = time.monotonic() + CLOCK * limit
        sys.stdout.flush()
        self.process = os.fork()
        if not self.process:
            _child(self.place, tests, limit=limit)

    def poll(self) -> Outcome | None:
        """Return the outcome if there is one; start the next stage if one has ended."""
        if self.stage == len(self.stages):
            return self.outcome("survived")
        process, status = os.waitpid(self.process, os.WNOHANG)
        if not process:
            if time.monotonic() < self.ends:
                return None
            self.end()
            return self.outcome("timed out")
        self.process = 0
        code = os.waitstatus_to_exitcode(status)
        if code == BROKEN:
            raise RuntimeError("the tests could not be run:\n" + self.place.output())
        if code == -signal.SIGXCPU:
            return self.outcome("timed out")
        if code not in PASSED:
            return self.outcome("killed")
        self.stage += 1
        self.begin()
        return None

    def end(self) -> None:
        """End the process, and what it has started."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self.process = 0

    def outcome(self, result: str) -> Outcome:
        """Put the file back and return what is known."""
        self.place.put_back(self.mutant.path, self.original, self.changed)
        by = ""
        if result == "killed":
            by = next(iter(self.place.noticed()), "collection")
        tests = sum(map(len, self.stages))
        seconds = round(time.monotonic() - self.started, 2)
        return Outcome(self.mutant, result, by, tests, seconds)


# Also where a mutant has changed the names of the tests, so that none of them ran.
PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
# This tool failed, not a test.
BROKEN = 70


def _child(place: _Place, tests: Sequence[str], *, limit: int | None = None) -> None:
    """Run the tests in this process, which is a copy, and end it.

    With a limit, in seconds of computing, the first test that fails ends it, too.
    """
    status = BROKEN
    try:
        os.setpgid(0, 0)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        shutil.rmtree(place.scratch, ignore_errors=True)
        place.scratch.mkdir(parents=True)
        output = os.open(place.scratch / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(place.tree)
        os.environ["PYTHONPATH"] = str(place.tree)
        os.environ["TMPDIR"] = tempfile.tempdir = str(place.scratch)
        sys.path[:] = [str(place.tree), *sys.path]
        for name in list(sys.modules):
            if name == "tests" or name.startswith("tests."):
                del sys.modules[name]
        importlib.invalidate_caches()
        # Examples in the package come last, as when they were measured.
        files = {test.partition("::")[0] for test in tests}
        ordered = sorted(files, key=lambda file: ("/test_" not in file, file))
        arguments = [*QUIET, *WARM, f"--rootdir={place.tree}"]
        arguments.append(f"--basetemp={place.scratch / 'tests'}")
        arguments += [] if limit is None else ["-x"]
        chosen = _Chosen(tests, place.scratch / "noticed")
        status = pytest.main([*arguments, *ordered], plugins=[chosen])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class _Chosen:
    """A plugin: it keeps the chosen tests, in order, and notes what failed."""

    def __init__(self, tests: Sequence[str], noticed: Path) -> None:
        self.order = {test: place for place, test in enumerate(tests)}
        self.noticed = noticed
        noticed.touch()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the others."""
        items[:] = [item for item in items if item.nodeid in self.order]
        items.sort(key=lambda item: self.order[item.nodeid])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that could not be read."""
        self.note(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that failed."""
        self.note(report)

    def note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.failed:
            with self.noticed.open("a", encoding="utf-8") as file:
                file.write(f"{report.nodeid}\n")
