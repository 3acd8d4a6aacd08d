"""The equations of Adam's derivation.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial import reference, theory
from adam_tutorial._types import Array, Float64Array

decay_rates = st.floats(0.0, 0.9999)
steps = st.integers(1, 200)
# Sizes from 1e-6 to 1e6 and both signs; zero is another case, with tests of its own.
sizes = st.floats(-6, 6).map(lambda exponent: 10.0**exponent)
gradients = st.lists(
    st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(lambda pair: pair[0] * pair[1]),
    min_size=1,
    max_size=40,
)


def run_adam(history: list[float], **hyperparameters: Any) -> tuple[list[Any], Array]:
    """Return the state and the update of every step."""
    _, updates, states = reference.walk(reference.adam, history, **hyperparameters)
    return states, updates


@pytest.mark.equation("adam-moments")
@given(gradients, decay_rates, decay_rates)
def test_moments_follow_the_two_moving_averages(
    history: list[float], beta1: float, beta2: float
) -> None:
    m = v = 0.0
    states, _ = run_adam(history, beta1=beta1, beta2=beta2)
    for t, (g, state) in enumerate(zip(history, states, strict=True), start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        assert state.t == t
        assert float(state.m) == pytest.approx(m, rel=1e-12, abs=1e-18)
        assert float(state.v) == pytest.approx(v, rel=1e-12)


@pytest.mark.equation("adam-unrolled")
@given(gradients, decay_rates, decay_rates)
def test_moments_are_weighted_sums_of_all_gradients(
    history: list[float], beta1: float, beta2: float
) -> None:
    states, _ = run_adam(history, beta1=beta1, beta2=beta2)
    t = len(history)
    m = sum((1 - beta1) * beta1 ** (t - i) * g for i, g in enumerate(history, start=1))
    v = sum(
        (1 - beta2) * beta2 ** (t - i) * g**2 for i, g in enumerate(history, start=1)
    )
    largest = max(map(abs, history))
    assert float(states[-1].m) == pytest.approx(m, rel=1e-9, abs=1e-12 * largest)
    assert float(states[-1].v) == pytest.approx(v, rel=1e-9)
    np.testing.assert_allclose(
        theory.moving_average_weights(beta1, t) @ np.array(history),
        m,
        atol=1e-9 * largest,
    )


@pytest.mark.equation("adam-weight-sum")
@given(decay_rates, steps)
def test_weights_add_up_to_one_minus_beta_to_the_t(beta: float, t: int) -> None:
    total = sum((1 - beta) * beta ** (t - i) for i in range(1, t + 1))
    assert total == pytest.approx(1 - beta**t, rel=1e-9)
    assert theory.moving_average_weights(beta, t).sum() == pytest.approx(
        total, rel=1e-9
    )
    assert theory.bias_correction(beta, t) == pytest.approx(total, rel=1e-9)


@pytest.mark.equation("adam-hats")
@given(sizes, steps, decay_rates, decay_rates)
def test_hats_of_a_constant_gradient_are_the_gradient_and_its_square(
    g: float, t: int, beta1: float, beta2: float
) -> None:
    states, _ = run_adam([g] * t, beta1=beta1, beta2=beta2)
    assert float(states[-1].m) / (1 - beta1**t) == pytest.approx(g, rel=1e-9)
    assert float(states[-1].v) / (1 - beta2**t) == pytest.approx(g**2, rel=1e-9)


def simulated_moments(
    mean: Float64Array, deviation: Float64Array, beta1: float, beta2: float
) -> tuple[float, float]:
    """Average m and v at the last step over many runs of normal gradients."""
    rng = np.random.default_rng(0)
    state = None
    for centre, spread in zip(mean, deviation, strict=True):
        g = centre + spread * rng.standard_normal(400_000)
        state, _ = reference.adam(state, g, beta1=beta1, beta2=beta2)
    assert state is not None
    return float(state.m.mean()), float(state.v.mean())


DRIFTS = {
    "steady": (np.full(8, 0.7), np.ones(8)),
    "climbing": (np.linspace(-0.5, 1.0, 8), np.ones(8)),
    "quieter": (np.full(8, 0.7), np.linspace(2.0, 0.5, 8)),
}


@pytest.mark.equation("adam-bias")
@pytest.mark.parametrize("drift", DRIFTS)
def test_expected_moment_is_true_moment_times_one_minus_beta_to_the_t_plus_zeta(
    drift: str,
) -> None:
    mean, deviation = DRIFTS[drift]
    beta1, beta2, t = 0.8, 0.95, 8
    square = mean**2 + deviation**2
    m, v = simulated_moments(mean, deviation, beta1, beta2)
    expected_m = mean[-1] * (1 - beta1**t) + theory.zeta(mean, beta1)
    expected_v = square[-1] * (1 - beta2**t) + theory.zeta(square, beta2)
    assert m == pytest.approx(expected_m, abs=0.004)
    assert v == pytest.approx(expected_v, abs=0.01)
    if drift == "steady":
        assert theory.zeta(mean, beta1) == 0
        assert theory.zeta(square, beta2) == 0


@pytest.mark.equation("adam-zeta")
@given(arrays(float, 12, elements=st.floats(-10, 10)), decay_rates)
def test_zeta_is_the_weighted_sum_of_the_drifts(
    expected: Float64Array, beta: float
) -> None:
    t = len(expected)
    total = (1 - beta) * sum(
        beta ** (t - i) * (value - expected[-1])
        for i, value in enumerate(expected, start=1)
    )
    assert theory.zeta(expected, beta) == pytest.approx(total, rel=1e-9, abs=1e-11)


@pytest.mark.equation("adam-zeta-bound")
@given(arrays(float, 12, elements=st.floats(-10, 10)), decay_rates)
def test_corrected_zeta_is_at_most_the_largest_drift(
    expected: Float64Array, beta: float
) -> None:
    bound = np.abs(expected - expected[-1]).max()
    corrected = abs(theory.zeta(expected, beta)) / theory.bias_correction(
        beta, len(expected)
    )
    assert corrected <= bound * (1 + 1e-9) + 1e-12


@pytest.mark.equation("adam-uncorrected")
@given(gradients, decay_rates, decay_rates)
def test_uncorrected_step_is_longer_by_the_ratio_of_the_corrections(
    history: list[float], beta1: float, beta2: float
) -> None:
    _, corrected = run_adam(history, beta1=beta1, beta2=beta2, eps=0.0)
    _, raw = run_adam(history, beta1=beta1, beta2=beta2, eps=0.0, correct_bias=False)
    for t, (with_hats, without) in enumerate(zip(corrected, raw, strict=True), start=1):
        ratio = (1 - beta1**t) / np.sqrt(1 - beta2**t)
        assert without == pytest.approx(ratio * with_hats, rel=1e-8, abs=1e-15)


def test_uncorrected_steps_are_too_long_3_16_times_at_1_and_6_57_times_at_12() -> None:
    ratios = {t: 1 / theory.step_size_factor(t) for t in range(1, 5000)}
    assert ratios[1] == pytest.approx(3.1623, abs=1e-4)
    assert ratios[12] == pytest.approx(6.5685, abs=1e-4)
    assert max(ratios, key=lambda t: ratios[t]) == 12


@pytest.mark.equation("adam-update")
@given(gradients, decay_rates, decay_rates, st.floats(0, 1), st.floats(1e-12, 1))
def test_update_is_minus_lr_times_m_hat_over_root_of_v_hat_plus_eps(
    history: list[float], beta1: float, beta2: float, lr: float, eps: float
) -> None:
    states, updates = run_adam(history, beta1=beta1, beta2=beta2, lr=lr, eps=eps)
    state, t = states[-1], len(history)
    m_hat = float(state.m) / (1 - beta1**t)
    v_hat = float(state.v) / (1 - beta2**t)
    assert updates[-1] == pytest.approx(
        -lr * m_hat / (np.sqrt(v_hat) + eps), rel=1e-8, abs=1e-15
    )


@pytest.mark.equation("adam-first-step")
@given(
    st.floats(-1e9, 1e9),
    decay_rates,
    decay_rates,
    st.floats(1e-3, 1),
    st.floats(1e-12, 1e-3),
)
def test_first_step_is_lr_times_sign_of_gradient_when_it_is_large_against_eps(
    g: float, beta1: float, beta2: float, lr: float, eps: float
) -> None:
    _, update = reference.adam(
        None, np.array(g), lr=lr, beta1=beta1, beta2=beta2, eps=eps
    )
    assert float(update) == pytest.approx(-lr * g / (abs(g) + eps), rel=1e-9, abs=1e-18)
    if abs(g) > 1e6 * eps:
        assert float(update) == pytest.approx(-lr * np.sign(g), rel=1e-5)


@pytest.mark.equation("adam-efficient", "adam-eps-hat")
@given(gradients, decay_rates, decay_rates, st.floats(1e-10, 1e-2))
def test_efficient_order_equals_algorithm_1_when_eps_hat_is_eps_times_root(
    history: list[float], beta1: float, beta2: float, eps: float
) -> None:
    _, expected = run_adam(history, beta1=beta1, beta2=beta2, eps=eps)
    state = None
    for t, g in enumerate(history, start=1):
        state, update = reference.adam_efficient(
            state,
            np.array(g),
            beta1=beta1,
            beta2=beta2,
            eps_hat=eps * np.sqrt(1 - beta2**t),
        )
        assert float(update) == pytest.approx(expected[t - 1], rel=1e-8, abs=1e-15)
        # The scalar, and the update written out.
        lr_t = 1e-3 * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        eps_hat = eps * np.sqrt(1 - beta2**t)
        written = -lr_t * float(state.m) / (np.sqrt(float(state.v)) + eps_hat)
        assert float(update) == pytest.approx(written, rel=1e-8, abs=1e-15)


def test_constant_eps_hat_acts_like_an_eps_31_6_times_larger_at_the_first_step() -> (
    None
):
    g = np.array(1e-8)
    _, constant = reference.adam_efficient(None, g, eps_hat=1e-8)
    _, larger = reference.adam(None, g, eps=1e-8 / np.sqrt(1 - 0.999))
    _, same_number = reference.adam(None, g, eps=1e-8)
    assert float(constant) == pytest.approx(float(larger), rel=1e-9)
    assert float(same_number) / float(constant) == pytest.approx(16.3, abs=0.1)
