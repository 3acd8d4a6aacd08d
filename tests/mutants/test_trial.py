"""The tool on a package of five functions, with good tests and bad ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, counted, table
from tests.mutants.coverage_map import CoverageMap
from tests.mutants.operators import mutants_of
from tests.mutants.trial import Outcome

CODE = """
from functools import wraps


def decorated(function):
    @wraps(function)
    def inside(*args):
        return function(*args)

    return inside


@decorated
def double(x):
    return x * 2


def planted(x):
    return x + 5


def until_zero(n):
    while n > 0:
        n -= 1
    return n


def by_another_program(x):
    return x - 1


def untested(x):
    return x + 6


def both(x, y):
    return 7 if x and y else None
"""
TESTS = """
import os
import subprocess
import sys

import pytest

from thing.code import both, by_another_program, double, planted, until_zero


@pytest.mark.parametrize("y", [False, True])
@pytest.mark.parametrize("x", [[], [1]])
def test_both(x, y):
    assert both(x, y) == (7 if x and y else None)


def test_double():
    assert double(3) == 6


def test_that_notices_nothing():
    assert planted(1)


def test_that_fails_wherever_mutants_are_tried():
    assert planted(1)
    assert "copy-" not in os.getcwd()


def test_until_zero():
    assert until_zero(3) == 0


def test_of_another_program():
    program = "from thing.code import *; print(by_another_program(3))"
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, text=True) == "2\\n"


def test_that_fails():
    assert double(1) == 0
"""
PROGRAM = """
import json, sys
from dataclasses import asdict
from pathlib import Path

from tests.mutants import trial
from tests.mutants.__main__ import tried_twice
from tests.mutants.coverage_map import measure
from tests.mutants.operators import mutants_of

trial.AT_LEAST = 2
root = Path(sys.argv[1])
folder, files = root / "_build", ["tests/test_thing.py"]
asked = dict(sources=["thing"], jobs=1)
few = measure(root, folder, tests=files, few_cases=True, **asked)
known = measure(root, folder, tests=files, **asked)
again = measure(root, folder, tests=files, **asked)
mutants = [
    mutant
    for mutant in mutants_of((root / "thing/code.py").read_text(), "thing/code.py")
    if [mutant.before, mutant.operator] in json.loads(sys.argv[2])
]
outcomes = tried_twice(
    root,
    folder,
    mutants,
    few,
    lambda files: measure(root, folder, tests=files, **asked),
    jobs=2,
)
tests = [list(few.seconds), list(known.seconds)]
print()
print(json.dumps([*tests, known == again, list(map(asdict, outcomes))]))
"""
TRIED = [
    ("return x * 2", "arithmetic"),
    ("return x + 5", "arithmetic"),
    ("return x + 5", "return value"),
    ("n -= 1", "arithmetic"),
    ("return x - 1", "arithmetic"),
    ("return x + 6", "arithmetic"),
    ("return 7 if x and y else None", "constant"),
]


@dataclass(frozen=True)
class Run:
    """The tests of a few cases, and all tests; whether these were read again alike.

    The outcomes are by line and operator: the result, and the test that noticed.
    """

    few: list[str]
    every: list[str]
    alike: bool
    results: dict[tuple[str, str], tuple[str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return what the tool did."""
    root = tmp_path_factory.mktemp("project")
    for name, text in {
        "pyproject.toml": "",
        "thing/__init__.py": "",
        "thing/code.py": CODE,
        "tests/test_thing.py": TESTS,
    }.items():
        root.joinpath(name).parent.mkdir(exist_ok=True)
        root.joinpath(name).write_text(text)
    # A process of its own: this one has threads, and should not be forked.
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root), json.dumps(TRIED)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    few, every, alike, outcomes = json.loads(ran.stdout.splitlines()[-1])
    assert list(Path(root, "_build").glob("copy-*")) == []
    assert root.joinpath("thing/code.py").read_text() == CODE
    results = {
        (one["mutant"]["before"], one["mutant"]["operator"]): (
            one["result"],
            one["by"].rpartition("::")[2],
        )
        for one in outcomes
    }
    return Run(few, every, alike, results)


