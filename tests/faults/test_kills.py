"""Runs that are killed at random moments end as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from adam_tutorial import checkpoint
from tests.faults import LONG, kills

KILLS = 1200 if LONG else 25
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def ran(*arguments: str, program: str = "") -> Any:
    """Run the killer in a process of its own, which may fork."""
    command = ["-c", program] if program else ["-m", "tests.faults.kills"]
    done = subprocess.run(
        [sys.executable, *command, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return json.loads(done.stdout)


def test_killed_runs_end_with_the_same_bits_and_lose_no_durable_step(
    record_property: Any,
) -> None:
    outcome = ran("--kills", str(KILLS))
    assert outcome["problems"] == []
    assert outcome["kills"] == KILLS
    assert outcome["runs"] >= 1
    # What can be lost is since the last checkpoint, and the one in the background.
    assert outcome["most_lost"] <= 2 * kills.EVERY
    record_property(
        "fault",
        "{kills} kills, {kills_while_saving} while saving, of {runs} runs: every run"
        " ended with the bits of an undisturbed one; at most {most_lost} steps had to"
        " be done again; {seconds} s".format(**outcome),
    )


WRONG = """
import sys
from tests.faults import kills
from adam_tutorial.checkpoint import saving
{change}
kills.main(sys.argv[1:])
"""
# Random states are not restored; a Saver says durable before it is.
CHANGES = {
    "ended with other bits": """
load = kills.checkpoint.load
kills.checkpoint.load = lambda *a, **k: load(*a, **k, random_states=False)
""",
    "was durable": """
import time
from adam_tutorial.checkpoint import files
sync = files.sync_file
files.sync_file = lambda fd: (time.sleep(0.05), sync(fd))
save = saving.Saver.save
def early(self, step, **parts):
    save(self, step, **parts)
    self.newest = self.folder / files.name_of(step)
saving.Saver.save = early
""",
}


@pytest.mark.parametrize("words", CHANGES)
def test_the_killer_finds_what_is_wrong(words: str) -> None:
    outcome = ran("--kills", "60", program=WRONG.format(change=CHANGES[words]))
    assert words in outcome["problems"][0]


def test_the_random_states_of_the_parent_do_not_matter(tmp_path: Path) -> None:
    # A fork begins with its parent's generators: what it loads must replace them all.
    checkpoint.save(tmp_path, 1)
    first = random.random(), torch.rand(()).item()
    checkpoint.load(tmp_path)
    assert (random.random(), torch.rand(()).item()) == first
