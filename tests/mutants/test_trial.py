"""The tool on a package of five functions, with good tests and bad ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
"""
TESTS = """
import os
import subprocess
import sys

from thing.code import by_another_program, double, planted, until_zero


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
from tests.mutants.coverage_map import measure
from tests.mutants.operators import mutants_of

trial.AT_LEAST = 2
root = Path(sys.argv[1])
asked = dict(sources=["thing"], tests=["tests/test_thing.py"], jobs=1)
known = measure(root, root / "_build", **asked)
again = measure(root, root / "_build", **asked)
mutants = [
    mutant
    for mutant in mutants_of((root / "thing/code.py").read_text(), "thing/code.py")
    if [mutant.before, mutant.operator] in json.loads(sys.argv[2])
]
outcomes = trial.try_all(root, root / "_build", mutants, known, jobs=2)
print(json.dumps([list(known.seconds), known == again, list(map(asdict, outcomes))]))
"""
TRIED = [
    ("return x * 2", "arithmetic"),
    ("return x + 5", "arithmetic"),
    ("return x + 5", "return value"),
    ("n -= 1", "arithmetic"),
    ("return x - 1", "arithmetic"),
    ("return x + 6", "arithmetic"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], bool, Any]:
    """Return the tests that were measured, whether again alike, and the outcomes."""
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
    tests, alike, outcomes = json.loads(ran.stdout)
    assert list(Path(root, "_build").glob("copy-*")) == []
    assert root.joinpath("thing/code.py").read_text() == CODE
    results = {
        (one["mutant"]["before"], one["mutant"]["operator"]): (
            one["result"],
            one["by"].rpartition("::")[2],
        )
        for one in outcomes
    }
    return tests, alike, results


def test_tests_that_fail_without_a_change_are_not_measured(run: Any) -> None:
    names = [test.rpartition("::")[2] for test in run[0]]
    assert "test_that_fails" not in names
    assert "test_double" in names


def test_second_measurement_is_read_from_the_first(run: Any) -> None:
    assert run[1]


def test_mutant_that_a_test_notices_is_killed_by_this_test(run: Any) -> None:
    assert run[2]["return x * 2", "arithmetic"] == ("killed", "test_double")


def test_planted_mutant_survives_the_test_that_fails_everywhere(run: Any) -> None:
    assert run[2]["return x + 5", "arithmetic"] == ("survived", "")
    assert run[2]["return x + 5", "return value"] == (
        "killed",
        "test_that_notices_nothing",
    )


def test_mutant_that_never_ends_is_timed_out(run: Any) -> None:
    assert run[2]["n -= 1", "arithmetic"] == ("timed out", "")


def test_mutant_in_a_program_that_a_test_starts_is_noticed_by_this_test(
    run: Any,
) -> None:
    assert run[2]["return x - 1", "arithmetic"] == ("killed", "test_of_another_program")


def test_mutant_that_no_test_runs_survives(run: Any) -> None:
    assert run[2]["return x + 6", "arithmetic"] == ("survived", "")


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
    assert known.without([test]).tests_of(mutant) == []
