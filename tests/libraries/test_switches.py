"""Arguments that a translation must not name where the library's default is right."""

from __future__ import annotations

import pytest

from adam_tutorial.libraries import translate
from adam_tutorial.libraries.table import Library

SWITCHES = {"bias_correction_mu", "bias_correction_nu"}


@pytest.mark.parametrize("source", ["torch", "keras", "adam_tutorial", "optax"])
def test_switches_that_an_older_optax_lacks_are_named_only_to_change_them(
    source: Library,
) -> None:
    moved = translate({}, source=source, target="optax", optimizer="amsgrad")
    assert not SWITCHES & set(moved.arguments)


def test_switches_are_named_for_amsgrad_as_in_its_paper() -> None:
    moved = translate({}, source="paper", target="optax", optimizer="amsgrad")
    assert {name: moved.arguments[name] for name in SWITCHES} == dict.fromkeys(
        SWITCHES, False
    )
