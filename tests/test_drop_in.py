"""Two training scripts of somebody else: one line is replaced, and the run is the same."""

from __future__ import annotations

import re
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPTS = Path(__file__).parent / "scripts"
IMPORT = re.compile(r"^from torch\.optim import (AdamW?)$", re.MULTILINE)


def run(source: str, name: str) -> tuple[list[float], float]:
    """Execute a script's text as a module and call its main function."""
    module: Any = types.ModuleType(name)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        # Compilers and schedulers of torch warn of themselves.
        warnings.simplefilter("ignore")
        exec(compile(source, f"{name}.py", "exec"), module.__dict__)  # noqa: S102
        losses, accuracy = module.main()
    return losses, accuracy


# float32 rounds in another order: over a run the losses part in the digits given here.
@pytest.mark.parametrize(("name", "tolerance"), [("train_amp", 5e-3), ("train_compiled", 1e-4)])
def test_import_line_is_all_that_changes(name: str, tolerance: float) -> None:
    source = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    assert "adam_tutorial" not in source
    assert len(IMPORT.findall(source)) == 1
    changed = IMPORT.sub(r"from adam_tutorial.optim import \1", source)
    different = [
        (one, other)
        for one, other in zip(source.splitlines(), changed.splitlines(), strict=True)
        if one != other
    ]
    assert len(different) == 1
    expected, their_accuracy = run(source, name)
    losses, accuracy = run(changed, name)
    assert losses[0] == expected[0]
    assert losses == pytest.approx(expected, abs=tolerance)
    assert accuracy == pytest.approx(their_accuracy, abs=0.02)
    assert losses[-1] < 0.6 * losses[0]
