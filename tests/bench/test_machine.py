"""What a result says of its machine, also where the system tells nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adam_tutorial.bench import candidates, machine
from adam_tutorial.bench.running import _threads

LINUX = {
    "/proc/meminfo": "MemTotal:       6291456 kB\nMemAvailable:      3072 kB",
    "/proc/cpuinfo": "processor : 0\nmodel name\t: A fast one",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
}


def test_memory_is_counted_in_the_powers_of_two_of_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_text", lambda file: LINUX.get(str(file), ""))
    found = machine.hardware("cpu")
    assert found["memory_gib"] == 6.0
    assert (found["cpu"], found["huge_pages"]) == ("A fast one", "madvise")
    assert machine.free_memory("cpu") == 3 * 2**20


def test_a_system_that_tells_nothing_has_four_gib_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_text", lambda _: "")
    assert machine.free_memory("cpu") == 4 * 2**30
    found = machine.hardware("cpu")
    assert found["cpu"]
    assert not {"memory_gib", "huge_pages", "caches"} & found.keys()


def test_caches_are_those_for_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(
        machine, "Path", lambda file: tmp_path if "/cpu0/" in str(file) else Path(file)
    )
    assert machine._caches() == {"L1": "48K", "L2": "2048K"}


def test_one_thread_and_all_are_measured_on_a_cpu_and_one_beside_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adam_tutorial.bench.running.cpus", lambda: 8)
    assert _threads(None, "cpu") == [1, 8]
    assert _threads(None, "cuda") == [1]
    assert _threads([2, 4], "cpu") == [2, 4]


class Jax:
    """Has one device."""

    @staticmethod
    def devices(kind: str) -> list[str]:
        return [f"a {kind}"]


def test_jax_uses_all_cpus_where_a_system_gives_no_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    monkeypatch.setattr(candidates, "cpus", lambda: 8)
    assert candidates._jax_cpu(Jax, 8) == "a cpu"
    with pytest.raises(RuntimeError, match="JAX uses all 8 CPUs, and no fewer"):
        candidates._jax_cpu(Jax, 1)
