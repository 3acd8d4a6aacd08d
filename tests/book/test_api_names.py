"""Which full names lead to something."""

from __future__ import annotations

import sys

import pytest
from api_complete import exists

import adam_tutorial.checking as checking


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("adam_tutorial", True),
        ("adam_tutorial.checking", True),
        ("adam_tutorial.checking.Finding", True),
        # A field of a dataclass without a default is an annotation only.
        ("adam_tutorial.checking.Finding.name", True),
        ("adam_tutorial.checking.Finding.nothing", False),
        ("adam_tutorial.checking.Finding.name.nothing", False),
        ("adam_tutorial.checking.Behaviour.clock", True),
        ("adam_tutorial.checking.Behaviour.clock.real", True),
        ("adam_tutorial.checking.nothing.Finding", False),
    ],
)
def test_name_leads_to_something(name: str, there: bool) -> None:
    assert checking.__name__ in sys.modules
    assert exists(name) is there
