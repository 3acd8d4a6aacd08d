"""How fast v can vanish, and Wilson's construction.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import reference


@pytest.mark.equation("paper-v-fall")
@given(
    st.floats(-6, -1).map(lambda exponent: 10.0**exponent),
    st.floats(0.5, 0.99),
    st.lists(st.floats(-1, 1), max_size=20),
)
def test_root_of_v_stays_above_eps_for_as_long_as_the_formula_says(
    root: float, beta2: float, later: list[float]
) -> None:
    eps = 1e-8
    steps = 2 * math.log(root / eps) / -math.log(beta2)
    # A first gradient that makes the root what it shall be.
    first = root / math.sqrt(1 - beta2)
    for gradients in ([0.0] * math.ceil(steps + 1), later):
        state, _ = reference.adam(None, first, beta2=beta2)
        assert math.sqrt(state.v) == pytest.approx(root)
        for t, gradient in enumerate(gradients, start=1):
            state, _ = reference.adam(state, gradient, beta2=beta2)
            above = math.sqrt(state.v) > eps
            if t < steps - 1e-6:
                assert above
            elif gradients is not later and t > steps + 1e-6:
                # Without gradients it is below then: the bound is reached.
                assert not above


@pytest.mark.equation("paper-wilson")
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 60))
def test_all_weights_move_by_the_same_amount(positive: list[bool], steps: int) -> None:
    # More than half of the labels are positive.
    labels = np.array([1.0 if one else -1.0 for one in positive] + [1.0] * 13)
    columns = [labels, np.ones_like(labels), np.ones_like(labels)]
    for i, label in enumerate(labels):
        private = np.zeros_like(labels)
        private[i] = 1
        columns += [private] * (1 if label == 1 else 5)
    x = np.stack(columns, axis=1)
    signs = np.sign(x.T @ labels)
    assert np.array_equal(x @ signs, 4 * labels)
    rules: list[Any] = [reference.adam, reference.rmsprop, reference.adagrad]
    for rule in rules:
        w, state = np.zeros(x.shape[1]), None
        for _ in range(steps):
            gradient = x.T @ (x @ w - labels)
            state, update = rule(state, gradient, lr=0.01, eps=1e-300)
            w = w + update
        assert w * signs == pytest.approx(np.full(len(w), w[0]), rel=1e-6)
