from __future__ import annotations

import os

import pytest
from filelock import FileLock

from tests.distributed.launch import Outcomes, run_in_two_processes

# They run in processes of their own. Importing them here brings torch's deprecation
# warnings.
collect_ignore = ["__main__.py", "replicated.py", "sharded.py"]


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What the scenarios returned. Workers of pytest-xdist share one run of them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "distributed"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            run_in_two_processes("tests.distributed", folder)
    return Outcomes(folder)
