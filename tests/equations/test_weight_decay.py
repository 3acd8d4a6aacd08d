"""The equations of weight decay.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial import theory
from adam_tutorial._types import Array, Float64Array
from adam_tutorial.optim import AdamW
from adam_tutorial.reference import (
    adam,
    adam_l2,
    adamw,
    gradient_descent,
    trajectory,
    walk,
)
from adam_tutorial.study.networks import finite_difference

numbers = st.floats(-10, 10)
positive = st.floats(1e-3, 10)
shares = st.floats(1e-4, 0.5)


# Why weights are shrunk


@pytest.mark.equation("decay-penalised")
@given(numbers, positive)
def test_penalised_guess_has_the_least_loss(y: float, penalty: float) -> None:
    def loss(theta: Float64Array) -> float:
        return float(0.5 * (theta - y) ** 2 + penalty / 2 * theta**2)

    guess = np.array(y / (1 + penalty))
    assert finite_difference(loss, guess) == pytest.approx(0, abs=1e-5)
    assert all(loss(guess) <= loss(guess + step) for step in np.array([-0.1, 0.1]))


@pytest.mark.equation("decay-best-factor")
@given(st.floats(0.2, 3), st.floats(0.1, 3))
def test_best_factor_has_the_least_expected_error(w: float, sigma: float) -> None:
    # With z = 1 and z = -1, each with probability one half, the expectation is a mean
    # of two.
    def error(c: Float64Array) -> float:
        return float(np.mean([(c * (w + sigma * z) - w) ** 2 for z in (-1, 1)]))

    for c in np.linspace(0, 1.5, 7):
        assert error(c) == pytest.approx(
            (1 - c) ** 2 * w**2 + c**2 * sigma**2, rel=1e-9
        )
    best = np.array(w**2 / (w**2 + sigma**2))
    assert finite_difference(error, best) == pytest.approx(0, abs=1e-7)
    penalty = sigma**2 / w**2
    assert 1 / (1 + penalty) == pytest.approx(float(best))


# Penalty and decay


@pytest.mark.equation("decay-two-rules")
@given(st.integers(0, 10_000), shares, st.floats(1e-3, 1))
def test_penalty_and_decay_are_the_same_for_gradient_descent(
    seed: int, share: float, lr: float
) -> None:
    rng = np.random.default_rng(seed)
    targets, start = rng.standard_normal((10, 3)), rng.standard_normal(3)
    penalised = decayed = start
    theta = torch.nn.Parameter(torch.tensor(start))
    sgd = torch.optim.SGD([theta], lr=lr, weight_decay=share / lr)
    for target in targets:
        _, update = gradient_descent(
            None, penalised - target + share / lr * penalised, lr=lr
        )
        penalised = penalised + update
        decayed = (1 - share) * decayed - lr * (decayed - target)
        theta.grad = theta.detach() - torch.tensor(target)
        sgd.step()
    np.testing.assert_allclose(penalised, decayed, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(theta.detach().numpy(), decayed, rtol=1e-9, atol=1e-12)


vectors = arrays(float, 4, elements=st.floats(-10, 10))
factors = arrays(float, 4, elements=st.floats(0.01, 10))


@pytest.mark.equation("decay-l2-share")
@given(vectors, vectors, factors, st.floats(1e-3, 0.1), st.floats(1e-3, 1))
def test_penalty_takes_a_share_in_proportion_to_the_factor_of_the_coordinate(
    theta: Float64Array, g: Float64Array, p: Float64Array, lr: float, penalty: float
) -> None:
    def loss(x: Float64Array) -> float:
        return float(g @ x + penalty / 2 * (x**2).sum())

    moved = theta - lr * p * finite_difference(loss, theta)
    share = lr * penalty * p
    np.testing.assert_allclose(moved, (1 - share) * theta - lr * p * g, atol=1e-6)


@pytest.mark.equation("decay-scaled-penalty")
@given(vectors, vectors, factors, st.floats(1e-2, 0.1), st.floats(1e-3, 0.1))
def test_scaled_penalty_is_the_decay(
    theta: Float64Array, g: Float64Array, p: Float64Array, lr: float, share: float
) -> None:
    def loss(x: Float64Array) -> float:
        return float(g @ x + share / (2 * lr) * (x**2 / p).sum())

    moved = theta - lr * p * finite_difference(loss, theta)
    np.testing.assert_allclose(moved, (1 - share) * theta - lr * p * g, atol=1e-5)


@pytest.mark.equation("decay-two-parameters")
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_penalty_decays_slowly_where_gradients_are_large_and_decay_does_not_care(
    sigma: float,
) -> None:
    rng, steps, lr, penalty, decay = np.random.default_rng(0), 1000, 0.01, 0.02, 0.1

    def noise(theta: Array) -> Array:
        return sigma * rng.standard_normal(theta.shape)

    l2 = trajectory(adam_l2, noise, np.ones(4000), steps, lr=lr, weight_decay=penalty)
    decoupled = trajectory(
        adamw, noise, np.ones(4000), steps, lr=lr, weight_decay=decay
    )
    assert l2[-1].mean() == pytest.approx(
        (1 - lr * penalty / sigma) ** steps, abs=0.015
    )
    assert decoupled[-1].mean() == pytest.approx((1 - lr * decay) ** steps, abs=0.015)


@pytest.mark.equation("decay-l2-sign")
@given(
    numbers.filter(lambda x: abs(x) > 1e-3),
    st.floats(1e-4, 10),
    st.floats(1e-4, 10),
    shares,
)
def test_penalty_alone_moves_by_the_learning_rate_whatever_its_strength(
    start: float, one: float, other: float, lr: float
) -> None:
    paths = [
        trajectory(
            adam_l2, lambda _: 0.0, start, 30, lr=lr, weight_decay=penalty, eps=0.0
        )
        for penalty in (one, other)
    ]
    assert paths[0][1] - start == pytest.approx(-lr * np.sign(start), rel=1e-9)
    assume(
        np.abs(paths[0]).min() > 1e-6
    )  # At zero, the sign is one of rounding errors.
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-6, atol=1e-9)


# AdamW


rates = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@pytest.mark.equation("decay-product")
@given(rates, st.floats(0, 0.99), numbers)
def test_what_is_left_of_a_parameter_is_the_product_over_the_schedule(
    lrs: list[float], decay: float, start: float
) -> None:
    theta = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = AdamW([theta], lr=1.0, weight_decay=decay)
    product = 1.0
    for lr in lrs:
        optimizer.param_groups[0]["lr"] = lr
        theta.grad = torch.zeros_like(theta)
        optimizer.step()
        product *= 1 - lr * decay
    assert theta.item() == pytest.approx(start * product, rel=1e-9, abs=1e-300)
    assert theory.adamw_shrink_factor(lrs, decay) == pytest.approx(product, rel=1e-9)


@pytest.mark.equation("decay-exponential")
@given(rates, st.floats(0, 0.99))
def test_the_product_lies_between_two_exponentials(
    lrs: list[float], decay: float
) -> None:
    product, area = theory.adamw_shrink_factor(lrs, decay), sum(lrs)
    largest = max(lrs) * decay
    assert product <= math.exp(-decay * area) * (1 + 1e-12)
    assert product >= math.exp(-decay / (1 - largest) * area) * (1 - 1e-12)


def test_the_bounds_on_the_product_are_close_for_small_shares() -> None:
    product = theory.adamw_shrink_factor([1e-3] * 10_000, 0.1)
    assert product == pytest.approx(math.exp(-1), rel=1e-3)


@pytest.mark.equation("decay-average")
@given(st.integers(0, 10_000), st.floats(1e-3, 1), st.floats(1e-2, 0.99), numbers)
def test_a_weight_is_the_moving_average_of_the_steps_divided_by_the_decay(
    seed: int, lr: float, decay: float, start: float
) -> None:
    gradients = np.random.default_rng(seed).standard_normal(12)
    path = walk(adamw, gradients, start, lr=lr, weight_decay=decay).points
    steps = walk(adam, gradients, lr=1.0).updates
    kept = 1 - lr * decay
    average = kept**12 * start + lr * decay * sum(
        kept ** (12 - i) * u / decay for i, u in enumerate(steps, start=1)
    )
    assert float(path[-1]) == pytest.approx(average, rel=1e-9, abs=1e-12)


@pytest.mark.equation("decay-box")
@given(
    st.integers(0, 10_000), st.floats(0.5, 5), st.floats(-3, 3), st.floats(0.01, 0.2)
)
def test_a_weight_stays_in_the_box(
    seed: int, decay: float, start: float, lr: float
) -> None:
    rng = np.random.default_rng(seed)
    gradients = rng.standard_normal(40) * 10 ** rng.uniform(-3, 3, 40)
    path = walk(adamw, gradients, start, lr=lr, weight_decay=decay, eps=0.0).points
    longest = max(theory.step_supremum(t) for t in range(1, 41))
    assert np.abs(path).max() <= max(abs(start), longest / decay) * (1 + 1e-9)


def test_growing_gradients_fill_the_box_and_leave_a_box_of_one_over_lambda() -> None:
    # The supremum of a step is approached after some 1/(1 - beta2) steps.
    beta1, beta2, decay = 0.9, 0.99, 0.5
    path = walk(
        adamw,
        1e-60 * (beta2 / beta1) ** np.arange(1, 2001),
        lr=0.1,
        beta1=beta1,
        beta2=beta2,
        weight_decay=decay,
        eps=0.0,
    ).points
    box = theory.step_supremum(None, beta1, beta2) / decay
    assert abs(path[-1]) == pytest.approx(box, rel=1e-6)
    assert abs(path[-1]) > 2 / decay


# Equilibrium


def settled(
    gradient: Callable[[Array, Array], Array],
    *,
    steps: int = 6000,
    start: float = 0.0,
    size: int = 3000,
    rule: Callable[..., tuple[Any, Any]] = adamw,
    **hyperparameters: Any,
) -> Array:
    """Return the points of many weights over the second half of a run on noise."""
    rng = np.random.default_rng(0)
    path = trajectory(
        rule,
        lambda theta: gradient(theta, rng.standard_normal(size)),
        np.full(size, start),
        steps,
        **hyperparameters,
    )
    return path[steps // 2 :: 10]


def rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


@pytest.mark.equation("decay-approach")
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_the_mean_square_approaches_its_equilibrium_by_the_square_of_the_share_left(
    start: float,
) -> None:
    rng, lr, decay = np.random.default_rng(0), 0.005, 0.2
    path = trajectory(
        adamw,
        lambda theta: 7 * rng.standard_normal(theta.shape),
        np.full(4000, start),
        1500,
        lr=lr,
        weight_decay=decay,
    )
    for t in (200, 500, 1000, 1500):
        left = (1 - lr * decay) ** (2 * t)
        square = left * start**2 + (1 - left) * lr / (decay * (2 - lr * decay))
        assert rms(path[t]) == pytest.approx(math.sqrt(square), rel=0.05)
        assert theory.rms_after(t, lr, decay, start) == pytest.approx(
            math.sqrt(square), rel=1e-3
        )


@pytest.mark.equation("decay-equilibrium")
@pytest.mark.parametrize(
    ("lr", "decay", "sigma"), [(0.01, 0.1, 1e-3), (0.005, 0.4, 50.0)]
)
def test_weights_on_noise_come_to_the_root_of_lr_over_two_lambda(
    lr: float, decay: float, sigma: float
) -> None:
    found = rms(settled(lambda _, z: sigma * z, lr=lr, weight_decay=decay))
    assert found == pytest.approx(math.sqrt(lr / (2 * decay)), rel=0.03)


@pytest.mark.equation("decay-equilibrium-exact")
@settings(max_examples=30, deadline=None)
@given(st.floats(0, 0.95), st.floats(0.02, 1.9), st.floats(1e-3, 1))
def test_exact_equilibrium_is_the_sum_of_the_squared_effects_of_all_gradients(
    beta1: float, share: float, lr: float
) -> None:
    # The effect of one gradient of size 1 on theta, step after step, with v held at 1.
    kept, m, theta, total = 1 - share, 0.0, 0.0, 0.0
    for t in range(3000):
        m = beta1 * m + (1 - beta1) * (t == 0)
        theta = kept * theta - lr * m
        total += theta**2
    formula = (
        lr**2
        * (1 - beta1)
        / (1 + beta1)
        * (1 + kept * beta1)
        / ((1 - kept * beta1) * (1 - kept**2))
    )
    assert total == pytest.approx(formula, rel=1e-6)
    assert theory.noise_equilibrium_rms(lr, share / lr, beta1) ** 2 == pytest.approx(
        formula, rel=1e-9
    )


@pytest.mark.parametrize("decay", [1.0, 5.0, 12.0])
def test_exact_equilibrium_is_that_of_adamw_where_the_simple_one_is_wrong(
    decay: float,
) -> None:
    found = rms(settled(lambda _, z: z, lr=0.1, weight_decay=decay, steps=4000))
    assert found == pytest.approx(theory.noise_equilibrium_rms(0.1, decay), rel=0.02)
    assert found < 0.8 * theory.equilibrium_rms(0.1, decay)


@pytest.mark.equation("decay-signal")
@pytest.mark.parametrize("rho", [0.02, -0.1])
def test_signal_in_the_gradient_adds_rho_over_lambda(rho: float) -> None:
    lr, decay, mu = 0.01, 0.2, rho / math.sqrt(1 - rho**2)
    theta = settled(lambda _, z: 3 * (mu + z), lr=lr, weight_decay=decay)
    assert theta.mean() == pytest.approx(-rho / decay, rel=0.04)
    square = rho**2 / decay**2 + (1 - rho**2) * lr / (2 * decay)
    assert rms(theta) == pytest.approx(math.sqrt(square), rel=0.03)


@pytest.mark.equation("decay-pull")
@pytest.mark.parametrize(("h", "sigma"), [(0.1, 1.0), (0.5, 4.0)])
def test_loss_that_pulls_is_a_second_decay(h: float, sigma: float) -> None:
    lr, decay, minimum = 0.01, 0.1, 1.0
    theta = settled(
        lambda x, z: h * (x - minimum) + sigma * z, lr=lr, weight_decay=decay
    )
    assert theta.mean() == pytest.approx(h * minimum / (h + decay * sigma), rel=0.03)
    spread = math.sqrt(lr / (2 * (decay + h / sigma)))
    assert theta.std() == pytest.approx(spread, rel=0.04)


def test_penalty_comes_to_a_size_that_grows_with_the_root_of_the_noise() -> None:
    for sigma in (0.1, 0.4):

        def noise(_theta: Array, z: Array, sigma: float = sigma) -> Array:
            return sigma * z

        theta = settled(noise, rule=adam_l2, lr=0.02, weight_decay=0.05)
        assert rms(theta) == pytest.approx(
            math.sqrt(0.02 * sigma / (2 * 0.05)), rel=0.04
        )


@pytest.mark.equation("decay-orthogonal")
@given(vectors.filter(lambda w: np.abs(w).max() > 0.1), st.integers(0, 10_000))
def test_gradient_of_a_loss_that_does_not_see_the_length_is_at_a_right_angle(
    w: Float64Array, seed: int
) -> None:
    a, b = np.random.default_rng(seed).standard_normal((2, 4))

    def loss(x: Float64Array) -> float:
        direction = x / np.linalg.norm(x)
        return float(np.sin(a @ direction) + (b @ direction) ** 2)

    assert loss(3 * w) == pytest.approx(loss(w), abs=1e-12)
    gradient = finite_difference(loss, w, delta=1e-6)
    assert w @ gradient == pytest.approx(0, abs=1e-6)


@pytest.mark.equation("decay-turn")
def test_angle_of_a_step_at_equilibrium_is_the_root_of_twice_the_product() -> None:
    rng, beta1 = np.random.default_rng(0), 0.9
    for lr, decay in ((0.01, 0.2), (0.04, 0.05)):
        path = trajectory(
            adamw,
            lambda theta: rng.standard_normal(theta.shape),
            math.sqrt(lr / (2 * decay)) * rng.standard_normal(3000),
            2500,
            lr=lr,
            weight_decay=decay,
        )
        before, after = path[-300:-1], path[-299:]
        cosine = (before * after).sum(axis=1) / (
            np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        )
        expected = math.sqrt((1 - beta1) / (1 + beta1)) * math.sqrt(2 * lr * decay)
        assert np.arccos(cosine).mean() == pytest.approx(expected, rel=0.03)


def test_angle_of_many_steps_is_longer_than_a_random_walk_of_single_ones() -> None:
    rng, lr, decay, steps = np.random.default_rng(0), 0.01, 0.02, 300
    path = trajectory(
        adamw,
        lambda theta: rng.standard_normal(theta.shape),
        math.sqrt(lr / (2 * decay)) * rng.standard_normal(3000),
        3000,
        lr=lr,
        weight_decay=decay,
    )
    before, after = path[2000:-steps], path[2000 + steps :]
    cosine = (before * after).sum(axis=1) / (
        np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    )
    assert np.arccos(cosine).mean() == pytest.approx(
        math.sqrt(2 * lr * decay * steps), rel=0.05
    )


# Libraries and other learning rates


@pytest.mark.equation("decay-share")
@given(
    st.floats(1e-3, 0.5),
    st.floats(1e-3, 1),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_share_is_lr_times_decay_in_torch_and_the_decay_alone_in_the_paper(
    lr: float, decay: float, multipliers: list[float]
) -> None:
    theta = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([theta], lr=lr, weight_decay=decay)
    state, paper = None, np.ones(1)
    for eta in multipliers:
        before = theta.item()
        optimizer.param_groups[0]["lr"] = eta * lr
        theta.grad = torch.zeros_like(theta)
        optimizer.step()
        assert 1 - theta.item() / before == pytest.approx(
            eta * lr * decay, rel=1e-9, abs=1e-14
        )
        # Line 12 of the paper's algorithm 2, with its lambda.
        state, update = adam(state, np.zeros(1), lr=eta * lr)
        paper = paper + update - eta * (lr * decay) * paper
        assert paper[0] == pytest.approx(theta.item(), rel=1e-12)


@pytest.mark.equation("decay-move")
@given(st.floats(1e-4, 1), st.floats(1e-4, 1), st.floats(1e-4, 1))
def test_decay_for_another_learning_rate_keeps_memory_or_size(
    lr: float, decay: float, new: float
) -> None:
    kept = theory.adamw_shrink_factor([lr], decay)
    assert theory.adamw_shrink_factor([new], decay * lr / new) == pytest.approx(
        kept, rel=1e-12
    )
    size = theory.equilibrium_rms(lr, decay)
    assert theory.equilibrium_rms(new, decay * new / lr) == pytest.approx(
        size, rel=1e-9
    )


@pytest.mark.equation("decay-epochs")
def test_after_the_memory_in_epochs_a_share_of_one_over_e_is_left() -> None:
    batch, examples, lr, decay = 10, 1000, 0.01, 0.05
    epochs = batch / (lr * decay * examples)
    steps = round(epochs * examples / batch)
    assert theory.adamw_shrink_factor([lr] * steps, decay) == pytest.approx(
        math.exp(-1), rel=1e-3
    )


# The closed forms


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("form", [theory.equilibrium_rms, theory.noise_equilibrium_rms])
def test_equilibrium_of_numbers_that_are_not_positive_is_refused_by_name(
    form: Callable[..., float], name: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive and finite, got"):
        form(**{"lr": 0.1, "weight_decay": 0.1, name: value})


def test_there_is_no_equilibrium_from_a_share_of_two_on() -> None:
    with pytest.raises(
        ValueError, match=r"lr \* weight_decay must be less than 2, got 2\.0"
    ):
        theory.noise_equilibrium_rms(1.0, 2.0)


def test_decay_rate_of_the_equilibrium_is_checked() -> None:
    with pytest.raises(ValueError, match=r"beta1 must be in \[0, 1\), got 1\.0"):
        theory.noise_equilibrium_rms(0.1, 0.1, 1.0)


def test_steps_to_the_equilibrium_are_not_negative() -> None:
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        theory.rms_after(-1, 0.1, 0.1)
    assert theory.rms_after(0, 0.1, 0.1, 3.0) == 3.0
