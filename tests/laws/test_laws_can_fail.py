"""Every law fails when the rule that it is about is broken."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from adam_tutorial import reference, theory
from tests.laws.implementations import Implementation
from tests.laws.law import BROKEN, Law

# A law is registered when its file is imported, and only this file may have been asked
# for.
for file in sorted(Path(__file__).parent.glob("test_*.py")):
    if file.stem != "test_laws_can_fail":
        importlib.import_module(f"tests.laws.{file.stem}")


def stop_at_first_failure(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for any failure: the search for its smallest example takes long."""
    name = "_hypothesis_internal_use_settings"
    if hasattr(law, name):
        phases = [Phase.explicit, Phase.generate]
        monkeypatch.setattr(
            law, name, settings(parent=getattr(law, name), phases=phases)
        )


def arguments(law: Law) -> list[dict[str, Any]]:
    """Return what pytest calls the law with, once for each of its parametrisations."""
    marks = [m for m in getattr(law, "pytestmark", []) if m.name == "parametrize"]
    names = [mark.args[0] for mark in marks]
    values = itertools.product(*(mark.args[1] for mark in marks))
    return [dict(zip(names, chosen, strict=True)) for chosen in values]


def holds(law: Law, **given: Any) -> bool:
    try:
        law(**given)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("name", BROKEN)
def test_each_law_fails_on_a_broken_rule(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    law, distortion = BROKEN[name]
    stop_at_first_failure(law, monkeypatch)
    if "replaced" in distortion:
        for place, function in distortion["replaced"].items():
            monkeypatch.setattr(
                theory if hasattr(theory, place) else reference, place, function
            )
        assert not holds(law)
        return
    for given in arguments(law):
        broken = Implementation(given["implementation"].name, **distortion)
        assert not holds(law, **{**given, "implementation": broken}), given
