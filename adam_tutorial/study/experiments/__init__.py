"""Runs that are too long for a notebook, with their results stored as JSON.

Each module is run as ``python -m adam_tutorial.study.experiments.NAME --out FILE``. All
training is on one thread, seeded and in float64, so another machine gets the same
numbers. Those of ``batch_size``, ``crossover``, ``frozen_words``, ``hyperparameters``,
``lazy_adam``, ``network_or_data``, ``paper_sfo``, ``state_dtypes``, ``transformer``,
``transformer_steps``, ``two_libraries`` and ``wide_text`` are in float32, those of
``fashion`` and ``paper`` partly in bfloat16; there, another machine gets the same first
digits. ``link`` and the last stage of ``paper_sfo`` measure times.
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
        The experiment: "batch_size", "crossover", "decay", "fashion", "frozen_words",
        "hyperparameters", "images", "lazy_adam", "link", "local_steps",
        "network_or_data", "pains", "paper", "paper_sfo", "poison", "spikes",
        "state_dtypes", "text", "transformer", "transformer_steps", "two_libraries",
        "wide_text"; "kills", of runs that were killed and resumed; or a run of the
        bench: "fast_step", "fast_clip", "fast_growth", "fast_numpy", "fast_8bit"; or
        "fast_gpu", of ``tests/gpu/run.py``.

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
