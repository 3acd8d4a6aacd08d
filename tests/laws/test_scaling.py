"""Laws P27 to P29: batch sizes, half-lives and the largest stable step."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import theory
from tests.laws.implementations import Implementation
from tests.laws.law import (
    both,
    breaks,
    close,
    follows,
)


@pytest.mark.equation("theory-sde")
@both
@breaks(override={"beta1": 0.0, "lr": 0.01})
def test_p27_square_root_rule_keeps_the_distribution_at_equal_examples(
    implementation: Implementation,
) -> None:
    # The loss is x^2 / 2, each gradient carries noise of variance 9 / kappa.
    def spread(kappa: int) -> tuple[float, float]:
        rng = np.random.default_rng(kappa)
        lr, beta1, beta2, eps = theory.sde_scaling(kappa, 2e-3, 0.98, 0.999, 1e-3)
        run = implementation.run(
            "adam",
            lambda _t, x: x + 3 / math.sqrt(kappa) * rng.standard_normal(x.shape),
            np.full(2000, 0.5),
            3200 // kappa,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
        )
        return float(run.theta[-1].mean()), float(run.theta[-1].std())

    (mean1, std1), (mean4, std4) = spread(1), spread(4)
    assert mean4 == pytest.approx(mean1, abs=0.01)
    assert std4 == pytest.approx(std1, rel=0.06)
    assert std1 == pytest.approx(math.sqrt(2e-3 * 3 / 2), rel=0.1)


@follows(half_life=lambda beta: 1 / (1 - beta))
@given(st.floats(0.01, 0.9999))
def test_p28_half_life_halves_the_weight_and_scales_with_the_batch(beta: float) -> None:
    assert beta ** theory.half_life(beta) == pytest.approx(0.5)
    bigger = theory.rescaled_decay_rate(beta, 4)
    assert theory.half_life(bigger) * 4 == pytest.approx(theory.half_life(beta))


def test_p28_half_lives_of_the_usual_rates() -> None:
    lives = [theory.half_life(beta) for beta in (0.9, 0.95, 0.99, 0.999)]
    close(lives, [6.58, 13.5, 69.0, 692.8], rtol=2e-3)


@pytest.mark.equation("theory-stability")
@both
@breaks(distort_update=lambda _t, u, _theta: u * 1.1)
def test_p29_parabola_is_stable_up_to_the_stated_limit(
    implementation: Implementation,
) -> None:
    # Two parabolas, of curvatures just below and just above the limit. A huge eps holds
    # the denominator still.
    curvatures = np.array([0.997, 1.003])
    for beta1 in (0.0, 0.5, 0.9):
        run = implementation.run(
            "adam",
            lambda _t, x: curvatures * x,
            np.ones(2),
            1000,
            lr=theory.stability_limit(beta1) * 1e9,
            eps=1e9,
            beta1=beta1,
        )
        below, above = np.abs(run.theta).T
        assert below[-50:].max() < 1e-2
        # In the end the denominator grows too; what counts is that the point left.
        assert above.max() > 1e2
    assert theory.stability_limit(0.9) == pytest.approx(38)
