"""A plugin of pytest: writes down which tests passed, and how long each took.

If it is asked to, it runs a few cases only of each test with parameters.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

RESULTS = "MUTANTS_RESULTS"
CONFIGURATION = "MUTANTS_COVERAGE"
FEW_CASES = "MUTANTS_FEW_CASES"
STARTS_COVERAGE = "COVERAGE_PROCESS_START"

seconds: dict[str, float] = {}
useless: set[str] = set()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Keep a few cases of each test."""
    if FEW_CASES in os.environ:
        kept = few_cases(items)
        left = set(items) - set(kept)
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = kept


def few_cases(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return so many cases of each test that each value of each parameter occurs."""
    seen: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    kept = []
    for item in items:
        case = getattr(item, "callspec", None)
        # Parameters need not be comparable; those of a product are the same objects.
        values = case.params.items() if case else ()
        new = {(name, id(value)) for name, value in values}
        of_test = seen[item.nodeid.partition("[")[0]]
        if not case or new - of_test:
            kept.append(item)
        of_test |= new
    return kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Measure the programs that a test starts, too; nothing else may start coverage."""
    os.environ[STARTS_COVERAGE] = os.environ[CONFIGURATION]
    try:
        return (yield)
    finally:
        del os.environ[STARTS_COVERAGE]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the seconds of setting up, running and cleaning up."""
    seconds[report.nodeid] = seconds.get(report.nodeid, 0.0) + report.duration
    if not report.passed:
        useless.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the results, once: not in the processes that xdist starts."""
    if not hasattr(session.config, "workerinput"):
        results = {"seconds": seconds, "useless": sorted(useless)}
        Path(os.environ[RESULTS]).write_text(json.dumps(results), encoding="utf-8")
