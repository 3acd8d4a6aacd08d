"""The equations of rare words and rare classes.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import reference
from adam_tutorial._types import Array, Float64Array
from adam_tutorial.study.networks import finite_difference

CLASSES = 4
weights = st.lists(st.floats(-3, 3), min_size=CLASSES**2, max_size=CLASSES**2).map(
    lambda flat: np.array(flat).reshape(CLASSES, CLASSES)
)
shares = st.lists(st.floats(0.01, 1), min_size=CLASSES, max_size=CLASSES).map(
    lambda found: np.array(found) / sum(found)
)


@pytest.mark.equation("rare-step")
@given(
    st.floats(0.05, 0.95),
    st.floats(-6, 6).map(lambda exponent: 10.0**exponent),
    st.sampled_from([-1.0, 1.0]),
    st.floats(0, 0.99),
    st.floats(0.5, 0.9999),
)
def test_expected_moments_of_a_gradient_that_comes_rarely(
    pi: float, size: float, sign: float, beta1: float, beta2: float
) -> None:
    g, steps = sign * size, 5
    mean_m = mean_v = 0.0
    for comes in product([0, 1], repeat=steps):
        state, _ = None, None
        for one in comes:
            state, _ = reference.adam(
                state, np.array(one * g), beta1=beta1, beta2=beta2
            )
        assert state is not None
        chance = math.prod([pi if one else 1 - pi for one in comes])
        mean_m += chance * float(state.m) / (1 - beta1**steps)
        mean_v += chance * float(state.v) / (1 - beta2**steps)
    assert mean_m == pytest.approx(pi * g, rel=1e-9)
    assert mean_v == pytest.approx(pi * g**2, rel=1e-9)
    assert mean_m / np.sqrt(mean_v) == pytest.approx(sign * np.sqrt(pi), rel=1e-9)


def softmax(rows: Float64Array) -> Float64Array:
    powers = np.exp(rows - rows.max(axis=-1, keepdims=True))
    found: Float64Array = powers / powers.sum(axis=-1, keepdims=True)
    return found


@pytest.mark.equation("class-gradient")
@given(weights, shares)
def test_gradient_of_a_class_is_its_share_times_what_its_own_row_says(
    w: Float64Array, pi: Float64Array
) -> None:
    inputs, labels = np.eye(CLASSES), np.arange(CLASSES)

    def loss(flat: Float64Array) -> float:
        z = inputs @ flat.reshape(w.shape)
        right = z[labels, labels]
        return float((pi * (np.log(np.exp(z).sum(axis=1)) - right)).sum())

    estimate = finite_difference(loss, w.ravel()).reshape(w.shape)
    for k in range(CLASSES):
        stated = pi[k] * (softmax(w[k]) - np.eye(CLASSES)[k])
        assert stated == pytest.approx(estimate[k], rel=1e-5, abs=1e-8)


def row_path(k: int, pi: float, rule: Any, lr: float, **settings: Any) -> Array:
    """Follow the row of one class, whose gradient has the factor pi."""
    return reference.trajectory(
        rule,
        lambda w: pi * (softmax(w.astype(np.float64)) - np.eye(CLASSES)[k]),
        np.zeros(CLASSES),
        20,
        lr=lr,
        **settings,
    )


@pytest.mark.equation("class-paths")
@given(st.floats(0.001, 1), st.floats(0.01, 10), st.integers(0, CLASSES - 1))
def test_descent_on_a_rare_class_has_a_smaller_rate_and_adam_has_not(
    pi: float, lr: float, k: int
) -> None:
    for rule in (reference.gradient_descent, reference.momentum):
        rare, alone = row_path(k, pi, rule, lr), row_path(k, 1.0, rule, pi * lr)
        assert rare == pytest.approx(alone, rel=1e-9, abs=1e-12)
    # A rate at which a softmax does not round to 0 or 1, where the path would end.
    small = lr / 10
    rare = row_path(k, pi, reference.adam, small, eps=0.0)
    alone = row_path(k, 1.0, reference.adam, small, eps=0.0)
    assert rare == pytest.approx(alone, rel=1e-6, abs=1e-9)
    assert not np.allclose(rare[-1], rare[0])
