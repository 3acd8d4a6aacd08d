"""Gradients that are summed over two ranks are told from averaged ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_sum_over_ranks_is_found_and_a_mean_is_not(tmp_path: Path) -> None:
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    ranks = [
        subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-m", "tests.doctor.two_ranks"),
                *(str(tmp_path / "store"), str(rank)),
            ],
            cwd=ROOT,
            env={"GLOO_SOCKET_IFNAME": loopback, **os.environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    for output in outputs:
        found = json.loads(output.splitlines()[-1])
        assert found.pop("sum") == ["gradients summed over ranks"]
        assert set(map(tuple, found.values())) == {()}
