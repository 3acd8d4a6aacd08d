"""What each of the two processes runs: all scenarios, one after another."""

from __future__ import annotations

from tests.distributed import replicated, sharded
from tests.distributed.launch import run_scenarios

if __name__ == "__main__":
    run_scenarios({**replicated.SCENARIOS, **sharded.SCENARIOS})
