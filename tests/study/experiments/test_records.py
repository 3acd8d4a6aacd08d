from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from adam_tutorial.study.experiments import stored_runs
from adam_tutorial.study.experiments.records import (
    best_setting,
    finite,
    mean_of,
    two_a_decade,
    write,
)

STORED = (
    "batch_size",
    "decay",
    "hyperparameters",
    "images",
    "pains",
    "state_dtypes",
    "text",
)


# Writing


def test_record_is_written_as_strict_json_that_ends_with_a_line(tmp_path: Path) -> None:
    out = tmp_path / "toy.json"
    write(out, {"loss": None, "lr": 0.1})
    assert json.loads(out.read_text()) == {"loss": None, "lr": 0.1}
    assert out.read_text().endswith("}\n")


@pytest.mark.parametrize("content", [{"loss": float("nan")}, {"loss": object()}])
def test_results_that_are_no_json_leave_the_old_file_and_nothing_else(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    out = tmp_path / "toy.json"
    out.write_text("old")
    with pytest.raises((ValueError, TypeError)):
        write(out, content)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_not_finite_is_written_as_none() -> None:
    values = (1.5, math.inf, -math.inf, math.nan)
    assert [finite(value) for value in values] == [1.5, None, None, None]


@pytest.mark.parametrize("name", STORED)
def test_stored_record_is_strict_json(name: str) -> None:
    def refuse(constant: str) -> float:
        raise ValueError(f"JSON has no {constant}")

    record = files("adam_tutorial.study") / "results" / f"{name}.json"
    json.loads(record.read_text(encoding="utf-8"), parse_constant=refuse)


def test_unknown_record_is_an_error_that_lists_the_known_ones() -> None:
    known = r"one of \['batch_size', 'crossover', .*'wide_text'\], got 'image'"
    with pytest.raises(ValueError, match=known):
        stored_runs("image")


# Reading


def rows(*values: tuple[str, float, float | None]) -> list[dict[str, Any]]:
    return [{"rule": rule, "lr": lr, "loss": loss} for rule, lr, loss in values]


def test_mean_is_over_the_runs_with_the_setting_and_infinite_if_one_diverged() -> None:
    runs = rows(("a", 0.1, 1.0), ("a", 0.1, 2.0), ("a", 1.0, 9.0), ("b", 0.1, None))
    assert mean_of(runs, "loss", rule="a", lr=0.1) == 1.5
    assert mean_of(runs, "loss", lr=0.1) == math.inf


def test_mean_of_no_run_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(ValueError, match=r"no run with rule='b', lr=0\.1"):
        mean_of(rows(("a", 0.1, 1.0)), "loss", rule="b", lr=0.1)


def test_of_equally_good_settings_the_first_one_tried_is_the_best() -> None:
    runs = rows(("a", 0.1, 2.0), ("a", 1.0, 1.0), ("b", 0.1, 1.0), ("b", 1.0, 2.0))
    assert best_setting(runs, "loss", ("rule", "lr")) == ("a", 1.0)
    assert best_setting(runs, "loss", ("rule", "lr"), largest=True) == ("a", 0.1)
    assert best_setting(runs, "loss", ("lr",)) == (0.1,)


def test_grid_has_two_values_a_decade() -> None:
    assert two_a_decade(-1, 0) == (0.1, 0.32, 1.0)
    assert two_a_decade(0, 0) == (1.0,)
