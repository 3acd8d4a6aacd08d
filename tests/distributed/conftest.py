from __future__ import annotations

import os

import pytest
from filelock import FileLock

from tests.distributed.launch import Outcomes, run_in_processes
from tests.distributed.task import PROCESSES

# They run in processes of their own. Importing them here brings torch's deprecation
# warnings.
collect_ignore = [
    *("__main__.py", "four.py", "host.py", "killed.py", "replicated.py", "sharded.py"),
    "without_restart.py",
]


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What the scenarios of two processes returned."""
    return run_once(tmp_path_factory, "tests.distributed", PROCESSES)


@pytest.fixture(scope="session")
def of_four(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What the scenarios of four processes returned."""
    return run_once(tmp_path_factory, "tests.distributed.four", 4)


def run_once(
    tmp_path_factory: pytest.TempPathFactory, module: str, processes: int
) -> Outcomes:
    """Run a module in some processes. Workers of pytest-xdist share one run of it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= module
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            run_in_processes(module, folder, processes)
    return Outcomes(folder, processes)
