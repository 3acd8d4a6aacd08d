"""Every displayed equation of the book, in the order of the chapters.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial import reference, theory
from adam_tutorial._types import Float64Array
from adam_tutorial.optim import Adam, AdamW
from adam_tutorial.study import networks
from adam_tutorial.study.data import shear_and_zoom

decay_rates = st.floats(0.0, 0.9999)
steps = st.integers(1, 200)
# Sizes from 1e-6 to 1e6 and both signs; zero is another case, with tests of its own.
sizes = st.floats(-6, 6).map(lambda exponent: 10.0**exponent)
gradients = st.lists(
    st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(lambda pair: pair[0] * pair[1]),
    min_size=1,
    max_size=40,
)


def run_adam(
    history: list[float], **settings: float | bool
) -> tuple[list[Any], list[float]]:
    states, updates, state = [], [], None
    for g in history:
        state, update = reference.adam(state, np.array(g), **settings)  # type: ignore[arg-type]
        states.append(state)
        updates.append(float(update))
    return states, updates


# 1. What an optimizer does


@pytest.mark.equation("softmax")
@given(arrays(float, (3, 5), elements=st.floats(-30, 30)))
def test_softmax_is_exp_over_sum_of_exp(z: Float64Array) -> None:
    e = np.exp(z)
    np.testing.assert_allclose(
        networks.softmax(z), e / e.sum(axis=1, keepdims=True), rtol=1e-12
    )


@pytest.mark.equation("cross-entropy")
@given(arrays(float, (4, 3), elements=st.floats(-30, 30)))
def test_cross_entropy_is_the_mean_of_minus_log_probability_of_the_right_class(
    z: Float64Array,
) -> None:
    y = np.array([0, 2, 1, 1])
    expected = -np.mean(
        [np.log(networks.softmax(z)[i, label]) for i, label in enumerate(y)]
    )
    assert networks.cross_entropy(z, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.equation("softmax-gradient")
@given(arrays(float, 5, elements=st.floats(-5, 5)), st.integers(0, 4))
def test_slope_of_the_loss_at_the_logits_is_probability_minus_one_for_the_right_class(
    z: Float64Array, y: int
) -> None:
    measured = networks.finite_difference(
        lambda logits: networks.cross_entropy(logits[None], np.array([y])), z
    )
    expected = networks.softmax(z[None])[0] - (np.arange(5) == y)
    np.testing.assert_allclose(measured, expected, atol=1e-8)


@pytest.mark.equation("linear-gradient")
@given(st.integers(0, 10_000))
def test_gradient_of_softmax_regression_is_x_transposed_times_p_minus_y(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
    w, b = rng.standard_normal((4, 3)), rng.standard_normal(3)
    error = networks.softmax(x @ w + b) - np.eye(3)[y]
    measured_w = networks.finite_difference(
        lambda a: networks.cross_entropy(x @ a + b, y), w
    )
    measured_b = networks.finite_difference(
        lambda a: networks.cross_entropy(x @ w + a, y), b
    )
    np.testing.assert_allclose(measured_w, x.T @ error / 6, atol=1e-8)
    np.testing.assert_allclose(measured_b, error.sum(axis=0) / 6, atol=1e-8)
    _, (gradient_w, gradient_b) = networks.loss_and_gradient([w, b], x, y)
    np.testing.assert_allclose(gradient_w, x.T @ error / 6, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(
        gradient_b, error.sum(axis=0) / 6, rtol=1e-10, atol=1e-14
    )


@pytest.mark.equation("gradient-descent")
@given(arrays(float, 3, elements=st.floats(-1e3, 1e3)), st.floats(0, 10))
def test_gradient_descent_subtracts_lr_times_gradient(
    g: Float64Array, lr: float
) -> None:
    _, update = reference.gradient_descent(None, g, lr=lr)
    np.testing.assert_array_equal(update, -(lr * g))


@pytest.mark.equation("mlp-gradient")
@given(st.integers(0, 10_000))
def test_gradient_of_the_network_passes_back_through_features_that_are_on(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((5, 4)), rng.integers(0, 3, 5)
    w1, b1, w2, b2 = networks.initialise((4, 6, 3), rng)
    h = np.maximum(0, x @ w1 + b1)
    d = (networks.softmax(h @ w2 + b2) - np.eye(3)[y]) / 5
    _, gradient = networks.loss_and_gradient([w1, b1, w2, b2], x, y)
    np.testing.assert_allclose(gradient[2], h.T @ d, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(
        gradient[0], x.T @ ((d @ w2.T) * (h > 0)), rtol=1e-10, atol=1e-14
    )
    measured = networks.finite_difference(
        lambda w: networks.cross_entropy(networks.logits([w, b1, w2, b2], x), y),
        w1,
        delta=1e-6,
    )
    # A nudge that moves a feature across zero meets the kink of the ReLU; that is rare.
    assert np.mean(np.isclose(measured, gradient[0], atol=1e-6)) > 0.9


@pytest.mark.equation("he-variance")
def test_variance_two_over_inputs_keeps_the_mean_square_of_the_features() -> None:
    rng = np.random.default_rng(0)
    h = np.abs(rng.standard_normal((1, 100)))
    weights, _ = networks.initialise((100, 400_000), rng)
    assert weights.var() == pytest.approx(2 / 100, rel=0.01)
    out = np.maximum(0, h @ weights)
    assert (out**2).mean() == pytest.approx((h**2).mean(), rel=0.02)


# 4. Adam, derived


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
    """Average m and v at the last step over many runs of gradients N(mean_i, deviation_i)."""
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


def test_uncorrected_steps_are_3_16_times_too_long_at_first_and_6_57_times_at_step_12() -> (
    None
):
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


# 10. Adam in PyTorch


@pytest.mark.equation("lerp")
@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), decay_rates)
def test_lerp_by_one_minus_beta_is_the_moving_average(
    m: float, g: float, beta: float
) -> None:
    lerped = torch.tensor(m, dtype=torch.float64).lerp_(
        torch.tensor(g, dtype=torch.float64), 1 - beta
    )
    assert lerped.item() == pytest.approx(beta * m + (1 - beta) * g, rel=1e-9, abs=1e-9)


@pytest.mark.equation("pytorch-order")
@settings(max_examples=50)
@given(gradients, st.floats(0, 0.999), st.floats(0, 0.9999), st.floats(1e-12, 1e-2))
def test_optimizer_divides_the_step_size_by_one_correction_and_v_by_the_other(
    history: list[float], beta1: float, beta2: float, eps: float
) -> None:
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Adam([theta], lr=0.01, betas=(beta1, beta2), eps=eps)
    for t, g in enumerate(history, start=1):
        before = theta.item()
        theta.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        state = optimizer.state[theta]
        m, v = state["exp_avg"].item(), state["exp_avg_sq"].item()
        step = 0.01 / (1 - beta1**t) * m / (np.sqrt(v / (1 - beta2**t)) + eps)
        assert theta.item() - before == pytest.approx(-step, rel=1e-7, abs=1e-15)


@pytest.mark.equation("expm1")
@given(st.integers(1, 15), st.integers(1, 10_000))
def test_expm1_of_t_log_beta_is_one_minus_beta_to_the_t_in_all_digits(
    nines: int, t: int
) -> None:
    beta = 1 - 10.0**-nines
    with localcontext() as context:
        context.prec = 60
        exact = 1 - Decimal(beta) ** t
        error = abs((Decimal(theory.bias_correction(beta, t)) - exact) / exact)
    assert float(error) < 1e-15


@pytest.mark.equation("adamw-shrink")
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 20), st.floats(-10, 10))
def test_adamw_with_zero_gradient_shrinks_by_one_minus_lr_times_decay(
    lr: float, decay: float, count: int, start: float
) -> None:
    theta = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = AdamW([theta], lr=lr, weight_decay=decay)
    for _ in range(count):
        theta.grad = torch.zeros_like(theta)
        optimizer.step()
    assert theta.item() == pytest.approx(
        start * (1 - lr * decay) ** count, rel=1e-12, abs=1e-300
    )


# 13. Images


@pytest.mark.equation("shear-zoom")
@given(st.integers(0, 10_000))
def test_each_point_comes_from_the_place_that_shear_and_zoom_say(seed: int) -> None:
    # On a picture whose grey level is linear in x and y, interpolation is exact, so
    # that the level tells the place from which it was taken.
    axis = (torch.arange(28, dtype=torch.float64) + 0.5) / 14 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pictures = torch.stack([x, y]).unsqueeze(0)
    changed = shear_and_zoom(pictures, torch.Generator().manual_seed(seed))[0]
    drawn = torch.rand(
        (1, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    w, h, s = (0.2 * (2 * drawn - 1))[0]
    from_x, from_y = x / (1 + w) + s * y, y / (1 + h)
    inside = (from_x.abs() < 0.96) & (from_y.abs() < 0.96)
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(changed[0][inside], from_x[inside])
    torch.testing.assert_close(changed[1][inside], from_y[inside])


@pytest.mark.equation("standard-error")
@pytest.mark.parametrize(("a", "n"), [(0.97, 1000), (0.5, 200)])
def test_measured_accuracy_varies_by_the_standard_error(a: float, n: int) -> None:
    measured = np.random.default_rng(0).binomial(n, a, size=200_000) / n
    assert measured.std() == pytest.approx(np.sqrt(a * (1 - a) / n), rel=0.01)


# 14. Text


@pytest.mark.equation("lone-gradient")
@given(sizes, st.floats(0, 0.95), st.floats(0.95, 0.9999))
def test_one_gradient_after_a_long_rest_moves_a_coordinate_by_a_fixed_number_of_learning_rates(
    g: float, beta1: float, beta2: float
) -> None:
    state = reference.AdamState(10**7, np.array(0.0), np.array(0.0))
    travelled = 0.0
    for k in range(1200):
        state, update = reference.adam(
            state,
            np.array(g if k == 0 else 0.0),
            lr=1.0,
            beta1=beta1,
            beta2=beta2,
            eps=0.0,
        )
        travelled -= float(update)
    first = (1 - beta1) / np.sqrt(1 - beta2)
    series = first * sum((beta1 / np.sqrt(beta2)) ** k for k in range(1200))
    assert travelled == pytest.approx(series, rel=1e-6)
    assert theory.lone_gradient_travel(beta1, beta2) == pytest.approx(series, rel=1e-6)
