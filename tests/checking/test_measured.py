"""What is measured of steps that nothing known explains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adam_tutorial.checking import check_optimizer
from tests.checking.lines import Make, names, on_update

Array = Any

# Programs are called with more than each of them uses.
# ruff: noqa: ARG005


def measured(make: Make) -> list[str]:
    report = check_optimizer(make)
    assert names(report) == ["not a known mistake"]
    return [its.seen for its in report.remarks if its.name == "what was measured"]


def test_entries_that_do_not_move_are_described() -> None:
    cautious = on_update(lambda u, x, g, *_: x + u * (u * g < 0))
    assert measured(cautious) == [
        "at step 2 only these of 4 entries part: 3, 4",
        "theta does not move at step 4",
        "where it parts, theta does not move: in the entries where the right step goes"
        " along the gradient",
    ]


@pytest.mark.parametrize("precision", [np.float16, np.float32])
def test_rounded_state_is_described_by_how_far_it_is_off(precision: Any) -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        t, m, v = 0, np.zeros(4), np.zeros(4)

        def step(theta: Array, g: Array) -> Array:
            nonlocal t, m, v
            t += 1
            m = (beta1 * m + (1 - beta1) * g).astype(precision).astype(float)
            v = (beta2 * v + (1 - beta2) * g**2).astype(precision).astype(float)
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            return theta - lr * m_hat / (np.sqrt(v_hat) + eps)

        return step

    if precision == np.float32:
        assert "not a known mistake" not in names(check_optimizer(make))
    else:
        (fact,) = measured(make)
        assert fact.startswith("all steps are right to within 0.")


def test_dependence_on_other_entries_is_described() -> None:
    make = on_update(lambda u, x, *_: x + u - u.mean() / 2)
    assert (
        "the step of an entry depends on the gradients of the other entries"
        in measured(make)
    )


def test_dependence_on_theta_is_described() -> None:
    make = on_update(lambda u, x, *_: x + u * np.abs(x) ** 0.3)
    assert "steps depend on theta, though there is no weight decay" in measured(make)


def test_steps_that_ignore_the_gradient_are_described() -> None:
    constant = np.array([1.0, 2.0, 3.0, 4.0])
    facts = measured(on_update(lambda u, x, *_: constant[: x.size]))
    assert "steps do not depend on the gradient" in facts


def test_random_steps_are_not_blamed_on_a_shared_state() -> None:
    generator = np.random.default_rng()
    make = on_update(lambda u, x, *_: x + u + 1e-3 * generator.standard_normal(x.shape))
    report = check_optimizer(make)
    assert names(report) == ["steps that do not repeat"]
    assert report.verdict == "1 mistake; it does not agree with Algorithm 1"
