"""Which tests run a line: measured once, and again for the tests that changed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage import CoverageData

from tests.mutants import recorder
from tests.mutants.operators import Mutant

__all__ = ["CoverageMap", "measure"]

HERE = Path(__file__).resolve().parent
# Of every run, and so that no run depends on those before.
QUIET = ("-q", "-p", "no:cacheprovider")


@dataclass
class CoverageMap:
    """Who runs what.

    Parameters
    ----------
    seconds : dict
        From each test that passed to the seconds it took.
    lines : dict
        From a file and a line of it to the tests that run it.
    at_import : dict
        From a file to the lines that run when it is imported: all tests depend on them.
    of_signatures : tuple of str
        Files of tests that read signatures, defaults or tables, and so run no line.
    run_by : dict
        From a file that is compiled, so that Python runs no line of it, to the file
        that calls it.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    at_import: dict[str, set[int]] = field(default_factory=dict)
    of_signatures: tuple[str, ...] = ()
    run_by: Mapping[str, str] = field(default_factory=dict)

    def tests_of(self, mutant: Mutant) -> list[list[str]]:
        """Return the tests that may notice a mutant, the likely ones first.

        The first list holds those that run its statement. Where a statement runs at
        import, such as a default or a table, more may notice: those of its function,
        then of its file, or of its folder if none runs a function of the file.
        """
        near = self._between(mutant.path, mutant.first, mutant.last)
        if mutant.path in self.run_by:
            near |= self._of_file(self.run_by[mutant.path])
        imported = self.at_import.get(mutant.path, set())
        if not imported & set(range(mutant.first, mutant.last + 1)):
            return [sorted(near)] if near else []
        tiers = [near, self._between(mutant.path, *mutant.body)]
        tiers.append(self._of_file(mutant.path))
        if not tiers[-1]:
            folder = mutant.path.rpartition("/")[0]
            files = [path for path in self.lines if path.rpartition("/")[0] == folder]
            tiers.append(set().union(*map(self._of_file, files)))
        tiers.append({t for t in self.seconds if t.startswith(self.of_signatures)})
        seen: set[str] = set()
        result = []
        for tier in tiers:
            result.append(sorted(tier - seen))
            seen |= tier
        return [tier for tier in result if tier]

    def without(self, tests: Collection[str]) -> CoverageMap:
        """Return the same map, without some of the tests."""
        return CoverageMap(
            {test: s for test, s in self.seconds.items() if test not in tests},
            {
                path: {line: all_of - set(tests) for line, all_of in lines.items()}
                for path, lines in self.lines.items()
            },
            self.at_import,
            self.of_signatures,
            self.run_by,
        )

    def files_about(self, mutant: Mutant) -> set[str]:
        """Return the test files of its statement, or else of its function or file."""
        near = (
            self._between(mutant.path, mutant.first, mutant.last)
            or self._between(mutant.path, *mutant.body)
            or self._of_file(self.run_by.get(mutant.path, mutant.path))
        )
        return {test.partition("::")[0] for test in near}

    def runs(self, mutant: Mutant) -> bool:
        """Return whether a test runs the statement of a mutant."""
        return bool(self._between(mutant.path, mutant.first, mutant.last))

    def runs_in_a_test(self, path: str) -> bool:
        """Return whether a test runs a line of the file, beside importing it."""
        return bool(self._of_file(self.run_by.get(path, path)))

    def _between(self, path: str, first: int, last: int) -> set[str]:
        lines = self.lines.get(path, {})
        return set().union(*(lines.get(line, ()) for line in range(first, last + 1)))

    def _of_file(self, path: str) -> set[str]:
        imported = self.at_import.get(path, set())
        lines = self.lines.get(path, {})
        return set().union(*(lines[n] for n in lines if n not in imported))


def measure(
    root: Path,
    folder: Path,
    *,
    sources: Sequence[str],
    tests: Iterable[str],
    options: Sequence[str] = (),
    jobs: int = 2,
    few_cases: bool = False,
) -> CoverageMap:
    """Return which of the tests run which lines of the sources.

    Parameters
    ----------
    root : path
        The repository.
    folder : path
        Where what was measured is kept.
    sources : sequence of str
        Folders of the code, from the root.
    tests : iterable of str
        Files with tests, from the root.
    options : sequence of str
        For pytest.
    jobs : int
        How many processes to use.
    few_cases : bool
        Of each test, run only so many cases that each value of each parameter occurs.
    """
    tests = list(tests)
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / ("few_cases.json" if few_cases else "coverage.json")
    state = _digest(root, (*_python(root, sources), *_helpers(root)))
    kept: dict[str, Any] = {"state": state, "tests": {}, "at_import": {}}
    if store.exists():
        found = json.loads(store.read_text(encoding="utf-8"))
        kept = found if found["state"] == state else kept
    known = kept["tests"]
    digests = {test: _digest(root, [root / test]) for test in tests}
    stale = [t for t in tests if known.get(t, {}).get("digest") != digests[t]]
    if stale:
        run = _run(root, folder, sources, stale, options, jobs, few_cases)
        for test, entry in run.tests.items():
            known[test] = {"digest": digests[test], **entry}
        for path, lines in run.at_import.items():
            before = kept["at_import"].get(path, ())
            kept["at_import"][path] = sorted({*lines, *before})
        store.write_text(json.dumps(kept), encoding="utf-8")
    return _merged([known[test] for test in tests], kept["at_import"])


