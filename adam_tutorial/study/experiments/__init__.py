"""Runs that are too long for a notebook, with their results stored as JSON.

Each module is run as ``python -m adam_tutorial.study.experiments.NAME --out FILE``. All
training is on one thread, seeded and in float64, so another machine gets the same
numbers. The many short runs of ``hyperparameters`` and ``batch_size``, and those of
``state_dtypes``, are in float32; there, another machine gets the same first digits.
``link`` measures times.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def stored_runs(name: str) -> dict[str, Any]:
    """Return the stored record of an experiment: its results and how they were made.

    Parameters
    ----------
    name : str
        The experiment: "batch_size", "decay", "hyperparameters", "images", "link",
        "local_steps", "pains", "poison", "spikes", "state_dtypes", "text"; or a run of
        the bench: "fast_step", "fast_clip", "fast_growth", "fast_numpy", "fast_8bit".

    Raises
    ------
    ValueError
        There is no record of that name.

    Examples
    --------
    >>> stored_runs("decay")["command"].split()[:3]
    ['python', '-m', 'adam_tutorial.study.experiments.decay']
    """
    folder = files("adam_tutorial.study") / "results"
    record = folder / f"{name}.json"
    if not record.is_file():
        known = sorted(
            p.name[:-5] for p in folder.iterdir() if p.name.endswith(".json")
        )
        raise ValueError(f"name must be one of {known}, got {name!r}")
    loaded: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return loaded
