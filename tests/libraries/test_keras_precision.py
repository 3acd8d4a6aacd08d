"""Keras computes in float64 while it is followed, and as before afterwards."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adam_tutorial.libraries import follow


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What ``follow`` uses of Keras, in a process that need not have it."""
    setting = ["float16"]
    config = SimpleNamespace(
        backend=lambda: "torch",
        floatx=lambda: setting[0],
        set_floatx=lambda name: setting.__setitem__(0, name),
    )
    stand_in = SimpleNamespace(config=config, Variable=lambda *_, **__: None)
    monkeypatch.setitem(sys.modules, "keras", stand_in)
    return stand_in


class Optimizer:
    def __init__(self, **_: Any) -> None:
        pass

    def build(self, _: Any) -> None:
        pass


def test_setting_of_the_caller_comes_back_after_an_exception_of_the_gradient(
    keras: SimpleNamespace,
) -> None:
    inside = []

    def gradient(_point: Any, _t: int) -> Any:
        inside.append(keras.config.floatx())
        raise ArithmeticError("no gradient here")

    with pytest.raises(ArithmeticError, match="no gradient here"):
        follow("keras", Optimizer, {}, gradient, np.ones(1), 3)
    assert inside == ["float64"]
    assert keras.config.floatx() == "float16"


def test_setting_of_the_caller_comes_back_after_an_exception_of_the_optimizer(
    keras: SimpleNamespace,
) -> None:
    def make(**_: Any) -> Any:
        raise TypeError("no optimizer here")

    with pytest.raises(TypeError, match="no optimizer here"):
        follow("keras", make, {}, lambda point, _: point, np.ones(1), 3)
    assert keras.config.floatx() == "float16"


def test_setting_of_the_caller_comes_back_after_no_steps(
    keras: SimpleNamespace,
) -> None:
    # The stand-in has no `apply`: a step would fail.
    path = follow("keras", Optimizer, {}, lambda point, _: point, np.ones(1), 0)
    assert path.tolist() == [[1.0]]
    assert keras.config.floatx() == "float16"
