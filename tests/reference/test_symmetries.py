"""What the rules do to a rescaled and to a turned problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from adam_tutorial import reference
from adam_tutorial._types import Array
from adam_tutorial.study.objectives import Quadratic
from tests.reference.rules import Rule


def test_adam_does_not_notice_the_scale_of_the_gradient() -> None:
    history = np.random.default_rng(0).standard_normal((30, 4))
    plain, scaled = (
        reference.walk(reference.adam, g, eps=0.0).updates
        for g in (history, 8 * history)
    )
    np.testing.assert_array_equal(scaled, plain)


def turned_paths(rule: Rule, **settings: Any) -> tuple[Array, Array]:
    """The path in a valley along the axes, and that in a turned one, turned back."""
    straight, turned = Quadratic((1.0, 25.0)), Quadratic((1.0, 25.0), angle=np.pi / 4)
    start = np.array([-2.0, 0.9])
    first = reference.trajectory(rule, straight.gradient, start, 40, **settings)
    second = reference.trajectory(
        rule, turned.gradient, turned.rotation @ start, 40, **settings
    )
    return first, second @ turned.rotation


def test_gradient_descent_takes_the_same_path_in_a_turned_valley() -> None:
    first, second = turned_paths(reference.gradient_descent, lr=0.074)
    np.testing.assert_allclose(first, second, atol=1e-12)


def test_adam_takes_another_path_in_a_turned_valley() -> None:
    first, second = turned_paths(reference.adam, lr=0.22, beta1=0.8, beta2=0.95)
    assert np.abs(first - second).max() > 0.1
