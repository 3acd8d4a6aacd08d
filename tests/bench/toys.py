"""Candidates that compute nothing, and a result with made-up times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adam_tutorial.bench import (
    Absent,
    Candidate,
    Result,
    Rounds,
    Task,
    measuring,
    running,
)

Step = Callable[[], object]


def use(
    monkeypatch: pytest.MonkeyPatch, **toys: Candidate | Callable[[Task], Step]
) -> None:
    """Measure these instead of the real candidates."""
    found = {
        name: toy if isinstance(toy, Candidate) else Candidate("a toy", toy)
        for name, toy in toys.items()
    }
    for module in (measuring, running):
        monkeypatch.setattr(module, "CANDIDATES", found)
    monkeypatch.setattr(measuring, "PAUSE", 0.0)
    monkeypatch.setattr(measuring, "LEAST_SECONDS", 0.0)


def idle(_: Task) -> Step:
    return lambda: None


def made_up(**changed: Any) -> Result:
    """Return a result on two workloads; one candidate is absent from the second."""
    given: dict[str, Any] = {
        "rounds": [
            Rounds(
                "1x1024", 1, {"torch-fused": [2.0, 4.0, 9.0], "ours": [1.0, 1.0, 9.0]}
            ),
            Rounds("2x1024", 1, {"torch-fused": [0.004, 0.002, 0.00325]}),
            Rounds("1x1024", 2, {"torch-fused": [1.5], "ours": [3.0]}),
        ],
        "absent": [
            Absent("2x1024", 1, "ours", "TypeError: Adam has no argument 'x'"),
            Absent("1x1024", 1, "optax", "ModuleNotFoundError: No module named 'jax'"),
            Absent("2x1024", 1, "optax", "ModuleNotFoundError: No module named 'jax'"),
        ],
        "workloads": {
            f"{n}x1024": {"tensors": n, "elements": n * 1024, "bytes": 28 * n * 1024}
            for n in (1, 2)
        },
        "settings": {
            "device": "cpu",
            "rounds": 3,
            "max_grad_norm": None,
            "reference": "torch-fused",
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "hardware": {"cpu": "A", "cpus": 2, "caches": {"L1": "48K"}},
        "machine": "A, 2 CPUs, L1 48K",
        "minutes": 0.1,
        "command": "python -m adam_tutorial.bench",
    }
    return Result(**{**given, **changed})
