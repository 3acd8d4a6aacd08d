"""The equations of momentum, AdaGrad and RMSProp."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adam_tutorial import reference, theory
from adam_tutorial._types import Array
from adam_tutorial.reference import adagrad, momentum, rmsprop, trajectory

decay_rates = st.floats(0, 0.99)
curvatures = st.floats(0.1, 10)
learning_rates = st.floats(0.001, 2)
signed = (
    st.floats(-3, 3)
    .map(lambda power: 10.0**power)
    .flatmap(lambda x: st.sampled_from([x, -x]))
)
histories = st.lists(signed, min_size=1, max_size=25)


def updates(rule: Callable[..., Any], history: list[float], **settings: Any) -> Array:
    return reference.walk(rule, history, **settings).updates


def close(actual: Any, expected: Any) -> None:
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10 * scale)


# Momentum


@pytest.mark.equation("parts-heavy-ball")
@given(histories, decay_rates, learning_rates)
def test_momentum_steps_along_a_decaying_sum(
    history: list[float], beta: float, lr: float
) -> None:
    b, expected = 0.0, []
    for g in history:
        b = beta * b + g
        expected.append(-lr * b)
    close(updates(momentum, history, lr=lr, beta=beta), np.array(expected))


@pytest.mark.equation("parts-sum")
@given(signed, decay_rates, st.integers(1, 100))
def test_sum_of_equal_gradients_tends_to_g_over_one_minus_beta(
    g: float, beta: float, t: int
) -> None:
    b = -updates(momentum, [g] * t, lr=1.0, beta=beta)[-1]
    assert b == pytest.approx(g * (1 - beta**t) / (1 - beta), rel=1e-9)
    assert b == pytest.approx(g * theory.heavy_ball_sum(t, beta), rel=1e-9)
    assert theory.heavy_ball_sum(10_000, beta) == pytest.approx(
        1 / (1 - beta), rel=1e-9
    )


@pytest.mark.equation("parts-average")
@given(histories, decay_rates, learning_rates)
def test_average_with_lr_over_one_minus_beta_is_the_sum(
    history: list[float], beta: float, lr: float
) -> None:
    m, expected = 0.0, []
    for g in history:
        m = beta * m + (1 - beta) * g
        expected.append(-lr / (1 - beta) * m)
    close(updates(momentum, history, lr=lr, beta=beta), np.array(expected))


@pytest.mark.equation("parts-polyak")
@given(histories, decay_rates, learning_rates)
def test_repeating_the_last_step_is_the_sum_at_a_constant_learning_rate(
    history: list[float], beta: float, lr: float
) -> None:
    points = [0.0, 0.0]  # before the first step, nothing has moved
    for g in history:
        points.append(points[-1] - lr * g + beta * (points[-1] - points[-2]))
    close(updates(momentum, history, lr=lr, beta=beta), np.diff(points[1:]))


def test_repeating_the_last_step_is_another_rule_when_the_learning_rate_changes() -> (
    None
):
    rates, beta = [1.0, 0.1], 0.5
    velocity = b = 0.0
    for lr in rates:
        velocity = beta * velocity + lr
        b = beta * b + 1.0
    assert velocity == pytest.approx(0.6)
    assert rates[-1] * b == pytest.approx(0.15)


@pytest.mark.equation("parts-dampening")
@given(histories, st.floats(0.01, 0.99))
def test_dampening_of_torch_is_the_average_plus_the_fading_first_gradient(
    history: list[float], beta: float
) -> None:
    weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    sgd = torch.optim.SGD([weight], lr=1.0, momentum=beta, dampening=beta)
    b = history[0]
    m = 0.0
    for t, g in enumerate(history, start=1):
        b = b if t == 1 else beta * b + (1 - beta) * g
        m = beta * m + (1 - beta) * g
        with torch.no_grad():
            weight.zero_()
        weight.grad = torch.tensor(g, dtype=torch.float64)
        sgd.step()
        scale = max(abs(x) for x in history)
        assert -weight.item() == pytest.approx(b, rel=1e-9, abs=1e-12 * scale)
        assert b == pytest.approx(m + beta**t * history[0], rel=1e-9, abs=1e-12 * scale)


@pytest.mark.equation("parts-nesterov")
@given(st.floats(0, 0.95), st.floats(0.01, 0.3), st.floats(-1, 1))
def test_looking_ahead_is_a_rule_without_a_second_look(
    beta: float, lr: float, start: float
) -> None:
    def slope(x: Any) -> Any:
        return np.sin(x) + 0.3 * x  # not linear, so that a wrong point would be noticed

    theta, b = start, 0.0
    ahead = [theta]
    for _ in range(15):
        g = float(slope(theta - lr * beta * b))
        b = beta * b + g
        theta = theta - lr * b
        ahead.append(theta - lr * beta * b)
    path = trajectory(momentum, slope, start, 15, lr=lr, beta=beta, nesterov=True)
    np.testing.assert_allclose(path, ahead, rtol=1e-9, atol=1e-10)
    # The rule as it is written: g plus beta times the new sum.
    phi, b = start, 0.0
    for expected in ahead[1:]:
        g = float(slope(phi))
        b = beta * b + g
        phi = phi - lr * (g + beta * b)
        assert phi == pytest.approx(expected, rel=1e-9, abs=1e-10)


@pytest.mark.equation("parts-roots")
@given(curvatures, st.floats(0.05, 0.9), st.floats(0.05, 0.95))
def test_momentum_on_a_parabola_is_a_sum_of_powers_of_the_two_roots(
    h: float, beta: float, share: float
) -> None:
    lr = share * theory.step_limit(h, beta)
    path = trajectory(momentum, lambda x: h * x, 1.0, 12, lr=lr, beta=beta)
    roots = np.roots([1, -(1 + beta - lr * h), beta])
    for z in roots:
        # What is left when the powers of the other root are taken out is a power of
        # this one.
        other = roots[0] + roots[1] - z
        rest = path[1:] - other * path[:-1]
        np.testing.assert_allclose(rest[1:], z * rest[:-1], atol=1e-7)
    assert theory.heavy_ball_rate(lr, beta, [h]) == pytest.approx(
        max(abs(roots)), rel=1e-6
    )


@pytest.mark.equation("parts-limit")
@given(curvatures, st.floats(0, 0.95), st.floats(0.02, 0.98))
def test_momentum_is_stable_exactly_below_two_times_one_plus_beta(
    h: float, beta: float, share: float
) -> None:
    limit = 2 * (1 + beta) / h
    assert theory.step_limit(h, beta) == pytest.approx(limit)
    for lr, stable in ((share * limit, True), ((1 + share) * limit, False)):
        roots = np.roots([1, -(1 + beta - lr * h), beta])
        assert (max(abs(roots)) < 1) == stable
    near = trajectory(momentum, lambda x: h * x, 1.0, 500, lr=0.97 * limit, beta=beta)
    assert abs(near[-1]) < 1e-2
    beyond = trajectory(momentum, lambda x: h * x, 1.0, 500, lr=1.03 * limit, beta=beta)
    assert abs(beyond[-1]) > 1e2


@pytest.mark.equation("parts-rate")
@given(
    curvatures,
    st.floats(1.1, 400),
    st.floats(0, 1),
    st.floats(0.01, 3),
    st.floats(0, 0.999),
)
def test_best_momentum_has_the_rate_of_the_root_of_kappa(
    smallest: float, kappa: float, between: float, factor: float, other_beta: float
) -> None:
    largest = smallest * kappa
    lr, beta, rate = theory.best_heavy_ball(smallest, largest)
    assert rate == pytest.approx(
        (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1), rel=1e-9
    )
    assert lr == pytest.approx(4 / (math.sqrt(largest) + math.sqrt(smallest)) ** 2)
    assert beta == pytest.approx(rate**2)
    for h in (smallest, smallest + between * (largest - smallest), largest):
        # At a double root, rounding moves the roots by the square root of the rounding.
        assert max(abs(np.roots([1, -(1 + beta - lr * h), beta]))) == pytest.approx(
            rate, abs=1e-6
        )
    other = [
        max(abs(np.roots([1, -(1 + other_beta - factor * lr * h), other_beta])))
        for h in (smallest, largest)
    ]
    assert max(other) >= rate - 1e-7


@pytest.mark.equation("parts-two-bounds")
@given(curvatures, st.floats(1, 100), st.floats(0.02, 0.98), decay_rates)
def test_rate_bounds_the_step_from_both_sides(
    smallest: float, kappa: float, share: float, beta: float
) -> None:
    lr = share * theory.step_limit(smallest * kappa, beta)
    rho = theory.heavy_ball_rate(lr, beta, [smallest, smallest * kappa])
    assert rho < 1
    assert beta <= rho**2 + 1e-9
    assert lr * smallest * rho >= (1 - rho) * (rho - beta) - 1e-9
    assert lr * smallest * kappa * rho <= (1 + rho) * (rho + beta) + 1e-9


@pytest.mark.equation("parts-kappa")
@given(curvatures, st.floats(1, 100), st.floats(0.02, 0.98), decay_rates)
def test_rate_bounds_the_condition_number(
    smallest: float, kappa: float, share: float, beta: float
) -> None:
    lr = share * theory.step_limit(smallest * kappa, beta)
    rho = theory.heavy_ball_rate(lr, beta, [smallest, smallest * kappa])
    if rho - beta > 1e-6:
        first = (1 + rho) * (rho + beta) / ((1 - rho) * (rho - beta))
        assert kappa <= first * (1 + 1e-6)
        second = (1 + rho) * (rho + rho**2) / ((1 - rho) * (rho - rho**2))
        assert first <= second * (1 + 1e-6)
        assert second == pytest.approx(((1 + rho) / (1 - rho)) ** 2, rel=1e-6)


@pytest.mark.equation("parts-floor")
@given(curvatures, st.floats(0.02, 0.9), st.floats(0, 0.9), st.floats(0.1, 3))
def test_noise_floor_of_momentum_is_that_of_the_larger_learning_rate(
    h: float, share: float, beta: float, sigma: float
) -> None:
    lr = share * theory.step_limit(h, beta)
    floor = lr * sigma**2 / (h * (1 - beta)) * (1 + beta) / (2 * (1 + beta) - lr * h)
    assert theory.noise_floor(lr, h, sigma**2, beta) == pytest.approx(floor, rel=1e-9)
    # theta is a sum of the past errors, each with a weight: what the rule makes of a
    # single one. The errors are independent, so the mean square is the sum of the
    # squared weights.
    theta, state, total = 0.0, None, 0.0
    for t in range(4000):
        g = h * theta + (1.0 if t == 0 else 0.0)
        state, update = momentum(state, g, lr=lr, beta=beta)
        theta = theta + float(update)
        total += theta**2
        if abs(theta) + lr * abs(float(state.b)) < 1e-7:
            break
    assert total * sigma**2 == pytest.approx(floor, rel=1e-6)
    tiny = 1e-6 * (1 - beta)
    rough = tiny / (1 - beta) * sigma**2 / (2 * h)
    assert theory.noise_floor(tiny, h, sigma**2, beta) == pytest.approx(rough, rel=1e-4)


@pytest.mark.equation("parts-nesterov-limit")
@settings(max_examples=20)
@given(curvatures, st.floats(0, 0.95))
def test_nesterov_is_stable_exactly_below_its_own_limit(h: float, beta: float) -> None:
    limit = (2 + 2 * beta) / (1 + 2 * beta) / h
    for share, stable in ((0.3, True), (0.97, True), (1.03, False)):
        path = trajectory(
            momentum,
            lambda x: h * x,
            1.0,
            500,
            lr=share * limit,
            beta=beta,
            nesterov=True,
        )
        assert (abs(path[-1]) < 1e-2) == stable


# AdaGrad


@pytest.mark.equation("parts-adagrad")
@given(histories, learning_rates, st.sampled_from([0.0, 1e-8, 0.1]))
def test_adagrad_divides_by_the_root_of_the_sum_of_squares(
    history: list[float], lr: float, eps: float
) -> None:
    s, expected = 0.0, []
    for g in history:
        s += g**2
        expected.append(-lr * g / (math.sqrt(s) + eps))
    np.testing.assert_allclose(
        updates(adagrad, history, lr=lr, eps=eps), expected, rtol=1e-9
    )


@pytest.mark.equation("parts-scale")
@given(histories, st.floats(0.001, 1000))
def test_scale_of_the_gradients_cancels(history: list[float], d: float) -> None:
    scaled = [d * g for g in history]
    sums = np.sqrt(np.cumsum(np.square(history)))
    expected = np.array(history) / sums
    close(np.array(scaled) / np.sqrt(np.cumsum(np.square(scaled))), expected)
    close(-updates(adagrad, scaled, lr=1.0, eps=0.0), expected)
    close(
        updates(rmsprop, scaled, lr=1.0, eps=0.0),
        updates(rmsprop, history, lr=1.0, eps=0.0),
    )


@pytest.mark.equation("parts-half")
@given(st.floats(0.01, 100), curvatures, st.floats(0.5, 2))
def test_in_other_units_adagrad_acts_like_a_learning_rate_d_times_larger(
    d: float, h: float, start: float
) -> None:
    # f = h theta^2 / 2 with theta = d phi: the slope in phi is d h theta.
    lr = 0.05 / d
    of_phi = trajectory(
        adagrad, lambda phi: d * h * (d * phi), start / d, 12, lr=lr, eps=0.0
    )
    of_theta = trajectory(adagrad, lambda x: h * x, start, 12, lr=lr * d, eps=0.0)
    np.testing.assert_allclose(d * of_phi, of_theta, rtol=1e-9, atol=1e-12)


@pytest.mark.equation("parts-adagrad-noise")
def test_mean_square_distance_of_adagrad_sinks_with_the_root_of_the_steps() -> None:
    rng = np.random.default_rng(0)
    h, sigma, lr = 1.0, 2.0, 1.0
    theta, state = np.zeros(6000), None
    for t in range(1, 2001):
        state, update = adagrad(
            state, h * theta + sigma * rng.standard_normal(6000), lr=lr
        )
        theta = theta + update
        if t in (500, 2000):
            expected = lr * sigma / (2 * h * math.sqrt(t))
            assert (theta**2).mean() == pytest.approx(expected, rel=0.08)


@pytest.mark.equation("parts-adagrad-length")
@given(st.integers(1, 3000))
def test_length_of_adagrad_lies_between_its_two_bounds(t: int) -> None:
    length = sum(1 / math.sqrt(i) for i in range(1, t + 1))
    assert theory.adagrad_length(t) == pytest.approx(length)
    assert 2 * math.sqrt(t) - 2 + 1 / math.sqrt(t) <= length + 1e-9
    assert length <= 2 * math.sqrt(t) - 1 + 1e-9
    if t > 100:  # the bounds are less than 1 apart
        assert length == pytest.approx(2 * math.sqrt(t) - 1.46, abs=0.06)


# RMSProp


@pytest.mark.equation("parts-rmsprop")
@given(histories, decay_rates, learning_rates, st.sampled_from([0.0, 1e-8, 0.1]))
def test_rmsprop_divides_by_the_root_of_a_moving_average(
    history: list[float], beta: float, lr: float, eps: float
) -> None:
    v, expected = 0.0, []
    for g in history:
        v = beta * v + (1 - beta) * g**2
        expected.append(-lr * g / (math.sqrt(v) + eps))
    np.testing.assert_allclose(
        updates(rmsprop, history, lr=lr, beta=beta, eps=eps), expected, rtol=1e-8
    )


@pytest.mark.equation("parts-rmsprop-first")
@given(signed, decay_rates, learning_rates, st.integers(1, 60))
def test_steps_of_rmsprop_under_a_constant_gradient_are_too_long(
    g: float, beta: float, lr: float, t: int
) -> None:
    step = abs(updates(rmsprop, [g] * t, lr=lr, beta=beta, eps=0.0)[-1])
    assert step == pytest.approx(lr / math.sqrt(1 - beta**t), rel=1e-7)
    assert step == pytest.approx(lr * theory.rmsprop_step(t, beta), rel=1e-7)
    assert step >= lr * (1 - 1e-9)


@pytest.mark.equation("parts-cycle")
@given(curvatures, decay_rates, learning_rates)
def test_half_a_learning_rate_from_the_minimum_rmsprop_jumps_to_and_fro(
    h: float, beta: float, lr: float
) -> None:
    v = (h * lr / 2) ** 2
    start = reference.RMSPropState(np.array(v), np.array(0.0))
    points, _, states = reference.walk(
        rmsprop, lambda x: h * x, lr / 2, 5, state=start, lr=lr, beta=beta, eps=0.0
    )
    np.testing.assert_allclose(points, lr / 2 * (-1.0) ** np.arange(6), rtol=1e-9)
    np.testing.assert_allclose([state.v for state in states], v, rtol=1e-9)
    assert theory.rmsprop_cycle(lr) == lr / 2


@given(curvatures, st.floats(0.02, 0.98), learning_rates)
def test_small_disturbances_of_the_cycle_of_rmsprop_shrink(
    h: float, beta: float, lr: float
) -> None:
    def one_step(disturbance: Array) -> Array:
        """Map a disturbance of ln|theta| and ln sqrt(v) to that after a step."""
        u, w = disturbance
        state = reference.RMSPropState(
            np.array((h * lr / 2 * np.exp(w)) ** 2), np.array(0.0)
        )
        theta = np.array(lr / 2 * np.exp(u))
        state, update = rmsprop(state, h * theta, lr=lr, beta=beta, eps=0.0)
        after = abs(theta + update) / (lr / 2), np.sqrt(state.v) / (h * lr / 2)
        return np.asarray(np.log(after))

    tiny = 1e-5
    map_of = np.array([one_step(e) - one_step(-e) for e in tiny * np.eye(2)]).T / (
        2 * tiny
    )
    # w' = beta w + (1 - beta) u, and then u' = u - 2 w'.
    expected = [[1 - 2 * (1 - beta), -2 * beta], [1 - beta, beta]]
    np.testing.assert_allclose(map_of, expected, atol=1e-6)
    assert np.trace(map_of) == pytest.approx(3 * beta - 1, abs=1e-6)
    assert np.linalg.det(map_of) == pytest.approx(beta, abs=1e-6)
    rate = max(abs(np.linalg.eigvals(np.array(expected))))
    assert rate < 1
    if beta > 1 / 9 + 1e-3:
        assert rate == pytest.approx(math.sqrt(beta), rel=1e-6)


@pytest.mark.parametrize("beta", [0.3, 0.9, 0.99])
def test_rmsprop_ends_half_a_learning_rate_from_the_minimum(beta: float) -> None:
    path = trajectory(rmsprop, lambda x: 3 * x, 1.0, 6000, lr=0.01, beta=beta)
    np.testing.assert_allclose(abs(path[-50:]), 0.005, rtol=1e-4)


@pytest.mark.equation("parts-rmsprop-floor")
@pytest.mark.parametrize(("h", "sigma"), [(1.0, 1.0), (4.0, 3.0), (0.5, 0.5)])
def test_floor_of_rmsprop_is_in_proportion_to_the_noise(h: float, sigma: float) -> None:
    rng = np.random.default_rng(1)
    lr = 0.02
    theta, state = np.zeros(20_000), None
    for _ in range(int(4 * sigma / (lr * h)) + 1000):
        noisy = h * theta + sigma * rng.standard_normal(len(theta))
        state, update = rmsprop(state, noisy, lr=lr, beta=0.99)
        theta = theta + update
    expected = lr * sigma / (h * (2 - lr * h / sigma))
    assert theory.rmsprop_floor(lr, h, sigma**2) == pytest.approx(expected)
    assert (theta**2).mean() == pytest.approx(expected, rel=0.05)
    assert expected == pytest.approx(lr * sigma / (2 * h), rel=0.05)


# Together


@pytest.mark.equation("parts-adam")
@given(histories, decay_rates, decay_rates, st.sampled_from([0.0, 1e-8, 0.1]))
def test_adam_is_corrected_momentum_over_the_corrected_root_of_rmsprop(
    history: list[float], beta1: float, beta2: float, eps: float
) -> None:
    balls = reference.walk(momentum, history, beta=beta1).states
    averages = reference.walk(rmsprop, history, beta=beta2).states
    expected = []
    for t, (ball, squares) in enumerate(zip(balls, averages, strict=True), start=1):
        m_hat = (1 - beta1) * float(ball.b) / (1 - beta1**t)
        v_hat = float(squares.v) / (1 - beta2**t)
        expected.append(-0.001 * m_hat / (math.sqrt(v_hat) + eps))
    found = updates(
        reference.adam, history, lr=0.001, beta1=beta1, beta2=beta2, eps=eps
    )
    close(found, np.array(expected))
