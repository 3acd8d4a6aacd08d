"""The equations of a loss, its gradient, and gradient descent.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial import reference
from adam_tutorial._types import Float64Array
from adam_tutorial.study import networks


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
