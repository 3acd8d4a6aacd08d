"""Every law fails when the rule that it is about is broken."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from adam_tutorial import reference, theory
from tests.laws.implementations import Implementation
from tests.laws.law import BROKEN, Law

# Laws are registered when their file is imported; this one may be the only one that is
# run.
for file in sorted(Path(__file__).parent.glob("test_*.py")):
    if file.stem != "test_laws_can_fail":
        importlib.import_module(f"tests.laws.{file.stem}")


def stop_at_first_failure(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is wanted here, not its smallest example, which takes long to find."""
    name = "_hypothesis_internal_use_settings"
    if hasattr(law, name):
        phases = [Phase.explicit, Phase.generate]
        monkeypatch.setattr(
            law, name, settings(parent=getattr(law, name), phases=phases)
        )


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
        with pytest.raises(AssertionError):
            law()
        return
    marks = [mark for mark in law.pytestmark if mark.args[0] == "implementation"]  # type: ignore[attr-defined]
    for whole in marks[0].args[1]:
        with pytest.raises(AssertionError):
            law(implementation=Implementation(whole.name, **distortion))