def test_tests_that_fail_without_a_change_are_not_measured(run: Run) -> None:
    names = [test.rpartition("::")[2] for test in run.every]
    assert "test_that_fails" not in names
    assert "test_double" in names


def test_second_measurement_is_read_from_the_first(run: Run) -> None:
    assert run.alike


def test_mutant_that_a_test_notices_is_killed_by_this_test(run: Run) -> None:
    assert run.results["return x * 2", "arithmetic"] == ("killed", "test_double")


def test_planted_mutant_survives_the_test_that_fails_everywhere(run: Run) -> None:
    assert run.results["return x + 5", "arithmetic"] == ("survived", "")
    assert run.results["return x + 5", "return value"] == (
        "killed",
        "test_that_notices_nothing",
    )


def test_mutant_that_never_ends_is_timed_out(run: Run) -> None:
    assert run.results["n -= 1", "arithmetic"] == ("timed out", "")


def test_mutant_in_a_program_that_a_test_starts_is_noticed_by_this_test(
    run: Run,
) -> None:
    assert run.results["return x - 1", "arithmetic"] == (
        "killed",
        "test_of_another_program",
    )


def test_each_value_of_a_parameter_is_among_the_few_cases(run: Run) -> None:
    few, every = (
        [name for test in tests if "both" in (name := test.rpartition("::")[2])]
        for tests in (run.few, run.every)
    )
    assert few == ["test_both[x0-False]", "test_both[x0-True]", "test_both[x1-False]"]
    assert every == [*few, "test_both[x1-True]"]


def test_mutant_that_the_few_cases_miss_is_tried_on_all(run: Run) -> None:
    assert run.results["return 7 if x and y else None", "constant"] == (
        "killed",
        "test_both[x1-True]",
    )


def test_mutant_that_no_test_runs_survives(run: Run) -> None:
    assert run.results["return x + 6", "arithmetic"] == ("survived", "")


def test_table_counts_the_results_and_leaves_equivalents_out_of_the_share() -> None:
    mutant = mutants_of("x = a + b", "file.py")[0]
    results = ["killed"] * 6 + ["timed out", "survived", "equivalent", "equivalent"]
    outcomes = [Outcome(mutant, result, "", 1, 0.1) for result in results]
    counts = counted(outcomes)
    assert counts == {
        "mutants": 10,
        "killed": 6,
        "timed out": 1,
        "survived": 1,
        "equivalent": 2,
    }
    head, row = table({"optim": counts}).splitlines()
    assert head.split()[-2:] == ["equivalent", "noticed"]
    assert row.split() == ["optim", "10", "6", "1", "1", "2", "88", "%"]


def test_default_is_also_tried_on_the_tests_that_only_read_signatures() -> None:
    code = "def double(x, by=2):\n    return x * by\n"
    default, product = sorted(
        (m for m in mutants_of(code, "thing.py") if m.line in (1, 2)),
        key=lambda mutant: mutant.line,
    )[:: len(mutants_of(code, "thing.py")) - 1]
    body, signature = "tests/test_thing.py::test", "tests/test_defaults.py::test"
    known = CoverageMap(
        {body: 0.1, signature: 0.1},
        {"thing.py": {2: {body}}},
        {"thing.py": {1}},
        ("tests/test_defaults.py",),
    )
    assert known.tests_of(default) == [[body], [signature]]
    assert known.files_about(default) == {"tests/test_thing.py"}
    assert known.tests_of(product) == [[body]]
    assert not known.runs(default)
    assert known.runs(product)


def test_compiled_code_is_tried_on_the_tests_of_the_file_that_calls_it() -> None:
    mutant = mutants_of("def half(x):\n    return x / 2\n", "kernel.py")[0]
    test = "tests/test_caller.py::test"
    known = CoverageMap(
        {test: 0.1}, {"caller.py": {3: {test}}}, run_by={"kernel.py": "caller.py"}
    )
    assert known.runs_in_a_test("kernel.py")
    assert known.tests_of(mutant) == [[test]]
    assert known.files_about(mutant) == {"tests/test_caller.py"}
    assert known.without([test]).tests_of(mutant) == []
