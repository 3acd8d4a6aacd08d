"""Laws P8 to P13: the first step, simple gradients, and the longest steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adam_tutorial import theory
from tests.laws.implementations import CASE_OF, Array, Implementation
from tests.laws.law import (
    NO_EPS,
    beta1s,
    beta2s,
    both,
    breaks,
    close,
    each_rule,
    everywhere,
    numbers,
    scaled,
    tables,
)


@everywhere
@each_rule(lambda case: case.first_step_is_sign)
@breaks(distort_update=lambda t, u, _theta: u * (0.5 if t == 1 else 1))
@given(numbers, beta1s, beta2s, st.sampled_from([0.0, 1e-8, 1e-2]))
def test_p08_first_step_is_lr_times_gradient_over_its_size_plus_eps(
    implementation: Implementation,
    rule: str,
    g: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    settings = CASE_OF[rule].only_spelt(lr=0.3, beta1=beta1, beta2=beta2, eps=eps)
    update = implementation.follow([g], rule, **settings).updates[0]
    close(update, -0.3 * g / (abs(g) + settings.get("eps", 0.0)))


@pytest.mark.equation("theory-constant")
@both
@breaks(distort_update=lambda t, u, _theta: u * (0.9 if t == 5 else 1))
@given(numbers, beta1s, beta2s, st.sampled_from([0.0, 1e-8, 1e-2]))
def test_p09_constant_gradient_gives_constant_steps(
    implementation: Implementation, g: float, beta1: float, beta2: float, eps: float
) -> None:
    run = implementation.follow([g] * 12, lr=0.3, beta1=beta1, beta2=beta2, eps=eps)
    for t in range(1, 13):
        m, v = theory.constant_gradient_moments(g, t, beta1, beta2)
        close([run.m[t - 1], run.v[t - 1]], [m, v], atol=0)
    close(run.updates, np.full(12, -0.3 * g / (abs(g) + eps)))
    close(run.theta[-1], -12 * 0.3 * g / (abs(g) + eps))


@pytest.mark.equation("theory-geometric")
@both
@breaks(distort_gradient=lambda t, g: g * (1.01 if t == 2 else 1))
@given(st.floats(0.5, 1.3), st.integers(2, 30), beta1s, beta2s)
def test_p10_geometric_gradients_have_closed_moments(
    implementation: Implementation, ratio: float, t: int, beta1: float, beta2: float
) -> None:
    # Close to a decay rate, the quotient of differences has few digits left.
    assume(abs(ratio - beta1) > 1e-3 and abs(ratio**2 - beta2) > 1e-3)
    run = implementation.follow(
        2.0 * ratio ** np.arange(1, t + 1), beta1=beta1, beta2=beta2
    )
    m, v = theory.geometric_gradient_moments(2.0, ratio, t, beta1, beta2)
    close([run.m[-1], run.v[-1]], [m, v], atol=0)


@both
@breaks(distort_gradient=lambda t, g: g * (1.01 if t == 2 else 1))
def test_p10_closed_moments_where_the_ratio_is_a_decay_rate(
    implementation: Implementation,
) -> None:
    for ratio in (0.8, math.sqrt(0.9)):
        run = implementation.follow(
            2.0 * ratio ** np.arange(1, 21), beta1=0.8, beta2=0.9
        )
        m, v = theory.geometric_gradient_moments(2.0, ratio, 20, 0.8, 0.9)
        close([run.m[-1], run.v[-1]], [m, v], atol=0)


@both
@breaks(distort_gradient=lambda t, g: g * (1.01 if t == 2 else 1))
@given(tables, beta1s, beta2s)
def test_p10_moments_are_weighted_sums(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    assume(len(g) > 1 and beta1 > 0.01)
    run = implementation.follow(g, beta1=beta1, beta2=beta2)
    t = len(g)
    close(run.v[-1], theory.moving_average_weights(beta2, t) @ g**2, atol=0)
    weights = theory.moving_average_weights(beta1, t)
    assert np.all(np.abs(run.m[-1] - weights @ g) <= 1e-12 * (weights @ np.abs(g)))


@both
@breaks(distort_gradient=lambda _t, g: 3 * g)
@given(tables, beta1s, beta2s)
def test_p11_corrected_moments_stay_between_the_extremes(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    run, t = implementation.follow(g, beta1=beta1, beta2=beta2), len(g)
    m_hat = run.m[-1] / theory.bias_correction(beta1, t)
    v_hat = run.v[-1] / theory.bias_correction(beta2, t)
    slack = 1e-9 * np.abs(g).max(axis=0)
    assert np.all(g.min(axis=0) - slack <= m_hat)
    assert np.all(m_hat <= g.max(axis=0) + slack)
    assert np.all(v_hat >= 0)
    assert np.all(v_hat <= (g**2).max(axis=0) * (1 + 1e-9))
    for beta in (beta1, beta2):
        close(
            theory.moving_average_weights(beta, t).sum(),
            theory.bias_correction(beta, t),
        )


@pytest.mark.equation("theory-supremum-gradients")
@both
@breaks(distort_update=scaled)
@given(tables, st.floats(0.01, 0.99), st.floats(0.1, 0.9999))
def test_p12_no_step_is_longer_than_the_supremum_and_one_sequence_attains_it(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    betas: dict[str, Any] = {"beta1": beta1, "beta2": beta2}
    steps = np.abs(implementation.follow(g, **NO_EPS, **betas).updates) / 0.1
    for t, row in enumerate(steps, start=1):
        assert np.all(row <= theory.step_supremum(t, **betas) * (1 + 1e-9))
    t = len(g)
    worst = implementation.follow(
        theory.step_supremum_gradients(t, **betas), **NO_EPS, **betas
    )
    close(abs(worst.updates[-1]) / 0.1, theory.step_supremum(t, **betas), rtol=1e-7)


@both
@breaks(distort_update=scaled)
def test_p12_supremum_at_the_defaults_is_7_27_and_1_where_the_betas_are_equal(
    implementation: Implementation,
) -> None:
    assert theory.step_supremum() == pytest.approx(7.2703, abs=1e-4)
    steps = np.abs(
        implementation.follow(theory.step_supremum_gradients(400), **NO_EPS).updates
    )
    # The limit is reached as v forgets its start, which takes longer than these 400
    # steps.
    assert steps[-1] / 0.1 == pytest.approx(theory.step_supremum(400), rel=1e-6)
    assert theory.step_supremum(50_000) == pytest.approx(7.2703, abs=1e-4)
    g = np.random.default_rng(0).standard_normal((200, 50))
    equal = (
        np.abs(implementation.follow(g, beta1=0.9, beta2=0.9, **NO_EPS).updates) / 0.1
    )
    assert equal.max() <= 1 + 1e-9
    assert theory.step_supremum(None, 0.9, 0.9) == pytest.approx(1)


@pytest.mark.equation("theory-adamax")
@both
@breaks(distort_update=scaled)
@given(tables, st.floats(0.0, 0.8), st.floats(0.85, 0.9999))
def test_p13_adamax_has_its_own_supremum_and_a_decaying_maximum(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    betas: dict[str, Any] = {"beta1": beta1, "beta2": beta2}
    run = implementation.follow(g, "adamax", **NO_EPS, **betas)
    bound = 0.1 * theory.adamax_step_supremum(beta1, beta2)
    # The limit, times what the correction still adds at small t.
    for t, row in enumerate(np.abs(run.updates), start=1):
        assert np.all(row * theory.bias_correction(beta1, t) <= bound * (1 + 1e-9))
    t = len(g)
    maximum = (beta2 ** np.arange(t - 1, -1, -1)[:, None] * np.abs(g)).max(axis=0)
    close(run.v[-1], maximum)
    # As many steps as the limit needs to come within e**-20 of itself.
    enough = 2 + math.ceil(20 / math.log(beta2 / max(beta1, 1e-9)))
    worst = implementation.follow(
        beta2 ** np.arange(1, enough), "adamax", **NO_EPS, **betas
    )
    close(abs(worst.updates[-1]), bound, rtol=1e-6)
