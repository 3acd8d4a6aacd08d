"""Programs of other libraries train the same with PyTorch's optimizer and with ours.

They are run weekly and by hand, ``make clients``; their libraries are in the extra
``clients``.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from adam_tutorial import optim
from tests.clients.programs import PROGRAMS, STEPS, Program, Training

# They warn of each other's releases.
pytestmark = pytest.mark.filterwarnings("ignore")
PAIRS = {
    name: (getattr(torch.optim, name), getattr(optim, name))
    for name in ("Adam", "AdamW", "NAdam")
}
# Losses in float64, relative; both formulas are the same, their rounding is not.
SAME = 1e-8


@pytest.fixture(params=PROGRAMS, ids=lambda p: f"{p.library}-{p.train.__name__}")
def program(request: pytest.FixtureRequest) -> Program:
    """A program whose libraries are installed."""
    found: Program = request.param
    for module in found.modules:
        pytest.importorskip(module)
    return found


def run(program: Program, training: Training) -> list[float]:
    training.end.mkdir()
    return program.train(training)


def difference(ours: list[float], theirs: list[float]) -> float:
    a, b = np.array(ours), np.array(theirs)
    assert a.shape == b.shape
    assert np.isfinite(b).all()
    return float(np.max(np.abs(a - b) / np.abs(b)))


@pytest.fixture
def note(
    program: Program, name: str, record_property: Callable[[str, object], None]
) -> Callable[[str, float], None]:
    """Put a row into the table that is printed at the end."""

    def add(what: str, far: float) -> None:
        version = importlib.metadata.version(program.library)
        record_property("row", (program.library, version, name, what, f"{far:.1e}"))

    return add


@pytest.mark.parametrize("name", PAIRS)
def test_program_trains_the_same(
    program: Program, name: str, note: Callable[[str, float], None], tmp_path: Path
) -> None:
    theirs, ours = PAIRS[name]
    expected = run(program, Training(theirs, tmp_path / "theirs"))
    found = run(program, Training(ours, tmp_path / "ours"))
    assert len(set(expected)) > 1  # it does train
    far = difference(found, expected)
    note(program.what, far)
    assert far < SAME


@pytest.mark.parametrize("name", PAIRS)
def test_checkpoints_go_both_ways(
    program: Program, name: str, note: Callable[[str, float], None], tmp_path: Path
) -> None:
    if not program.resumes:
        pytest.skip("the program stores no optimizer")
    kinds = dict(zip(("theirs", "ours"), PAIRS[name], strict=True))
    for who, kind in kinds.items():
        half = Training(kind, tmp_path / f"half of {who}", stop=STEPS // 2)
        run(program, half)
    second = {
        (of, by): run(
            program,
            Training(
                kinds[by],
                tmp_path / f"{by} after {of}",
                start=tmp_path / f"half of {of}",
            ),
        )
        for of in kinds
        for by in kinds
    }
    far = max(difference(x, second["theirs", "theirs"]) for x in second.values())
    note(f"{program.what}; checkpoints both ways", far)
    assert far < SAME
