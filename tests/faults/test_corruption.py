"""Damaged files are refused, whatever happened to them, at little cost in memory."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import safetensors
from safetensors.torch import load as load_by_the_library

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import CheckpointError
from tests.checkpoint.runs import new_run
from tests.faults import LONG
from tests.faults.corruption import KINDS, damaged

COUNT = 1000 if LONG else 160
# What is read at once, and the objects of the error.
SPARE = 2**21


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four checkpoints of a run."""
    folder = tmp_path_factory.mktemp("run")
    run = new_run()
    paths = []
    for step in (1, 2, 3, 4):
        run.train(step)
        paths.append(checkpoint.save(folder, step, **run.parts(), keep=None))
    return paths


def test_each_damaged_file_is_refused_and_the_last_good_one_is_used(
    good: list[Path], tmp_path: Path, record_property: Any
) -> None:
    files = [path.read_bytes() for path in good]
    run = new_run()
    before = run.digest()
    older = tmp_path / "step-0000000000.safetensors"
    checkpoint.save(tmp_path, 0, **new_run().parts())
    path = tmp_path / "step-0000000004.safetensors"
    by_the_library: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    greatest = 0.0
    for kind, data in damaged(files, COUNT, random.Random(0)):
        path.write_bytes(data)
        tracemalloc.start()
        with pytest.raises(CheckpointError) as got:
            checkpoint.load(path, **run.parts())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 2 * len(data) + SPARE, kind
        greatest = max(greatest, (peak - SPARE) / max(1, len(data)))
        assert str(got.value).startswith(f"{path}: ")
        reasons[got.value.reason.split(":")[0].split(" ")[0]] += 1
        try:
            load_by_the_library(data)
        except safetensors.SafetensorError:
            by_the_library["refused"] += 1
        else:
            by_the_library["taken"] += 1
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            assert checkpoint.latest(tmp_path) == older
        assert path.name in str(warned[0].message)
        assert got.value.reason in str(warned[0].message)
    assert run.digest() == before
    record_property(
        "fault",
        f"{COUNT} damaged files of {len(KINDS)} kinds: all refused ({dict(reasons)});"
        f" a reader of safetensors alone takes {by_the_library['taken']}",
    )
    # The digest is needed: the format alone does not see most of it.
    assert by_the_library["taken"] > COUNT / 10


def test_each_good_file_loads(good: list[Path]) -> None:
    for step, path in enumerate(good, start=1):
        assert checkpoint.load(path, **new_run().parts()).step == step


def test_each_single_bit_of_a_small_file_matters(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1)
    data = path.read_bytes()
    rng = random.Random(1)
    header = 8 + int.from_bytes(data[:8], "little")
    places = range(header) if LONG else rng.sample(range(header), 40)
    for place in places:
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(CheckpointError):
                checkpoint.load(path)


MEMORY = """
import sys
from pathlib import Path
import torch
from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import CheckpointError

def memory(entry):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry)) * 1024

def damage(file, kind):
    if kind == "a bit":
        file.seek(-1, 2)
        file.write(b"x")
    elif kind == "its length":
        file.write((2**62).to_bytes(8, "little"))
    elif kind == "all header":
        file.write((path.stat().st_size - 8).to_bytes(8, "little"))
    elif kind == "half":
        file.truncate(path.stat().st_size // 2)

path = checkpoint.save(sys.argv[1], 1, extra=torch.ones(2**23))
size = path.stat().st_size
for kind in ("nothing", "a bit", "its length", "all header", "half"):
    with path.open("r+b") as file:
        damage(file, kind)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured anew
    before = memory("VmRSS:")
    try:
        checkpoint.load(path)
    except CheckpointError:
        pass
    else:
        assert kind == "nothing"
    print(kind, (memory("VmHWM:") - before) / size, sep="=")
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_large_damaged_files_take_no_more_than_twice_their_size(
    tmp_path: Path, record_property: Any
) -> None:
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split("=") for line in done.stdout.splitlines()]
    taken = {kind: float(ratio) for kind, ratio in lines}
    assert 1 < taken["nothing"] < 2.2
    assert all(ratio < 2.2 for ratio in taken.values())
    figures = ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in taken.items())
    record_property(
        "fault", f"peak of memory over the size of a damaged file of 32 MiB: {figures}"
    )
