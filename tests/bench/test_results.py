"""Tables, ratios and files of a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adam_tutorial.bench import Result, run
from tests.bench.toys import made_up


def test_a_result_is_the_same_after_a_round_trip(tmp_path: Path) -> None:
    result = made_up()
    result.save(tmp_path / "bench.json")
    loaded = Result.load(tmp_path / "bench.json")
    assert loaded == result
    assert str(loaded) == str(result)
    record = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert Result.load(record) == result
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


def test_a_measured_result_is_the_same_after_a_round_trip(tmp_path: Path) -> None:
    result = run(["2x3", "1x4"], ["torch", "python"], threads=[1], rounds=2)
    result.save(tmp_path / "bench.json")
    assert Result.load(tmp_path / "bench.json") == result
    assert {*result.settings.values()} == {"cpu", 2, None, "torch-fused"}
    assert result.workloads["2x3"] == {"tensors": 2, "elements": 6, "bytes": 168}
    assert {"python", "torch", "numpy"} <= {*result.versions}
    assert result.hardware["cpus"] >= 1
    assert result.hardware["cpu"] in result.machine


def test_times_stand_on_one_line(tmp_path: Path) -> None:
    made_up().save(tmp_path / "bench.json")
    lines = (tmp_path / "bench.json").read_text(encoding="utf-8").splitlines()
    assert '    "torch-fused": [0.004, 0.002, 0.00325]' in lines


def test_an_older_file_stays_if_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    made_up().save(file)
    before = file.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON compliant"):
        made_up(minutes=float("nan")).save(file)
    assert file.read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


@pytest.mark.parametrize("record", [{}, {"rounds": []}, [1, 2]])
def test_a_file_of_another_kind_is_refused(record: Any, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^source must be what Result\.save wrote"):
        Result.load(file)


def test_ratios_are_to_the_reference_or_to_what_is_asked() -> None:
    result = made_up()
    assert result.ratio("1x1024", "ours") == 2.0
    assert result.ratio("1x1024", "ours", threads=2) == 0.5
    assert result.ratio("1x1024", "torch-fused", to="ours") == 0.5
    assert result.threads == [1, 2]
    assert result.candidates == ["torch-fused", "ours"]
    assert result.seconds("2x1024", "torch-fused") == [0.004, 0.002, 0.00325]


@pytest.mark.parametrize(
    ("workload", "candidate", "threads"),
    [("2x1024", "ours", 1), ("1x1024", "ours", 3), ("mlp", "ours", 1)],
)
def test_what_was_not_measured_is_named(
    workload: str, candidate: str, threads: int
) -> None:
    said = (
        f"^'{candidate}' was not measured on '{workload}' with threads={threads}; there"
        r" are \['torch-fused', 'ours'\] on \['1x1024', '2x1024'\] with threads in"
        r" \[1, 2\]$"
    )
    with pytest.raises(ValueError, match=said):
        made_up().ratio(workload, candidate, threads)


def test_tables_have_a_row_a_workload_and_a_column_a_candidate() -> None:
    result = made_up()
    assert result.table() == "        ours\n1x1024  2.00\n2x1024     -"
    assert result.table("median").splitlines() == [
        "        torch",
        "        fused  ours",
        "1x1024   4000  1000",
        "2x1024   3.25     -",
    ]
    assert result.table("best", threads=2).splitlines() == [
        "        torch",
        "        fused  ours",
        "1x1024   1500  3000",
        "2x1024      -     -",
    ]
    with pytest.raises(ValueError, match=r"^figure must be one of .*, got 'mean'"):
        result.table("mean")  # type: ignore[arg-type]


def test_the_report_has_the_machine_the_tables_and_what_was_left_out() -> None:
    text = str(made_up())
    assert text.startswith(
        "A, 2 CPUs, L1 48K\n\n1 thread: times as fast as torch-fused"
    )
    assert "\n2 threads: milliseconds of one step, median\n" in text
    assert text.endswith(
        "\nLeft out\n"
        "  ours (2x1024): TypeError: Adam has no argument 'x'\n"
        "  optax: ModuleNotFoundError: No module named 'jax'"
    )
    assert "busy" not in text
    busy = made_up(hardware={**made_up().hardware, "load": 1.5})
    assert "\nThe machine was busy (load 1.5): repeat this when it is idle.\n" in str(
        busy
    )
    clipped = made_up(settings={**made_up().settings, "max_grad_norm": 1.0}, absent=[])
    assert "\nClip and step. 1 thread: times as fast" in str(clipped)
    assert "Left out" not in str(clipped)
