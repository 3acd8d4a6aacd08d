"""The equations of text classification.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import reference, theory

# Sizes from 1e-6 to 1e6 and both signs; zero is another case, with tests of its own.
sizes = st.floats(-6, 6).map(lambda exponent: 10.0**exponent)


@pytest.mark.equation("lone-gradient")
@given(sizes, st.floats(0, 0.95), st.floats(0.95, 0.9999))
def test_gradient_after_a_long_rest_moves_a_coordinate_by_a_fixed_distance(
    g: float, beta1: float, beta2: float
) -> None:
    rested = reference.AdamState(10**7, np.array(0.0), np.array(0.0))
    points = reference.walk(
        reference.adam,
        [g] + [0.0] * 1199,
        state=rested,
        lr=1.0,
        beta1=beta1,
        beta2=beta2,
        eps=0.0,
    ).points
    travelled = -points[-1]
    first = (1 - beta1) / np.sqrt(1 - beta2)
    series = first * sum((beta1 / np.sqrt(beta2)) ** k for k in range(1200))
    assert travelled == pytest.approx(series, rel=1e-6)
    assert theory.lone_gradient_travel(beta1, beta2) == pytest.approx(series, rel=1e-6)
