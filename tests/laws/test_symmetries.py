"""Laws P1 to P7: what leaves the path of Adam alone, and what does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

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
    few,
    tables,
)


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


@everywhere
@each_rule(lambda case: case.scale_free)
@breaks(distort_gradient=lambda _t, g: g + 0.01)
@few
@given(tables, st.floats(0.1, 0.99), beta2s, st.sampled_from([8.0, 2.0**-9]))
def test_p01_scaling_by_a_power_of_two_changes_no_bit_of_the_path(
    implementation: Implementation,
    rule: str,
    g: Array,
    beta1: float,
    beta2: float,
    c: float,
) -> None:
    free = CASE_OF[rule].only_spelt(lr=0.1, beta1=beta1, beta2=beta2, eps=0.0)
    np.testing.assert_array_equal(
        implementation.follow(g, rule, **free).theta,
        implementation.follow(c * g, rule, **free).theta,
    )


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
    np.testing.assert_array_equal(
        plain, implementation.follow(8 * small, eps=8e-3, **betas).theta
    )
    assert not np.array_equal(
        plain, implementation.follow(8 * small, eps=1e-3, **betas).theta
    )


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
        implementation.run(
            "adam", lambda _, theta: gradient(theta), x, 30, lr=lr, eps=0.0
        ).theta
    )
    plain = run(bowl, start, 0.05)
    stretched = run(lambda x: d * bowl(d * x), start / d, 0.05)
    assert np.abs(d * stretched - plain)[:, 1].max() > 0.05
    # One learning rate for each coordinate, divided by its stretch, walks the same
    # path.
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


@everywhere
@each_rule(lambda case: case.elementwise)
@breaks(distort_update=lambda _t, u, _theta: u * (1 + 0.1 * np.arange(len(u))))
@few
@given(tables, beta1s, beta2s, st.integers(0, 10**6))
def test_p05_permuting_the_coordinates_permutes_the_path(
    implementation: Implementation,
    rule: str,
    g: Array,
    beta1: float,
    beta2: float,
    seed: int,
) -> None:
    order = np.random.default_rng(seed).permutation(g.shape[1])
    assume(not np.array_equal(order, np.arange(g.shape[1])))
    betas = CASE_OF[rule].only_spelt(beta1=beta1, beta2=beta2)
    run: Any = lambda table: implementation.follow(table, rule, **betas).theta
    np.testing.assert_array_equal(run(g)[:, order], run(g[:, order]))


@everywhere
@each_rule(lambda case: case.elementwise)
@breaks(distort_gradient=lambda _t, g: g + 0.1)
@few
@given(tables, beta1s, beta2s)
def test_p06_flipping_the_sign_of_a_coordinate_flips_its_path(
    implementation: Implementation, rule: str, g: Array, beta1: float, beta2: float
) -> None:
    signs = np.array([-1.0, 1.0, -1.0, 1.0])[: g.shape[1]]
    betas = CASE_OF[rule].only_spelt(beta1=beta1, beta2=beta2)
    run: Any = lambda table: implementation.follow(table, rule, **betas).theta
    np.testing.assert_array_equal(signs * run(g), run(signs * g))


@both
@breaks(distort_update=lambda _t, u, _theta: 0.1 * u / np.linalg.norm(u))
@given(st.floats(0.2, 1.3))
def test_p07_turning_the_gradient_does_not_turn_the_step(
    implementation: Implementation, angle: float
) -> None:
    straight = implementation.follow([[1.0, 0.0]], lr=0.1).updates[0]
    close(straight, [-0.1, 0.0], rtol=1e-7)
    turned = implementation.follow(
        [[math.cos(angle), math.sin(angle)]], lr=0.1
    ).updates[0]
    close(turned, [-0.1, -0.1], rtol=1e-6)
    close(np.linalg.norm(turned), 0.1 * math.sqrt(2), rtol=1e-6)
