"""Laws P18 to P23: Adam on noise, and what weight decay does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import theory
from tests.laws.implementations import Array, Implementation
from tests.laws.law import (
    both,
    breaks,
    close,
    numbers,
    scaled,
    tables,
)


@both
@breaks(distort_gradient=lambda t, g: g * (1.5 if t == 1 else 1))
def test_p18_corrected_moments_are_unbiased_and_m_hat_has_the_stated_variance(
    implementation: Implementation,
) -> None:
    rng, t, n, beta1, beta2 = np.random.default_rng(0), 6, 200_000, 0.9, 0.999
    run = implementation.run(
        "adam",
        lambda _t, _x: 0.5 + rng.standard_normal(n),
        np.zeros(n),
        t,
        beta1=beta1,
        beta2=beta2,
    )
    m_hat = run.m[-1] / theory.bias_correction(beta1, t)
    v_hat = run.v[-1] / theory.bias_correction(beta2, t)
    assert m_hat.mean() == pytest.approx(0.5, abs=0.005)
    assert v_hat.mean() == pytest.approx(1.25, abs=0.01)
    assert m_hat.var() == pytest.approx(theory.mean_variance(t, beta1), rel=0.02)


def test_p18_memory_is_19_gradients_for_m_and_1999_for_v() -> None:
    assert theory.effective_memory(0.9) == pytest.approx(19)
    assert theory.effective_memory(0.999) == pytest.approx(1999)
    assert theory.effective_memory(0.999) == pytest.approx(theory.radam_rho())
    assert theory.mean_variance(10**6, 0.9) == pytest.approx(1 / 19)


@pytest.mark.equation("theory-white-noise")
@both
@breaks(distort_update=lambda _t, u, _theta: 1.1 * u)
def test_p19_steps_on_noise_have_rms_0_23_whatever_its_size(
    implementation: Implementation,
) -> None:
    rng, sigma = np.random.default_rng(0), np.repeat([1e-3, 1.0, 1e3], 500)
    run = implementation.run(
        "adam",
        lambda _t, _x: sigma * rng.standard_normal(1500),
        np.zeros(1500),
        1000,
        lr=1.0,
    )
    for block in np.split(run.updates[400:], 3, axis=1):
        assert np.sqrt((block**2).mean()) == pytest.approx(0.2294, rel=0.015)
    assert theory.white_noise_rms() == pytest.approx(0.2294, abs=1e-4)


@both
@breaks(distort_update=scaled)
def test_p20_adamw_without_gradient_shrinks_by_the_product_over_the_schedule(
    implementation: Implementation,
) -> None:
    lr: Any = lambda t: 0.1 / t
    run = implementation.run(
        "adamw", lambda _t, _x: 0.0, np.array([3.0, -2.0]), 25, lr=lr, weight_decay=0.5
    )
    left = theory.adamw_shrink_factor([lr(t) for t in range(1, 26)], 0.5)
    close(run.theta[-1], left * np.array([3.0, -2.0]))
    assert not run.m.any()
    assert not run.v.any()


@both
@breaks(override={"rule": "adam_l2"})
@given(tables, st.floats(0.01, 1))
def test_p20_decay_of_adamw_does_not_enter_the_moments(
    implementation: Implementation, g: Array, weight_decay: float
) -> None:
    runs = [
        implementation.run(
            "adamw",
            lambda t, _x: g[t - 1],
            np.ones(g.shape[1]),
            len(g),
            weight_decay=decay,
        )
        for decay in (0.0, weight_decay)
    ]
    np.testing.assert_array_equal(runs[0].m, runs[1].m)
    np.testing.assert_array_equal(runs[0].v, runs[1].v)
    assert np.abs(runs[0].theta - runs[1].theta).max() > 1e-6


@pytest.mark.equation("theory-decay")
@both
@breaks(distort_update=lambda _t, u, _theta: u * 1.1)
def test_p21_adamw_on_noise_settles_at_the_root_of_lr_over_two_lambda(
    implementation: Implementation,
) -> None:
    rng = np.random.default_rng(0)
    run = implementation.run(
        "adamw",
        lambda _t, _x: rng.standard_normal(2000),
        np.zeros(2000),
        2500,
        lr=0.01 * math.sqrt(2),
        weight_decay=0.1 * math.sqrt(2),
    )
    expected = theory.equilibrium_rms(0.01 * math.sqrt(2), 0.1 * math.sqrt(2))
    assert expected == pytest.approx(0.2236, abs=1e-4)
    assert theory.equilibrium_rms(0.01, 0.1) == pytest.approx(expected, rel=1e-12)
    assert np.sqrt((run.theta[1250:] ** 2).mean()) == pytest.approx(expected, rel=0.03)


@both
@breaks(distort_update=lambda _t, u, _theta: u + 0.5)
@given(tables, st.floats(0.5, 2), st.floats(-3, 3))
def test_p22_decay_keeps_adamw_in_a_box(
    implementation: Implementation, g: Array, weight_decay: float, start: float
) -> None:
    run = implementation.run(
        "adamw",
        lambda t, _x: g[t - 1],
        np.full(g.shape[1], start),
        len(g),
        lr=0.1,
        eps=0.0,
        weight_decay=weight_decay,
    )
    longest = max(theory.step_supremum(t) for t in range(1, len(g) + 1))
    assert np.abs(run.theta).max() <= max(abs(start), longest / weight_decay) * (
        1 + 1e-9
    )


@both
@breaks(distort_update=scaled)
@given(numbers, st.floats(1e-3, 10))
def test_p23_l2_without_a_loss_gradient_steps_by_the_sign_of_the_parameter(
    implementation: Implementation, start: float, weight_decay: float
) -> None:
    run = implementation.run(
        "adam_l2",
        lambda _t, _x: 0.0,
        np.array([start]),
        1,
        lr=1e-3,
        eps=0.0,
        weight_decay=weight_decay,
    )
    close(run.theta[-1], start - 1e-3 * np.sign(start))
