from __future__ import annotations

import numpy as np
import pytest

from adam_tutorial import reference
from tests.reference.rules import RULES


def test_a_zero_gradient_gives_a_zero_step() -> None:
    for name in ("adam", "amsgrad", "nadam", "radam", "adabelief", "adamax"):
        _, update = RULES[name](None, np.zeros(3))
        np.testing.assert_array_equal(update, 0)
    _, update = reference.adam(None, np.zeros(3))
    np.testing.assert_array_equal(update, 0)


def test_adam_without_correction_uses_the_raw_averages() -> None:
    _, update = reference.adam(None, np.array(2.0), lr=1.0, eps=0.0, correct_bias=False)
    assert float(update) == pytest.approx(-0.1 / np.sqrt(0.001))
