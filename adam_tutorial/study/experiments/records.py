"""The record of an experiment: how it is written, and how its rows are read.

A row is a dictionary that describes one training run: its settings, its seed and its
scores. A score is None where the run diverged, because JSON has no infinity.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adam_tutorial.study.training import Evaluation

__all__ = [
    "as_json",
    "best_setting",
    "finite",
    "matching",
    "mean_of",
    "output_file",
    "provenance",
    "run_and_write",
    "scores",
    "two_a_decade",
    "values_of",
    "write",
]

Row = dict[str, Any]


def output_file(module: str) -> Path:
    """Return the file that the command line names with ``--out``.

    Parameters
    ----------
    module : str
        Name of the experiment's module, for the messages.

    Raises
    ------
    SystemExit
        No file is named, or its folder does not exist: better now than after the runs.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    out: Path = parser.parse_args().out
    if not out.parent.is_dir():
        parser.error(f"--out: the folder {out.parent} does not exist")
    return out


def provenance(module: str, out: Path, *, seconds: float) -> dict[str, Any]:
    """Return how a record was made: command, versions, machine and time.

    Parameters
    ----------
    module : str
        Name of the experiment's module.
    out : Path
        The file that was asked for.
    seconds : float
        How long it took.
    """
    return {
        "command": f"python -m {module} --out {out}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "machine": (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
        ),
        "minutes": round(seconds / 60, 1),
    }


def as_json(record: dict[str, Any]) -> str:
    """Return a record as indented JSON; ValueError for infinity and NaN."""
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def write(
    out: Path,
    record: dict[str, Any],
    encode: Callable[[dict[str, Any]], str] = as_json,
) -> None:
    """Write a record; an older file stays until the new one is complete.

    Parameters
    ----------
    out : Path
        The file to write or to replace.
    record : dict
        What to write.
    encode : function, optional
        Turns the record into text.
    """
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        scratch.write_text(encode(record), encoding="utf-8")
        os.replace(scratch, out)
    finally:
        scratch.unlink(missing_ok=True)


def run_and_write(
    module: str,
    work: Callable[[], Any],
    *,
    clock: Callable[[], float] = time.monotonic,
    encode: Callable[[dict[str, Any]], str] = as_json,
    **described: Any,
) -> None:
    """Do an experiment from the command line, and write its record.

    Parameters
    ----------
    module : str
        Name of the experiment's module, stored as part of the command.
    work : function
        Returns the results. It is called once a file is named and its folder is there.
    clock : function
        What the minutes are counted by: ``time.process_time`` if what else runs on the
        machine shall have no part in them.
    encode : function, optional
        As for :func:`write`.
    **described
        What the record says beside the results, such as ``dtype`` and ``threads``.
    """
    out = output_file(module)
    started = clock()
    results = work()
    record = {
        **provenance(module, out, seconds=clock() - started),
        **described,
        "results": results,
    }
    write(out, record, encode)
    print(f"wrote {out} after {record['minutes']} minutes", file=sys.stderr)


def finite(value: float) -> float | None:
    """Return the value, or None if it is infinite or NaN."""
    return value if math.isfinite(value) else None


def scores(part: str, result: Evaluation) -> dict[str, float | None]:
    """Return loss and accuracy on a part of the examples, ready for a row."""
    return {f"{part}_loss": finite(result.loss), f"{part}_accuracy": result.accuracy}


def two_a_decade(first: int, last: int) -> tuple[float, ...]:
    """Return the powers of ten between two exponents, and 3.2 times each but the last.

    Examples
    --------
    >>> two_a_decade(-1, 1)
    (0.1, 0.32, 1.0, 3.2, 10.0)
    """
    return tuple(float(f"{10 ** (k / 2):.2g}") for k in range(2 * first, 2 * last + 1))


def matching(rows: Iterable[Row], **values: Any) -> list[Row]:
    """Return the rows that have all the given values."""
    return [
        row for row in rows if all(row[key] == value for key, value in values.items())
    ]


def values_of(rows: Iterable[Row], key: str) -> list[float]:
    """Return one score of each row, infinity in place of None."""
    return [math.inf if row[key] is None else row[key] for row in rows]


def mean_of(rows: Iterable[Row], key: str, **setting: Any) -> float:
    """Return the mean of a score over the runs with a setting.

    Parameters
    ----------
    rows : iterable of dict
        The runs.
    key : str
        Which score. If it is None for one of the runs, the mean is infinite.
    **setting
        The values that the runs have in common.

    Raises
    ------
    ValueError
        There is no such run.

    Examples
    --------
    >>> rows = [{"lr": 0.1, "loss": 3.0}, {"lr": 0.1, "loss": 4.0}]
    >>> mean_of(rows, "loss", lr=0.1)
    3.5
    """
    found = values_of(matching(rows, **setting), key)
    if not found:
        wanted = ", ".join(f"{name}={value!r}" for name, value in setting.items())
        raise ValueError(f"there is no run with {wanted}")
    return float(np.mean(found))


def best_setting(
    rows: list[Row], key: str, fields: tuple[str, ...], *, largest: bool = False
) -> tuple[Any, ...]:
    """Return the setting with the lowest mean score; of equals, the first one tried.

    Parameters
    ----------
    rows : list of dict
        The runs to choose from.
    key : str
        Which score.
    fields : tuple of str
        The names of what makes up a setting.
    largest : bool
        Choose the highest mean instead.

    Returns
    -------
    tuple
        The values of the fields.
    """
    tried = dict.fromkeys(tuple(row[field] for field in fields) for row in rows)

    def mean(setting: tuple[Any, ...]) -> float:
        return mean_of(rows, key, **dict(zip(fields, setting, strict=True)))

    return max(tried, key=mean) if largest else min(tried, key=mean)
