"""A plugin of pytest: writes down which tests passed, and how long each took."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

RESULTS = "MUTANTS_RESULTS"
CONFIGURATION = "MUTANTS_COVERAGE"
STARTS_COVERAGE = "COVERAGE_PROCESS_START"

seconds: dict[str, float] = {}
useless: set[str] = set()


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
