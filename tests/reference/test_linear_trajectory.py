from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial.reference import adam, amsgrad, linear_trajectory

slopes = st.lists(
    st.floats(0.01, 100).flatmap(lambda size: st.sampled_from([size, -size])),
    min_size=1,
    max_size=60,
)


@given(slopes, st.floats(0, 0.99), st.floats(0, 0.999), *[st.booleans()] * 3)
def test_points_are_those_of_the_rule_followed_step_by_step(
    history: list[float],
    beta1: float,
    beta2: float,
    correct_bias: bool,
    keep_maximum: bool,
    shrink_lr: bool,
) -> None:
    points = linear_trajectory(
        history,
        0.25,
        interval=(-0.5, 0.75),
        lr=0.2,
        shrink_lr=shrink_lr,
        beta1=beta1,
        beta2=beta2,
        eps=1e-3,
        correct_bias=correct_bias,
        keep_maximum=keep_maximum,
    )
    rule: Any = amsgrad if keep_maximum else adam
    x, state = 0.25, None
    for t, g in enumerate(history, start=1):
        lr = 0.2 / math.sqrt(t) if shrink_lr else 0.2
        state, update = rule(
            state,
            g,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=1e-3,
            correct_bias=correct_bias,
        )
        x = min(max(x + float(update), -0.5), 0.75)
        assert points[t] == pytest.approx(x, rel=1e-9, abs=1e-9)
    assert points[0] == 0.25


def test_no_gradients_leave_the_start() -> None:
    assert linear_trajectory([], 0.5).tolist() == [0.5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"beta1": 1.0}, r"beta1 must be in \[0, 1\)"),
        ({"beta2": -0.1}, r"beta2 must be in \[0, 1\)"),
        ({"lr": -1.0}, "lr must be finite and not negative, got -1.0"),
        ({"eps": math.inf}, "eps must be finite and not negative, got inf"),
        ({"theta": 2.0}, r"theta must be in the interval \(-1.0, 1.0\), got 2.0"),
        ({"interval": (1.0, -1.0)}, r"theta must be in the interval \(1.0, -1.0\)"),
        (
            {"gradients": [[1.0]]},
            r"gradients must have one dimension, got shape \(1, 1\)",
        ),
        ({"gradients": [0.0, 1.0]}, "the first gradient is 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        linear_trajectory(**({"gradients": [1.0]} | given))


def test_a_first_gradient_of_zero_is_no_step_with_an_eps() -> None:
    assert linear_trajectory(np.array([0.0, 1.0]), eps=1e-8, lr=0.1)[1] == 0.0
