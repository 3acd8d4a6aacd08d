"""The record of an experiment: how it is written, and how its rows are read.

A row is a dictionary that describes one training run: its settings, its seed and its
scores. A score is None where the run diverged, because JSON has no infinity.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adam_tutorial.study.training import Evaluation

__all__ = [
    "as_digits",
    "as_hundredths",
    "as_json",
    "best_setting",
    "finite",
    "listed",
    "matching",
    "mean_of",
    "parser_of",
    "part_of",
    "provenance",
    "scores",
    "short",
    "shortened",
    "two_a_decade",
    "values_of",
    "write",
]

Row = dict[str, Any]


def parser_of(module: str) -> argparse.ArgumentParser:
    """Return what reads the command line of an experiment, with its ``--out``.

    Parameters
    ----------
    module : str
        Name of the experiment's module, for the messages.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument(
        "--out", type=_writable, required=True, help="JSON file to write"
    )
    return parser


def _writable(path: str) -> Path:
    out = Path(path)
    if not out.parent.is_dir():  # better now than after the runs
        raise argparse.ArgumentTypeError(f"the folder {out.parent} does not exist")
    return out


def provenance(module: str, out: Path, *, seconds: float) -> dict[str, Any]:
    """Return how a record was made: command, versions, machine, time and commit.

    Parameters
    ----------
    module : str
        Name of the experiment's module.
    out : Path
        The file that was asked for.
    seconds : float
        How long it took.
    """
    found = {
        "command": f"python -m {module} --out {out}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "machine": (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
        ),
        "cpu": _cpu(),
        "minutes": round(seconds / 60, 1),
    }
    return {**found, "commit": commit} if (commit := _commit()) else found


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str | None:
    """Return the commit of this source and whether it was changed, if git knows it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        # An installed package may lie in somebody else's repository.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = " and changes" if git("status", "--porcelain", "-uno") else ""
        return git("rev-parse", "HEAD")[:12] + changed
    except (OSError, subprocess.CalledProcessError):
        return None


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


def finite(value: float) -> float | None:
    """Return the value, or None if it is infinite or NaN."""
    return value if math.isfinite(value) else None


def short(loss: float) -> float | None:
    """Return seven digits of a loss, as many as float32 has; None if not finite."""
    return finite(float(f"{loss:.7g}"))


def shortened(losses: Iterable[float]) -> list[float | None]:
    """Return seven digits of each loss, and None in place of one that is not finite."""
    return [short(loss) for loss in losses]


def listed(numbers: Iterable[float]) -> str:
    """Return four digits of each number, in one string: a list would be long."""
    return " ".join(f"{number:.4g}" for number in numbers)


def scores(part: str, result: Evaluation) -> dict[str, float | None]:
    """Return loss and accuracy on a part of the examples, ready for a row."""
    return {f"{part}_loss": finite(result.loss), f"{part}_accuracy": result.accuracy}


def as_digits(predictions: torch.Tensor | NDArray[np.int64]) -> str:
    """Return predictions below ten, one digit each: a list would take a line each."""
    return "".join(map(str, predictions.tolist()))


def as_hundredths(losses: torch.Tensor) -> str:
    """Return losses in hundredths of a nat, in one string: a list would be long."""
    return " ".join(f"{100 * x:.0f}" for x in losses.tolist())


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


def part_of(rows: Iterable[Row], **values: Any) -> list[Row]:
    """Return the rows that have all the given values, without what they share.

    Examples
    --------
    >>> part_of([{"task": "a", "lr": 1}, {"task": "b", "lr": 2}], task="b")
    [{'lr': 2}]
    """
    return [
        {key: value for key, value in row.items() if key not in values}
        for row in matching(rows, **values)
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
