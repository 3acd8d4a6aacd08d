"""The equations of gradient descent: step-size limit, ravines, noise, units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional

from adam_tutorial import theory
from adam_tutorial._types import Array
from adam_tutorial.reference import gradient_descent, trajectory
from adam_tutorial.study import networks
from adam_tutorial.study.curvature import power_iteration

curvatures = st.floats(0.1, 10)
shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 10_000)


def symmetric(eigenvalues: Array, seed: int) -> tuple[Array, Array]:
    """A matrix with these eigenvalues, and its eigenvectors as columns."""
    normal = np.random.default_rng(seed).standard_normal(
        (len(eigenvalues), len(eigenvalues))
    )
    q, _ = np.linalg.qr(normal)
    return (q * eigenvalues) @ q.T, q


@pytest.mark.equation("hurts-parabola")
@given(curvatures, st.floats(0.001, 1), st.floats(-5, 5), st.integers(0, 20))
def test_step_on_a_parabola_multiplies_by_one_minus_lr_times_curvature(
    h: float, lr: float, start: float, t: int
) -> None:
    path = trajectory(gradient_descent, lambda x: h * x, start, t, lr=lr)
    np.testing.assert_allclose(
        path[-1], (1 - lr * h) ** t * start, rtol=1e-9, atol=1e-12
    )


@pytest.mark.equation("hurts-limit")
@given(curvatures, shares)
def test_parabola_is_stable_exactly_below_two_over_the_curvature(
    h: float, share: float
) -> None:
    limit = theory.step_limit(h)
    assert limit == pytest.approx(2 / h)
    stable = trajectory(gradient_descent, lambda x: h * x, 1.0, 50, lr=share * limit)
    # The middle of the range leads to the minimum in one step, and stays there.
    assert np.all((np.diff(abs(stable)) < 0) | (stable[1:] == 0))
    unstable = trajectory(
        gradient_descent, lambda x: h * x, 1.0, 50, lr=(1 + share) * limit
    )
    assert np.all(np.diff(abs(unstable)) > 0)


@pytest.mark.equation("hurts-eigen")
@given(st.lists(curvatures, min_size=2, max_size=5), st.floats(0.01, 0.5), seeds)
def test_part_along_an_eigenvector_follows_its_own_parabola(
    eigenvalues: list[float], lr: float, seed: int
) -> None:
    hessian, q = symmetric(np.array(eigenvalues), seed)
    start = np.random.default_rng(seed + 1).standard_normal(len(eigenvalues))
    path = trajectory(gradient_descent, lambda x: hessian @ x, start, 8, lr=lr)
    parts = path @ q
    expected = (1 - lr * np.array(eigenvalues)) * parts[:-1]
    np.testing.assert_allclose(
        parts[1:], expected, rtol=1e-8, atol=1e-8 * abs(parts).max()
    )


@pytest.mark.equation("hurts-product")
@given(seeds)
def test_hessian_times_vector_is_the_derivative_of_the_gradient_along_it(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((7, 4)), rng.integers(0, 3, 7)
    parameters = networks.initialise((4, 5, 6, 3), rng)
    direction = [rng.standard_normal(p.shape) for p in parameters]
    product = networks.hessian_vector_product(parameters, direction, x, y)

    # torch differentiates the gradient along the direction; no formula of ours is in
    # it.
    leaves = [torch.tensor(p, requires_grad=True) for p in parameters]
    h = torch.tensor(x)
    for layer in range(0, 6, 2):
        h = h @ leaves[layer] + leaves[layer + 1]
        h = torch.relu(h) if layer < 4 else h
    loss = functional.cross_entropy(h, torch.tensor(y))
    gradient = torch.autograd.grad(loss, leaves, create_graph=True)
    along = sum(
        (g * torch.tensor(d)).sum() for g, d in zip(gradient, direction, strict=True)
    )
    assert isinstance(along, torch.Tensor)
    for ours, theirs in zip(product, torch.autograd.grad(along, leaves), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.equation("hurts-power")
@given(st.lists(curvatures, min_size=2, max_size=5), seeds)
def test_power_iteration_finds_the_largest_eigenvalue(
    eigenvalues: list[float], seed: int
) -> None:
    ordered = np.sort(eigenvalues)
    assume(ordered[-2] < 0.9 * ordered[-1])
    hessian, q = symmetric(ordered, seed)
    start = np.random.default_rng(seed + 1).standard_normal(len(ordered))
    assume(abs(q[:, -1] @ start) > 1e-3)
    value, vector = power_iteration(lambda v: hessian @ v, start, iterations=150)
    v = start
    for _ in range(150):
        v = hessian @ v / np.linalg.norm(hessian @ v)
    np.testing.assert_allclose(vector, v, atol=1e-9)
    assert value == pytest.approx(ordered[-1], rel=1e-8)
    assert v @ hessian @ v == pytest.approx(ordered[-1], rel=1e-8)


@pytest.mark.equation("hurts-rate")
@given(
    curvatures,
    st.floats(1, 100),
    st.lists(st.floats(0, 1), max_size=3),
    st.floats(0.01, 3),
)
def test_best_constant_step_has_the_rate_kappa_minus_one_over_kappa_plus_one(
    smallest: float, kappa: float, between: list[float], other: float
) -> None:
    largest = smallest * kappa
    inner = [smallest + share * (largest - smallest) for share in between]
    all_of_them = [smallest, *inner, largest]
    lr, rate = theory.best_descent(smallest, largest)
    assert lr == pytest.approx(2 / (smallest + largest))
    assert rate == pytest.approx((kappa - 1) / (kappa + 1), abs=1e-12)
    factors = [abs(1 - lr * h) for h in all_of_them]
    assert max(factors) == pytest.approx(rate, abs=1e-12)
    assert theory.descent_rate(lr, all_of_them) == pytest.approx(rate, abs=1e-12)
    # No other learning rate does better.
    assert max(abs(1 - other * lr * h) for h in all_of_them) >= rate - 1e-12


@pytest.mark.equation("hurts-digit")
@given(st.floats(1.01, 1e5))
def test_a_digit_costs_at_most_1_15_kappa_steps(kappa: float) -> None:
    _, rate = theory.best_descent(1.0, kappa)
    n = np.log(10) / np.log((kappa + 1) / (kappa - 1))
    assert theory.steps_per_digit(rate) == pytest.approx(n, rel=1e-6)
    assert rate**n == pytest.approx(0.1, rel=1e-6)
    assert n <= np.log(10) / 2 * kappa * (1 + 1e-9)
    assert np.log(10) / 2 == pytest.approx(1.15, abs=0.002)
    if kappa > 100:  # the bound is nearly the number itself
        assert n == pytest.approx(np.log(10) / 2 * kappa, rel=1e-3)


@pytest.mark.equation("hurts-softmax")
@given(st.integers(2, 5), seeds)
def test_hessian_of_softmax_regression_at_zero_is_a_kronecker_product(
    classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n, inputs = 9, 3
    x, y = rng.standard_normal((n, inputs)), rng.integers(0, classes, n)
    zero = [np.zeros((inputs, classes)), np.zeros(classes)]
    identity = np.eye((inputs + 1) * classes)
    columns = [
        networks.hessian_vector_product(zero, networks.unflatten(e, zero), x, y)
        for e in identity
    ]
    measured = np.array([networks.flatten(column) for column in columns])
    ones = np.column_stack([x, np.ones(n)])
    of_classes = (np.eye(classes) - np.ones((classes, classes)) / classes) / classes
    # Parameter (j, k) has the index j * classes + k, the offsets as the last row.
    np.testing.assert_allclose(
        measured, np.kron(ones.T @ ones / n, of_classes), atol=1e-12
    )
    eigenvalues = np.linalg.eigvalsh(of_classes)
    np.testing.assert_allclose(
        eigenvalues, [0.0] + [1 / classes] * (classes - 1), atol=1e-12
    )


@pytest.mark.equation("hurts-batch")
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=4), st.integers(1, 3))
def test_mean_of_a_batch_has_the_variance_of_one_over_the_batch_size(
    values: list[float], batch: int
) -> None:
    # All batches that can be drawn from these values, each as likely as the others.
    grids = np.meshgrid(*[np.array(values)] * batch)
    means = np.mean(grids, axis=0)
    assert means.var() == pytest.approx(np.var(values) / batch, rel=1e-9, abs=1e-12)


@pytest.mark.equation("hurts-floor")
@given(curvatures, shares, st.floats(0.1, 3), st.floats(-3, 3), st.integers(0, 12))
def test_mean_square_distance_tends_to_the_noise_floor(
    h: float, share: float, sigma: float, start: float, t: int
) -> None:
    lr = share * 2 / h
    floor = lr * sigma**2 / (h * (2 - lr * h))
    assert theory.noise_floor(lr, h, sigma**2) == pytest.approx(floor)
    # Errors of +sigma and -sigma with equal chance: every path can be written down.
    paths = np.array([start])
    for _ in range(t):
        paths = np.concatenate([paths - lr * (h * paths + e) for e in (sigma, -sigma)])
    expected = floor + (1 - lr * h) ** (2 * t) * (start**2 - floor)
    assert (paths**2).mean() == pytest.approx(expected, rel=1e-8)


@pytest.mark.equation("hurts-excess")
def test_excess_loss_is_a_sum_over_directions_and_in_proportion_to_a_small_lr() -> None:
    h, sigma = np.array([0.5, 1.0, 2.0]), np.array([1.0, 0.3, 0.7])
    for lr in (0.5, 0.01):
        exact = sum(
            lr * s**2 / (2 * (2 - lr * c)) for c, s in zip(h, sigma, strict=True)
        )
        of_floors = sum(
            c / 2 * theory.noise_floor(lr, c, s**2)
            for c, s in zip(h, sigma, strict=True)
        )
        assert of_floors == pytest.approx(exact)
        rng = np.random.default_rng(0)
        theta = np.zeros((20_000, 3))
        for _ in range(int(8 / lr)):
            noise = sigma * rng.standard_normal(theta.shape)
            _, update = gradient_descent(None, h * theta + noise, lr=lr)
            theta = theta + update
        measured = (theta**2 @ h / 2).mean()
        assert measured == pytest.approx(exact, rel=0.03)
    assert exact == pytest.approx(0.01 / 4 * (sigma**2).sum(), rel=0.01)


@pytest.mark.equation("hurts-units")
@given(st.floats(0.01, 100), st.floats(-2, 2), st.floats(0.001, 0.1))
def test_units_change_the_slope_by_d_the_curvature_by_d_squared_and_so_the_step(
    d: float, theta: float, lr: float
) -> None:
    def slope(x: float) -> float:
        return float(np.cos(x) + x**3)  # of f(x) = sin x + x^4 / 4

    def curvature(x: float) -> float:
        return float(-np.sin(x) + 3 * x**2)

    def f(phi: Array) -> float:
        return float(np.sin(d * phi[0]) + (d * phi[0]) ** 4 / 4)

    phi = theta / d
    nudge = 1e-5 / d
    measured = networks.finite_difference(f, np.array([phi]), delta=nudge)[0]
    assert measured == pytest.approx(d * slope(theta), rel=1e-5, abs=1e-5 * d)
    around = [
        networks.finite_difference(f, np.array([phi + s]), delta=nudge)[0]
        for s in (-nudge, nudge)
    ]
    second = (around[1] - around[0]) / (2 * nudge)
    assert second == pytest.approx(d**2 * curvature(theta), rel=1e-2, abs=1e-2 * d**2)
    _, update = gradient_descent(None, d * slope(theta), lr=lr)
    assert d * (phi + update) == pytest.approx(
        theta - lr * d**2 * slope(theta), rel=1e-9, abs=1e-9
    )
