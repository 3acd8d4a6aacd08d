"""The equation of Adafactor, with weight decay, against the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial import reference
from adam_tutorial._types import Float64Array

numbers = st.floats(-4, 4).flatmap(
    lambda power: st.sampled_from([10.0**power, -(10.0**power)])
)


def root_mean_square(x: Float64Array) -> float:
    return float(np.linalg.norm(x)) / math.sqrt(x.size)


@pytest.mark.equation("optim-adafactor")
@given(
    arrays(
        float, st.tuples(st.integers(1, 6), st.just(3), st.just(2)), elements=numbers
    ),
    arrays(float, (3, 2), elements=numbers),
    st.floats(1e-3, 1),
    st.floats(-1, 0),
    st.floats(0, 0.5),
)
def test_adafactor_is_its_formula(
    history: Float64Array, theta: Float64Array, lr: float, tau: float, decay: float
) -> None:
    eps1, eps2, d = 1e-2, 1e-3, 1.5
    points, updates, _ = reference.walk(
        reference.adafactor,
        history,
        theta,
        lr=lr,
        beta2_decay=tau,
        eps=(eps1, eps2),
        d=d,
        weight_decay=decay,
    )
    r, c = np.zeros(3), np.zeros(2)
    for t, g in enumerate(history, start=1):
        beta2 = 1 - t**tau
        r = beta2 * r + (1 - beta2) * (g**2).mean(axis=1)
        c = beta2 * c + (1 - beta2) * (g**2).mean(axis=0)
        v_hat = np.outer(r, c) / max(r.mean(), eps1)
        u = g / np.maximum(np.sqrt(v_hat), eps1)
        size = max(eps2, root_mean_square(points[t - 1]))
        step = size * min(lr, 1 / math.sqrt(t)) * u / max(1, root_mean_square(u) / d)
        expected = -lr * decay * points[t - 1] - step
        np.testing.assert_allclose(updates[t - 1], expected, rtol=1e-9)
