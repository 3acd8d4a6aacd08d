"""The laws of Adam and its relatives, each proved on the reference and on the optimizer.

``@breaks`` names the way in which a rule is broken for the test beside it: the last test of the
file runs every law on its broken rule, and demands that it fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial import optim, reference, theory
from tests.laws.implementations import OPTIM, REFERENCE, Array, Implementation

Law = Callable[..., None]
BROKEN: list[tuple[Law, dict[str, Any]]] = []


def breaks(**distortion: Any) -> Callable[[Law], Law]:
    """Register how the rule is broken to see this law fail."""

    def register(law: Law) -> Law:
        BROKEN.append((law, distortion))
        return law

    return register


def follows(**replaced: Any) -> Callable[[Law], Law]:
    """Register a function of ``theory`` or ``reference`` that is replaced to see the law fail."""
    return breaks(replaced=replaced)


both = pytest.mark.parametrize("implementation", [REFERENCE, OPTIM], ids=lambda i: i.name)
in_optim = pytest.mark.parametrize("implementation", [OPTIM], ids=lambda i: i.name)
in_reference = pytest.mark.parametrize("implementation", [REFERENCE], ids=lambda i: i.name)

# Zero is left out: with eps = 0 it gives 0/0, which P17 is about.
sizes = st.floats(-5, 5).map(lambda exponent: 10.0**exponent)
numbers = st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(lambda pair: pair[0] * pair[1])
tables = arrays(float, st.tuples(st.integers(1, 25), st.integers(2, 4)), elements=numbers)
beta1s, beta2s = st.floats(0, 0.99), st.floats(0.01, 0.9999)
NO_EPS: dict[str, Any] = {"lr": 0.1, "eps": 0.0}


def close(actual: Any, expected: Any, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def scaled(_t: int, u: Array, _theta: Array) -> Array:
    return u * 1.01


# Symmetries


@both
@breaks(distort_gradient=lambda _t, g: g + 0.01)
@given(tables, beta1s, beta2s, st.sampled_from([8.0, 3.7, 1e-3]))
def test_p01_scaling_the_gradient_leaves_the_path_alone(
    implementation: Implementation, g: Array, beta1: float, beta2: float, c: float
) -> None:
    betas: dict[str, Any] = {"beta1": beta1, "beta2": beta2}
    plain = implementation.follow(g, **NO_EPS, **betas).theta
    other = implementation.follow(c * g, **NO_EPS, **betas).theta
    if c == 8.0:
        np.testing.assert_array_equal(plain, other)
    close(plain, other)
    close(plain, -implementation.follow(-c * g, **NO_EPS, **betas).theta)


@both
@breaks(override={"eps": 1e-3})
@given(tables, beta1s, beta2s)
def test_p02_scaling_gradient_and_eps_together_leaves_the_path_alone(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    betas: dict[str, Any] = {"lr": 0.1, "beta1": beta1, "beta2": beta2}
    small = 1e-4 * g
    plain = implementation.follow(small, eps=1e-3, **betas).theta
    # A power of two changes no digit.
    np.testing.assert_array_equal(plain, implementation.follow(8 * small, eps=8e-3, **betas).theta)
    assert not np.array_equal(plain, implementation.follow(8 * small, eps=1e-3, **betas).theta)


@both
@breaks(distort_gradient=lambda _t, g: g + g.mean())
@given(tables, beta1s, beta2s)
def test_p03_scaling_each_coordinate_of_the_gradient_leaves_the_updates_alone(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    betas: dict[str, Any] = {"beta1": beta1, "beta2": beta2}
    d = np.array([8.0, 0.3, 1e3, 2.0])[: g.shape[1]]
    plain = implementation.follow(g, **NO_EPS, **betas).theta
    close(plain, implementation.follow(d * g, **NO_EPS, **betas).theta)


@both
@breaks(distort_gradient=lambda _t, g: g + 0.3)
def test_p03_stretching_the_parameters_changes_the_path_unless_lr_is_divided(
    implementation: Implementation,
) -> None:
    d, start = np.array([1.0, 5.0]), np.array([1.0, -1.0])
    bowl: Any = lambda x: 2 * x * np.array([1.0, 3.0])
    run: Any = lambda gradient, x, lr: (
        implementation.run("adam", lambda _, theta: gradient(theta), x, 30, lr=lr, eps=0.0).theta
    )
    plain = run(bowl, start, 0.05)
    stretched = run(lambda x: d * bowl(d * x), start / d, 0.05)
    assert np.abs(d * stretched - plain)[:, 1].max() > 0.05
    # One learning rate for each coordinate, divided by its stretch, walks the same path.
    for i in range(2):
        slope: Any = lambda _, x, i=i: d[i] * bowl(d[i] * np.repeat(x, 2))[i]
        alone = implementation.run(
            "adam",
            slope,
            start[i : i + 1] / d[i],
            30,
            lr=0.05 / d[i],
            eps=0.0,
        ).theta
        close(d[i] * alone[:, 0], plain[:, i])


@both
@breaks(distort_update=lambda _t, u, theta: u - 0.01 * theta)
@given(st.floats(-3, 3), beta1s, beta2s)
def test_p04_moving_the_loss_moves_the_path(
    implementation: Implementation, a: float, beta1: float, beta2: float
) -> None:
    def run(rule: str, shift: float, **more: float) -> Array:
        return implementation.run(
            rule,
            lambda _, x: 2 * (x - shift),
            np.array([0.5 + shift, shift - 2]),
            20,
            lr=0.1,
            beta1=beta1,
            beta2=beta2,
            **more,
        ).theta

    close(run("adam", a), run("adam", 0.0) + a)
    assume(abs(a) > 0.1)
    decayed = run("adamw", a, weight_decay=0.1) - run("adamw", 0.0, weight_decay=0.1)
    assert np.abs(decayed - a).max() > 1e-4


@both
@breaks(distort_update=lambda _t, u, _theta: u * (1 + 0.1 * np.arange(len(u))))
@given(tables, beta1s, beta2s, st.integers(0, 10**6))
def test_p05_permuting_the_coordinates_permutes_the_path(
    implementation: Implementation, g: Array, beta1: float, beta2: float, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(g.shape[1])
    assume(not np.array_equal(order, np.arange(g.shape[1])))
    run: Any = lambda table: implementation.follow(table, beta1=beta1, beta2=beta2).theta
    np.testing.assert_array_equal(run(g)[:, order], run(g[:, order]))


@both
@breaks(distort_gradient=lambda _t, g: g + 0.1)
@given(tables, beta1s, beta2s)
def test_p06_flipping_the_sign_of_a_coordinate_flips_its_path(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    signs = np.array([-1.0, 1.0, -1.0, 1.0])[: g.shape[1]]
    run: Any = lambda table: implementation.follow(table, beta1=beta1, beta2=beta2).theta
    np.testing.assert_array_equal(signs * run(g), run(signs * g))


@both
@breaks(distort_update=lambda _t, u, _theta: 0.1 * u / np.linalg.norm(u))
@given(st.floats(0.2, 1.3))
def test_p07_turning_the_gradient_does_not_turn_the_step(
    implementation: Implementation, angle: float
) -> None:
    straight = implementation.follow([[1.0, 0.0]], lr=0.1).updates[0]
    close(straight, [-0.1, 0.0], rtol=1e-7)
    turned = implementation.follow([[math.cos(angle), math.sin(angle)]], lr=0.1).updates[0]
    close(turned, [-0.1, -0.1], rtol=1e-6)
    close(np.linalg.norm(turned), 0.1 * math.sqrt(2), rtol=1e-6)


# One step, and closed forms


@both
@breaks(distort_update=lambda t, u, _theta: u * (0.5 if t == 1 else 1))
@given(numbers, beta1s, beta2s, st.sampled_from([0.0, 1e-8, 1e-2]))
def test_p08_first_step_is_lr_times_gradient_over_its_size_plus_eps(
    implementation: Implementation, g: float, beta1: float, beta2: float, eps: float
) -> None:
    update = implementation.follow([g], lr=0.3, beta1=beta1, beta2=beta2, eps=eps).updates[0]
    close(update, -0.3 * g / (abs(g) + eps))


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
    # Where the ratio is next to a decay rate, the quotient of differences has lost its digits.
    assume(abs(ratio - beta1) > 1e-3 and abs(ratio**2 - beta2) > 1e-3)
    run = implementation.follow(2.0 * ratio ** np.arange(1, t + 1), beta1=beta1, beta2=beta2)
    m, v = theory.geometric_gradient_moments(2.0, ratio, t, beta1, beta2)
    close([run.m[-1], run.v[-1]], [m, v], atol=0)


@both
@breaks(distort_gradient=lambda t, g: g * (1.01 if t == 2 else 1))
def test_p10_closed_moments_where_the_ratio_is_a_decay_rate(implementation: Implementation) -> None:
    for ratio in (0.8, math.sqrt(0.9)):
        run = implementation.follow(2.0 * ratio ** np.arange(1, 21), beta1=0.8, beta2=0.9)
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
        close(theory.moving_average_weights(beta, t).sum(), theory.bias_correction(beta, t))


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
    worst = implementation.follow(theory.step_supremum_gradients(t, **betas), **NO_EPS, **betas)
    close(abs(worst.updates[-1]) / 0.1, theory.step_supremum(t, **betas), rtol=1e-7)


@both
@breaks(distort_update=scaled)
def test_p12_supremum_at_the_defaults_is_7_27_and_1_where_the_betas_are_equal(
    implementation: Implementation,
) -> None:
    assert theory.step_supremum() == pytest.approx(7.2703, abs=1e-4)
    steps = np.abs(implementation.follow(theory.step_supremum_gradients(400), **NO_EPS).updates)
    # The limit is reached as v forgets its start, which takes longer than these 400 steps.
    assert steps[-1] / 0.1 == pytest.approx(theory.step_supremum(400), rel=1e-6)
    assert theory.step_supremum(50_000) == pytest.approx(7.2703, abs=1e-4)
    g = np.random.default_rng(0).standard_normal((200, 50))
    equal = np.abs(implementation.follow(g, beta1=0.9, beta2=0.9, **NO_EPS).updates) / 0.1
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
    worst = implementation.follow(beta2 ** np.arange(1, 301), "adamax", **NO_EPS, **betas)
    close(abs(worst.updates[-1]), bound, rtol=1e-6)


# Limits and special cases


@both
@breaks(distort_update=scaled)
@given(tables)
def test_p14_without_memory_adam_is_sign_descent(implementation: Implementation, g: Array) -> None:
    updates = implementation.follow(g, beta1=0.0, beta2=0.0, **NO_EPS).updates
    close(updates, -0.1 * np.sign(g))


@both
@breaks(distort_update=scaled)
@given(tables, beta2s)
def test_p14_with_beta1_zero_adam_is_rmsprop_with_a_corrected_learning_rate(
    implementation: Implementation, g: Array, beta2: float
) -> None:
    updates = implementation.follow(g, beta1=0.0, beta2=beta2, **NO_EPS).updates
    state = None
    for t, row in enumerate(g, start=1):
        lr = 0.1 * math.sqrt(theory.bias_correction(beta2, t))
        state, update = reference.rmsprop(state, row, lr=lr, beta=beta2, eps=0.0)
        close(updates[t - 1], update)


@both
@breaks(distort_update=scaled)
@given(tables)
def test_p14_with_beta2_to_one_and_a_falling_lr_adam_is_adagrad(
    implementation: Implementation, g: Array
) -> None:
    updates = implementation.follow(
        g, beta1=0.0, beta2=1 - 1e-10, eps=0.0, lr=lambda t: 0.1 / math.sqrt(t)
    ).updates
    state = None
    for row, update in zip(g, updates, strict=True):
        state, expected = reference.adagrad(state, row, lr=0.1, eps=0.0)
        close(update, expected, rtol=1e-7)


@both
@breaks(distort_update=scaled)
@given(tables, beta1s, beta2s)
def test_p14_with_a_large_eps_adam_is_momentum(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    eps, t = 1e7, len(g)
    run = implementation.follow(g, lr=0.1 * eps, eps=eps, beta1=beta1, beta2=beta2)
    m_hat = run.m[-1] / theory.bias_correction(beta1, t)
    root = np.sqrt(run.v[-1] / theory.bias_correction(beta2, t))
    size = np.abs(g).max()
    close(run.updates[-1] / size, -0.1 * m_hat * (1 - root / (root + eps)) / size, atol=1e-11)


@both
@breaks(distort_update=scaled)
@given(tables, st.floats(0.1, 0.99))
def test_p15_with_equal_betas_the_step_is_a_sign_damped_by_the_spread(
    implementation: Implementation, g: Array, beta: float
) -> None:
    run, t = implementation.follow(g, beta1=beta, beta2=beta, **NO_EPS), len(g)
    correction = theory.bias_correction(beta, t)
    m_hat, v_hat = run.m[-1] / correction, run.v[-1] / correction
    assume(np.all(np.abs(m_hat) > 1e-4 * np.sqrt(v_hat)))
    spread = v_hat - m_hat**2
    assert np.all(spread >= -1e-9 * v_hat)
    expected = -0.1 * np.sign(m_hat) / np.sqrt(1 + np.maximum(spread, 0) / m_hat**2)
    close(run.updates[-1], expected, rtol=1e-6)


@both
@breaks(override={"eps": 2e-3})
@given(tables, beta1s, beta2s)
def test_p16_efficient_order_is_the_same_with_eps_hat_times_the_root(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    g, eps = 1e-4 * g, 1e-3
    updates = implementation.follow(g, beta1=beta1, beta2=beta2, lr=0.1, eps=eps).updates
    state = None
    for t, row in enumerate(g, start=1):
        eps_hat = eps * math.sqrt(theory.bias_correction(beta2, t))
        state, expected = reference.adam_efficient(
            state, row, lr=0.1, beta1=beta1, beta2=beta2, eps_hat=eps_hat
        )
        close(updates[t - 1], expected)


@both
@breaks(override={"eps": 1.5e-8})
def test_p16_constant_eps_hat_acts_like_an_eps_31_6_times_larger_at_first(
    implementation: Implementation,
) -> None:
    for t in (1, 100, 5000):
        state, g = None, 1e-8
        for _ in range(t):
            state, constant = reference.adam_efficient(state, np.array(g), eps_hat=1e-8)
        factor = 1 / math.sqrt(theory.bias_correction(0.999, t))
        run = implementation.follow([g] * t, eps=1e-8 * factor)
        close(run.updates[-1], constant, atol=0)
    assert 1 / math.sqrt(theory.bias_correction(0.999, 1)) == pytest.approx(31.6, abs=0.05)


@pytest.mark.equation("theory-lazy")
@both
@breaks(distort_update=lambda t, u, _theta: u if t == 1 else 0 * u)
@given(numbers, st.floats(0.05, 0.95), st.floats(0.95, 0.9999))
def test_p17_one_gradient_and_then_zeros_goes_on_moving(
    implementation: Implementation, g: float, beta1: float, beta2: float
) -> None:
    steps = implementation.follow([g] + [0.0] * 30, beta1=beta1, beta2=beta2, **NO_EPS).updates
    expected = [-0.1 * np.sign(g) * theory.lazy_update(k, beta1, beta2) for k in range(31)]
    close(steps, expected)


@both
@breaks(distort_update=lambda t, u, _theta: u if t == 1 else 0 * u)
def test_p17_total_travel_is_6_0055_and_a_coordinate_without_gradients_rests(
    implementation: Implementation,
) -> None:
    run = implementation.follow([[5.0, 0.0]] + [[0.0, 0.0]] * 400, lr=1.0)
    assert -run.theta[-1, 0] == pytest.approx(6.0055, abs=1e-4)
    assert theory.lazy_travel() == pytest.approx(6.0055, abs=1e-4)
    close(-run.updates[:4, 0], [1, 0.670, 0.518, 0.424], atol=5e-4)
    assert not run.theta[:, 1].any()
    with np.errstate(invalid="ignore"):
        assert np.isnan(implementation.follow([0.0], lr=1.0, eps=0.0).theta[-1])


# Noise


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
    assert theory.memory(0.9) == pytest.approx(19)
    assert theory.memory(0.999) == pytest.approx(1999)
    assert theory.memory(0.999) == pytest.approx(theory.radam_rho())
    assert theory.mean_variance(10**6, 0.9) == pytest.approx(1 / 19)


@pytest.mark.equation("theory-white-noise")
@both
@breaks(distort_update=lambda _t, u, _theta: 1.1 * u)
def test_p19_steps_on_noise_have_rms_0_23_whatever_its_size(
    implementation: Implementation,
) -> None:
    rng, sigma = np.random.default_rng(0), np.repeat([1e-3, 1.0, 1e3], 500)
    run = implementation.run(
        "adam", lambda _t, _x: sigma * rng.standard_normal(1500), np.zeros(1500), 3000, lr=1.0
    )
    for block in np.split(run.updates[2000:], 3, axis=1):
        assert np.sqrt((block**2).mean()) == pytest.approx(0.2294, rel=0.015)
    assert theory.white_noise_rms() == pytest.approx(0.2294, abs=1e-4)


# Weight decay


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
            "adamw", lambda t, _x: g[t - 1], np.ones(g.shape[1]), len(g), weight_decay=decay
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
        lambda _t, _x: rng.standard_normal(1000),
        np.zeros(1000),
        9000,
        lr=0.01,
        weight_decay=0.1,
    )
    expected = theory.equilibrium_rms(0.01, 0.1)
    assert expected == pytest.approx(0.2236, abs=1e-4)
    assert np.sqrt((run.theta[4000:] ** 2).mean()) == pytest.approx(expected, rel=0.03)


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
    assert np.abs(run.theta).max() <= max(abs(start), longest / weight_decay) * (1 + 1e-9)


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


# Variants


@both
@breaks(override={"rule": "adam"})
@given(tables, beta1s, beta2s)
def test_p24_denominator_of_amsgrad_never_falls(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    table = np.concatenate([g, 1e-6 * g])
    run = implementation.follow(table, "amsgrad", beta1=beta1, beta2=beta2)
    assert np.all(np.diff(run.v_max, axis=0) >= 0)
    assert np.all(run.v_max >= run.v)


@both
@breaks(distort_gradient=lambda t, g: g / t**3)
@given(st.floats(1, 2), beta1s, beta2s, st.integers(2, 30))
def test_p24_amsgrad_is_adam_while_v_does_not_fall(
    implementation: Implementation, ratio: float, beta1: float, beta2: float, t: int
) -> None:
    g = ratio ** np.arange(t)
    betas: dict[str, Any] = {"beta1": beta1, "beta2": beta2}
    np.testing.assert_array_equal(
        implementation.follow(g, "amsgrad", **betas).theta,
        implementation.follow(g, "adam", **betas).theta,
    )


@follows(radam_rho=lambda t=None, beta2=0.999: 2 / (1 - beta2) - (1 if t is None else 1 + 1 / t))
@given(st.floats(0.7, 0.9999), st.integers(1, 3000))
def test_p25_rho_rises_from_one_and_the_rectification_is_a_share(beta2: float, t: int) -> None:
    rho_inf, rho = theory.radam_rho(None, beta2), theory.radam_rho(t, beta2)
    assert theory.radam_rho(1, beta2) == pytest.approx(1, abs=1e-6)
    assert rho <= rho_inf * (1 + 1e-9)
    if rho < rho_inf * (1 - 1e-6):
        assert theory.radam_rho(t + 1, beta2) > rho
    if rho > 4 and rho_inf > 4.5:
        assert 0 < theory.radam_rectification(t, beta2) <= 1 + 1e-9


@both
@breaks(distort_update=lambda t, u, _theta: u * (0.5 if t == 6 else 1))
def test_p25_first_adaptive_step_of_radam_is_the_sixth(implementation: Implementation) -> None:
    steps = -implementation.follow([7.0] * 2000, "radam", lr=1.0, eps=0.0).updates
    close(steps[:5], [7.0] * 5)
    for t in (6, 100, 1000, 2000):
        close(steps[t - 1], theory.radam_rectification(t))
    close([steps[i - 1] for i in (6, 100, 1000, 2000)], [0.0258, 0.215, 0.645, 0.828], atol=6e-4)


@both
@breaks(distort_update=lambda t, u, _theta: u * (1 + t * 1e-6))
@given(tables, beta2s)
def test_p26_nadam_without_momentum_is_adam_without_momentum(
    implementation: Implementation, g: Array, beta2: float
) -> None:
    first = implementation.follow(g, "nadam", beta1=0.0, beta2=beta2, lr=0.1)
    second = REFERENCE.follow(g, "adam", beta1=0.0, beta2=beta2, lr=0.1)
    close(first.theta, second.theta, rtol=1e-12)


# Scaling, half-lives, stability


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
            np.full(4000, 0.5),
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
    # A huge eps holds the denominator still.
    def size(factor: float, beta1: float) -> tuple[float, float]:
        lr = factor * theory.stability_limit(beta1)
        run = implementation.run(
            "adam", lambda _t, x: x, np.array([1.0]), 6000, lr=lr * 1e9, eps=1e9, beta1=beta1
        )
        return float(np.abs(run.theta[-50:]).max()), float(np.abs(run.theta).max())

    for beta1 in (0.0, 0.5, 0.9):
        assert size(0.997, beta1)[0] < 1e-2
        # In the end the denominator grows too; what counts is that the point left.
        assert size(1.003, beta1)[1] > 1e2
    assert theory.stability_limit(0.9) == pytest.approx(38)


# Around the rule


@follows(temporal_average=lambda state, theta, beta2=0.999: (state, (1 - beta2) * theta))
@given(numbers, beta2s)
def test_p30_average_of_a_constant_is_the_constant(theta: float, beta2: float) -> None:
    state = None
    for _ in range(15):
        state, average = reference.temporal_average(state, np.array(theta), beta2=beta2)
        close(average, theta, atol=0)


@both
@breaks(distort_gradient=lambda _t, g: g**3)
def test_p31_mean_of_micro_batches_is_one_step_of_the_whole_batch(
    implementation: Implementation,
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
    gradient: Any = lambda theta, rows: 2 * x[rows].T @ (x[rows] @ theta - y[rows]) / len(x[rows])
    whole = implementation.run(
        "adam", lambda _t, theta: gradient(theta, slice(0, 12)), np.ones(3), 5, lr=0.1
    ).theta[-1]
    parts = [slice(0, 4), slice(4, 8), slice(8, 12)]
    accumulated = implementation.run(
        "adam",
        lambda _t, theta: sum(gradient(theta, rows) for rows in parts) / 3,
        np.ones(3),
        5,
        lr=0.1,
    ).theta[-1]
    separate = implementation.run(
        "adam", lambda t, theta: gradient(theta, parts[(t - 1) % 3]), np.ones(3), 15, lr=0.1
    ).theta[-1]
    close(accumulated, whole)
    assert np.abs(separate - whole).max() > 0.1
    # One step of a linear rule is the mean of the steps; one of Adam is not.
    first = implementation.run(
        "adam", lambda _t, theta: gradient(theta, parts[0]), np.ones(3), 1, lr=0.1, eps=0.0
    ).updates[0]
    close(np.abs(first), [0.1] * 3)
    close(np.abs(whole - 1).max() <= 0.5 + 1e-9, 1)
    linear = implementation.run(
        "adam", lambda _t, theta: gradient(theta, parts[0]), np.ones(3), 1, lr=1e8, eps=1e9
    ).updates[0]
    close(linear, -0.1 * gradient(np.ones(3), parts[0]), rtol=1e-6)


@in_optim
@breaks(distort_gradient=lambda _t, g: np.abs(g))
@given(tables, st.sampled_from(["adam", "adamax", "nadam", "radam", "adabelief"]))
def test_p32_maximize_is_the_step_of_the_negative_gradient(
    implementation: Implementation, g: Array, rule: str
) -> None:
    np.testing.assert_array_equal(
        implementation.follow(g, rule, lr=0.1, maximize=True).theta,
        implementation.follow(-g, rule, lr=0.1).theta,
    )


@in_optim
@breaks(distort_gradient=lambda _t, g: g + g[0])
@given(tables)
def test_p33_two_groups_with_equal_settings_are_one_group(
    implementation: Implementation, g: Array
) -> None:
    columns = [torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(g.shape[1])]
    groups = [{"params": columns[:1]}, {"params": columns[1:]}]
    optimizer = optim.Adam(groups, lr=0.1)
    for row in g:
        for parameter, value in zip(columns, row, strict=True):
            parameter.grad = torch.tensor([value], dtype=torch.float64)
        optimizer.step()
    one = implementation.follow(g, lr=0.1).theta[-1]
    np.testing.assert_array_equal([parameter.item() for parameter in columns], one)


@both
@breaks(distort_update=lambda t, u, _theta: u * (1 + 0.1 / t))
@given(tables, st.integers(1, 20), beta1s, beta2s)
def test_p34_run_that_is_saved_and_resumed_is_the_uninterrupted_run(
    implementation: Implementation, g: Array, k: int, beta1: float, beta2: float
) -> None:
    assume(k < len(g))
    betas: dict[str, Any] = {"lr": 0.1, "beta1": beta1, "beta2": beta2}
    whole = implementation.follow(g, **betas)
    first = implementation.follow(g[:k], **betas)
    rest = implementation.run(
        "adam",
        lambda t, _x: g[k + t - 1],
        first.theta[-1],
        len(g) - k,
        resume=first.resume,
        **betas,
    )
    np.testing.assert_array_equal(rest.theta[-1], whole.theta[-1])


@in_reference
@breaks(distort_update=scaled)
def test_p34_forgetting_t_makes_the_next_step_0_316_times_as_long(
    implementation: Implementation,
) -> None:
    warm = implementation.follow([1.0] * 20_000, lr=1.0, eps=0.0)
    forgotten = warm.resume._replace(t=0)
    step = implementation.run(
        "adam", lambda _t, _x: 1.0, warm.theta[-1], 1, resume=forgotten, lr=1.0, eps=0.0
    ).updates[0]
    expected = theory.bias_correction(0.9, 1) ** -1 * math.sqrt(theory.bias_correction(0.999, 1))
    assert -step == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.316, abs=1e-3)


@in_optim
@breaks(distort_gradient=lambda _t, g: g + g[0])
@given(tables)
def test_p35_complex_parameter_is_two_real_ones(implementation: Implementation, g: Array) -> None:
    g = g[:, :2]
    parameter = torch.nn.Parameter(torch.zeros((), dtype=torch.complex128))
    optimizer = optim.Adam([parameter], lr=0.1)
    for real, imaginary in g:
        parameter.grad = torch.complex(
            torch.tensor(real).double(), torch.tensor(imaginary).double()
        )
        optimizer.step()
    parts = torch.view_as_real(parameter.detach()).numpy()
    np.testing.assert_array_equal(parts, implementation.follow(g, lr=0.1).theta[-1])


def test_p35_the_reference_refuses_complex_gradients() -> None:
    with pytest.raises(TypeError, match="values must be real, got complex128"):
        reference.adam(None, np.array([1 + 1j]))


# Every law can fail


def name_of(pair: tuple[Law, dict[str, Any]]) -> str:
    return pair[0].__name__.removeprefix("test_")


def stop_at_first_failure(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is wanted here, not its smallest example, which takes long to find."""
    name = "_hypothesis_internal_use_settings"
    if hasattr(law, name):
        phases = [Phase.explicit, Phase.generate]
        monkeypatch.setattr(law, name, settings(parent=getattr(law, name), phases=phases))


@pytest.mark.parametrize("pair", BROKEN, ids=name_of)
def test_each_law_fails_on_a_broken_rule(
    pair: tuple[Law, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    law, distortion = pair
    stop_at_first_failure(law, monkeypatch)
    if "replaced" in distortion:
        for name, function in distortion["replaced"].items():
            monkeypatch.setattr(theory if hasattr(theory, name) else reference, name, function)
        with pytest.raises(AssertionError):
            law()
        return
    marks = [mark for mark in law.pytestmark if mark.args[0] == "implementation"]  # type: ignore[attr-defined]
    for whole in marks[0].args[1]:
        with pytest.raises(AssertionError):
            law(implementation=Implementation(whole.name, **distortion))