def _python(root: Path, folders: Iterable[str]) -> list[Path]:
    return [path for folder in folders for path in (root / folder).rglob("*.py")]


def _helpers(root: Path) -> list[Path]:
    """Return what any test may depend on: the tests' helpers, and the settings."""
    helpers = [
        path
        for path in (root / "tests").rglob("*.py")
        if not path.name.startswith("test_") and HERE not in path.parents
    ]
    return [*helpers, root / "pyproject.toml"]


def _digest(root: Path, files: Iterable[Path]) -> str:
    summary = hashlib.sha256()
    for file in sorted(files):
        summary.update(file.relative_to(root).as_posix().encode() + b"\0")
        summary.update(hashlib.sha256(file.read_bytes()).digest())
    return summary.hexdigest()


@dataclass
class _Run:
    """What a run showed, by test file: tests by number, and the lines run at import."""

    tests: dict[str, dict[str, Any]]
    numbers: dict[str, int] = field(default_factory=dict)
    at_import: dict[str, list[int]] = field(default_factory=dict)

    def enter(self, path: str, line: int, contexts: Iterable[str]) -> None:
        """Note who runs a line."""
        for context in contexts:
            test, setting_up = _test_of(context)
            if not test:
                self.at_import.setdefault(path, []).append(line)
                continue
            entry = self.tests[_file_of(test)]
            # A program that a fixture starts works for all tests of the file.
            those = list(entry["seconds"]) if setting_up else [test]
            of_line = entry["lines"].setdefault(path, {}).setdefault(str(line), [])
            of_line += [self.numbers[one] for one in those if one in self.numbers]


def _run(
    root: Path,
    folder: Path,
    sources: Sequence[str],
    tests: Sequence[str],
    options: Sequence[str],
    jobs: int,
    few_cases: bool,
) -> _Run:
    """Run test files under coverage."""
    for old in folder.glob("coverage.data*"):
        old.unlink()
    data, settings = folder / "coverage.data", folder / "coverage.ini"
    results = folder / "results.json"
    # The context of a program that a test starts is that test.
    settings.write_text(
        f"[run]\ndata_file = {data}\ncontext = ${{PYTEST_CURRENT_TEST-}}\nsource =\n"
        + "".join(f"    {root / source}\n" for source in sources),
        encoding="utf-8",
    )
    environment = os.environ | {
        recorder.RESULTS: str(results),
        recorder.CONFIGURATION: str(settings),
        "PYTHONPATH": os.pathsep.join((str(root), str(HERE.parents[1]))),
    }
    environment |= {recorder.FEW_CASES: "1"} if few_cases else {}
    environment.pop("PYTEST_CURRENT_TEST", None)
    command = [sys.executable, "-m", "pytest", *QUIET, "-p", recorder.__name__]
    command += [f"--rootdir={root}", "-n", str(jobs) if jobs > 1 else "0", "--cov"]
    command += [f"--cov-config={settings}", "--cov-context=test", "--cov-report="]
    log = folder / "coverage.log"
    with log.open("w", encoding="utf-8") as output:
        status = subprocess.run(
            [*command, *options, *tests],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if status not in (0, 1) or not data.exists():
        raise RuntimeError(f"the tests could not be measured; see {log}")
    outcome = json.loads(results.read_text(encoding="utf-8"))
    useless = set(outcome["useless"])
    run = _Run({test: {"seconds": {}, "lines": {}} for test in tests})
    for test, seconds in outcome["seconds"].items():
        if test not in useless:
            of_file = run.tests[_file_of(test)]["seconds"]
            run.numbers[test] = len(of_file)
            of_file[test] = round(seconds, 4)
    measured = CoverageData(str(data))
    measured.read()
    for path in measured.measured_files():
        name = Path(path).relative_to(root).as_posix()
        for line, contexts in measured.contexts_by_lineno(path).items():
            run.enter(name, line, contexts)
    return run


def _test_of(context: str) -> tuple[str, bool]:
    """Return the test of a context, and whether it is a program in its set-up."""
    for mark in (" (setup)", " (call)", " (teardown)"):
        if context.endswith(mark):
            return context.removesuffix(mark), mark == " (setup)"
    return context.rpartition("|")[0], False


def _file_of(test: str) -> str:
    return test.partition("::")[0]


def _merged(
    entries: Iterable[Mapping[str, Any]], at_import: Mapping[str, Iterable[int]]
) -> CoverageMap:
    merged = CoverageMap()
    merged.at_import = {path: set(lines) for path, lines in at_import.items()}
    for entry in entries:
        merged.seconds |= entry["seconds"]
        names = list(entry["seconds"])
        for path, lines in entry["lines"].items():
            of_file = merged.lines.setdefault(path, {})
            for line, numbers in lines.items():
                of_file.setdefault(int(line), set()).update(names[n] for n in numbers)
    return merged
