from __future__ import annotations

import pytest

from adam_tutorial import theory


def test_step_size_factor_has_its_minimum_at_step_12() -> None:
    factors = {t: theory.step_size_factor(t) for t in range(1, 6000)}
    assert factors[1] == pytest.approx(0.3162, abs=1e-4)
    assert min(factors, key=lambda t: factors[t]) == 12
    assert factors[12] == pytest.approx(0.1522, abs=1e-4)
    assert factors[100] == pytest.approx(0.3086, abs=1e-4)
    assert factors[5000] == pytest.approx(0.9966, abs=1e-4)


def test_a_lone_gradient_travels_31_8_learning_rates_at_the_defaults() -> None:
    assert theory.lone_gradient_travel() == pytest.approx(31.76, abs=0.01)


def test_a_lone_gradient_travels_without_end_when_beta1_is_too_large() -> None:
    with pytest.raises(
        ValueError, match=r"beta1 must be less than sqrt\(beta2\), got 0.9 and 0.8"
    ):
        theory.lone_gradient_travel(0.9, 0.8)
