from __future__ import annotations

import numpy as np
import pytest

from adam_tutorial import reference


@pytest.mark.parametrize(("g", "sign"), [(-8.9, 1), (-9.1, -1)])
def test_lion_weighs_the_new_gradient_by_one_minus_beta1(g: float, sign: int) -> None:
    state = reference.LionState(np.array(1.0))
    _, update = reference.lion(state, g, theta=0.0, lr=1.0, beta1=0.9)
    assert float(update) == -sign
