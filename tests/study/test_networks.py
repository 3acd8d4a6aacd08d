from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from adam_tutorial.reference import gradient_descent, momentum
from adam_tutorial.study.networks import (
    accuracy,
    cross_entropy,
    expected_cross_entropy,
    finite_difference,
    flatten,
    hessian_vector_product,
    initialise,
    logits,
    loss_and_gradient,
    softmax,
    train,
    unflatten,
)

Array = NDArray[np.float64]

LOGITS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.floats(-50, 50),
)
SHAPES = st.lists(
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), min_size=1
)

network_sizes = pytest.mark.parametrize(
    "sizes", [(5, 3), (5, 7, 3), (5, 7, 4, 3)], ids=str
)


def problem(sizes: tuple[int, ...]) -> tuple[list[Array], Array, NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    parameters = initialise(sizes, generator)
    for bias in parameters[1::2]:
        bias += 0.1 * generator.standard_normal(bias.shape)
    x = generator.standard_normal((11, sizes[0]))
    return parameters, x, generator.integers(0, sizes[-1], 11)


# Softmax and cross-entropy


@given(LOGITS)
def test_softmax_gives_probabilities_in_the_order_of_the_logits(z: Array) -> None:
    p = softmax(z)
    assert (p > 0).all()
    assert p.sum(axis=1) == pytest.approx(1, rel=1e-12)
    ranked = np.take_along_axis(p, z.argsort(axis=1), axis=1)
    assert (np.diff(ranked, axis=1) >= 0).all()


@given(LOGITS, st.floats(-100, 100))
def test_softmax_and_cross_entropy_ignore_a_constant_added_to_all_logits(
    z: Array, shift: float
) -> None:
    y = np.zeros(len(z), dtype=np.int64)
    assert softmax(z + shift) == pytest.approx(softmax(z), rel=1e-10)
    assert cross_entropy(z + shift, y) == pytest.approx(
        cross_entropy(z, y), rel=1e-10, abs=1e-12
    )


def test_softmax_of_logarithms_is_the_normalised_numbers() -> None:
    assert softmax(np.log([[1.0, 2.0, 5.0]])) == pytest.approx(
        np.array([[0.125, 0.25, 0.625]])
    )


def test_huge_logits_do_not_overflow() -> None:
    z = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]])
    assert softmax(z) == pytest.approx(np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))
    assert cross_entropy(z[:1], np.array([2])) == 2e4
    assert cross_entropy(z[:1], np.array([0])) == 0


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_number_of_classes(
    classes: int,
) -> None:
    labels = np.arange(classes)
    assert cross_entropy(np.full((classes, classes), 7.0), labels) == pytest.approx(
        math.log(classes), rel=1e-12
    )


@given(LOGITS)
def test_cross_entropy_is_the_mean_of_minus_the_log_of_softmax(z: Array) -> None:
    y = np.arange(len(z)) % z.shape[1]
    expected = np.mean(-np.log(softmax(z)[np.arange(len(z)), y]))
    assert cross_entropy(z, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)


# Initialisation


def test_weights_are_scaled_by_the_number_of_inputs_and_biases_are_zero() -> None:
    parameters = initialise((200, 300, 100), np.random.default_rng(0))
    assert [p.shape for p in parameters] == [(200, 300), (300,), (300, 100), (100,)]
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        assert weight.std() == pytest.approx(math.sqrt(2 / len(weight)), rel=0.02)
        assert weight.mean() == pytest.approx(0, abs=0.002)
        assert not bias.any()


def test_scale_replaces_the_standard_deviation_of_every_weight() -> None:
    parameters = initialise((200, 300, 100), np.random.default_rng(0), scale=0.5)
    assert [weight.std() for weight in parameters[::2]] == pytest.approx(
        [0.5, 0.5], rel=0.02
    )


def test_same_generator_seed_gives_the_same_weights() -> None:
    first, second = (
        flatten(initialise((5, 4, 3), np.random.default_rng(1))) for _ in range(2)
    )
    assert (first == second).all()
    assert (first != flatten(initialise((5, 4, 3), np.random.default_rng(2)))).any()


def test_default_scale_keeps_the_size_of_the_signal_through_many_layers() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((200, 256))
    z = logits(initialise((256,) * 9, generator), x)
    assert np.mean(z**2) / np.mean(x**2) == pytest.approx(2, rel=0.5)


# The gradient


@network_sizes
def test_gradient_agrees_with_finite_differences(sizes: tuple[int, ...]) -> None:
    parameters, x, y = problem(sizes)
    loss, gradient = loss_and_gradient(parameters, x, y)
    assert loss == cross_entropy(logits(parameters, x), y)

    def loss_at(theta: Array) -> float:
        return cross_entropy(logits(unflatten(theta, parameters), x), y)

    estimate = finite_difference(loss_at, flatten(parameters))
    assert flatten(gradient) == pytest.approx(estimate, rel=1e-6, abs=1e-9)


@network_sizes
def test_loss_and_gradient_agree_with_those_of_torch(sizes: tuple[int, ...]) -> None:
    parameters, x, y = problem(sizes)
    tensors = [torch.tensor(p, requires_grad=True) for p in parameters]
    z = torch.tensor(x)
    for layer in range(0, len(tensors), 2):
        z = z @ tensors[layer] + tensors[layer + 1]
        z = z if layer == len(tensors) - 2 else z.relu()
    loss = torch.nn.functional.cross_entropy(z, torch.tensor(y))
    found, gradient = loss_and_gradient(parameters, x, y)
    assert found == pytest.approx(loss.item(), rel=1e-12)
    for ours, theirs in zip(gradient, torch.autograd.grad(loss, tensors), strict=True):
        assert ours == pytest.approx(theirs.numpy(), rel=1e-10, abs=1e-14)


@network_sizes
def test_gradient_has_the_shapes_of_the_parameters(sizes: tuple[int, ...]) -> None:
    parameters, x, y = problem(sizes)
    _, gradient = loss_and_gradient(parameters, x, y)
    assert [g.shape for g in gradient] == [p.shape for p in parameters]


def test_computing_the_gradient_changes_nothing() -> None:
    parameters, x, y = problem((5, 7, 3))
    before = flatten([*parameters, x])
    first = flatten(loss_and_gradient(parameters, x, y)[1])
    assert (flatten([*parameters, x]) == before).all()
    assert (flatten(loss_and_gradient(parameters, x, y)[1]) == first).all()


def test_gradient_descent_with_it_lowers_the_loss() -> None:
    parameters, x, y = problem((5, 7, 3))
    losses = []
    for _ in range(300):
        loss, gradient = loss_and_gradient(parameters, x, y)
        losses.append(loss)
        parameters = [p - 0.3 * g for p, g in zip(parameters, gradient, strict=True)]
    assert losses[-1] < 0.05 * losses[0]
    assert accuracy(parameters, x, y) == 1


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_hidden_units_that_start_equal_stay_equal(constant: float) -> None:
    _, x, y = problem((5, 7, 3))
    parameters = initialise((5, 7, 3), np.random.default_rng(0), scale=0)
    for weight in parameters[::2]:
        assert not weight.any()
        weight += constant
    start = flatten(parameters)
    for _ in range(50):
        _, gradient = loss_and_gradient(parameters, x, y)
        parameters = [p - 0.5 * g for p, g in zip(parameters, gradient, strict=True)]
    w1, b1, w2, _ = parameters
    assert (w1 == w1[:, :1]).all()
    assert (b1 == b1[0]).all()
    assert (w2 == w2[:1]).all()
    assert (flatten(parameters) != start).any()


def test_accuracy_is_the_share_of_rows_with_the_largest_logit_in_the_right_place() -> (
    None
):
    parameters: list[Array] = [np.eye(3), np.zeros(3)]
    x = np.array([[3.0, 1, 2], [0, 1, 0], [5, 6, 7], [1, 0, 0]])
    assert accuracy(parameters, x, np.array([0, 1, 2, 2])) == 0.75


# Finite differences


def test_finite_difference_of_a_quadratic_is_its_gradient_in_any_shape() -> None:
    theta = np.arange(6.0).reshape(2, 3)
    estimate = finite_difference(lambda t: float((t**2).sum()), theta)
    assert estimate.shape == (2, 3)
    assert estimate == pytest.approx(2 * theta, rel=1e-9, abs=1e-9)
    assert theta.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_error_of_finite_differences_falls_with_the_square_of_delta() -> None:
    def error(delta: float) -> float:
        return float(
            abs(
                finite_difference(lambda t: math.exp(t[0]), np.zeros(1), delta=delta)[0]
                - 1
            )
        )

    assert error(1e-2) / error(1e-3) == pytest.approx(100, rel=0.01)


# One vector of all parameters


@given(SHAPES, st.integers(0, 100))
def test_unflatten_is_the_inverse_of_flatten(
    shapes: list[tuple[int, ...]], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    parameters = [np.asarray(generator.standard_normal(shape)) for shape in shapes]
    theta = flatten(parameters)
    assert theta.shape == (sum(p.size for p in parameters),)
    back = unflatten(theta, parameters)
    assert [p.shape for p in back] == [p.shape for p in parameters]
    for found, expected in zip(back, parameters, strict=True):
        assert (found == expected).all()
    assert (flatten(back) == theta).all()


def test_flatten_keeps_the_order() -> None:
    assert flatten([np.array([[1.0, 2], [3, 4]]), np.array([5.0])]).tolist() == [
        1,
        2,
        3,
        4,
        5,
    ]


@pytest.mark.parametrize("shape", [(6,), (8,), (7, 1), ()], ids=str)
def test_vector_of_another_length_is_refused(shape: tuple[int, ...]) -> None:
    like = [np.zeros((2, 3)), np.zeros(1)]
    message = re.escape(f"theta must have shape (7,), got {shape}")
    with pytest.raises(ValueError, match=message):
        unflatten(np.zeros(shape), like)


# Curvature


@network_sizes
def test_hessian_product_is_linear_and_symmetric(sizes: tuple[int, ...]) -> None:
    parameters, x, y = problem(sizes)
    generator = np.random.default_rng(1)
    one, two = (
        [generator.standard_normal(p.shape) for p in parameters] for _ in range(2)
    )

    def product(v: list[Array]) -> Array:
        return flatten(hessian_vector_product(parameters, v, x, y))

    both = product([2 * a - b for a, b in zip(one, two, strict=True)])
    np.testing.assert_allclose(both, 2 * product(one) - product(two), atol=1e-12)
    assert flatten(two) @ product(one) == pytest.approx(flatten(one) @ product(two))


@network_sizes
def test_hessian_product_is_the_change_of_the_gradient(sizes: tuple[int, ...]) -> None:
    parameters, x, y = problem(sizes)
    v = np.random.default_rng(2).standard_normal(flatten(parameters).size)

    def gradient(s: float) -> Array:
        moved = unflatten(flatten(parameters) + s * v, parameters)
        return flatten(loss_and_gradient(moved, x, y)[1])

    product = flatten(
        hessian_vector_product(parameters, unflatten(v, parameters), x, y)
    )
    np.testing.assert_allclose(
        (gradient(1e-6) - gradient(-1e-6)) / 2e-6, product, atol=1e-7
    )


# Training


def test_training_on_all_examples_follows_the_rule() -> None:
    parameters, x, y = problem((5, 7, 3))
    theta, state = flatten(parameters), None
    run = train(parameters, momentum, x, y, steps=3, lr=0.1, beta=0.5)
    for step in run:
        loss, gradient = loss_and_gradient(unflatten(theta, parameters), x, y)
        state, update = momentum(state, flatten(gradient), lr=0.1, beta=0.5)
        theta = theta + update
        assert step.loss == loss
        np.testing.assert_array_equal(step.gradient, flatten(gradient))
        np.testing.assert_array_equal(flatten(step.parameters), theta)
    with pytest.raises(StopIteration):
        next(run)


def test_every_pass_takes_each_example_once_in_a_new_order_drawn_from_the_seed() -> (
    None
):
    parameters, x, y = problem((5, 3))
    generator = np.random.default_rng(7)
    run = train(
        parameters, gradient_descent, x, y, steps=4, batch_size=5, seed=7, lr=0.1
    )
    for _ in range(2):
        order = generator.permutation(11)
        for batch in (order[:5], order[5:10]):
            before = parameters
            step = next(run)
            loss, gradient = loss_and_gradient(before, x[batch], y[batch])
            assert step.loss == loss
            np.testing.assert_array_equal(step.gradient, flatten(gradient))
            parameters = step.parameters


def test_parameters_given_to_train_are_left_alone() -> None:
    parameters, x, y = problem((5, 7, 3))
    before = flatten(parameters)
    list(train(parameters, gradient_descent, x, y, steps=2, lr=1.0))
    np.testing.assert_array_equal(flatten(parameters), before)


def test_run_that_diverges_ends_with_the_first_loss_that_is_not_finite() -> None:
    parameters, x, y = problem((5, 7, 3))
    losses = [
        s.loss for s in train(parameters, gradient_descent, x, y, steps=99, lr=1e200)
    ]
    assert 1 < len(losses) < 99
    assert np.isfinite(losses[:-1]).all()
    assert not np.isfinite(losses[-1])


def test_gradient_with_wrong_labels_is_on_average_that_of_the_expected_loss() -> None:
    parameters, x, y = problem((5, 3))
    run = train(
        parameters, gradient_descent, x, y, steps=6000, seed=1, wrong_labels=0.4, lr=0.0
    )
    steps = list(run)
    mean = np.mean([step.gradient for step in steps], axis=0)

    def expected(theta: Array) -> float:
        return expected_cross_entropy(logits(unflatten(theta, parameters), x), y, 0.4)

    np.testing.assert_allclose(
        mean, finite_difference(expected, flatten(parameters)), atol=0.01
    )
    losses = [step.loss for step in steps]
    assert np.mean(losses) == pytest.approx(expected(flatten(parameters)), abs=0.01)
    assert np.std(losses) > 0.01


@given(LOGITS)
def test_expected_cross_entropy_without_wrong_labels_is_the_usual_one(z: Array) -> None:
    y = np.zeros(len(z), dtype=np.int64)
    assert expected_cross_entropy(z, y, 0.0) == cross_entropy(z, y)
    flat = np.zeros_like(z)
    for share in (0.3, 1.0):
        assert expected_cross_entropy(flat, y, share) == pytest.approx(
            np.log(z.shape[1])
        )


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_share_of_wrong_labels_outside_zero_to_one_is_refused(share: float) -> None:
    parameters, x, y = problem((5, 3))
    message = rf"wrong_labels must be in \[0, 1\], got {share}"
    with pytest.raises(ValueError, match=message):
        expected_cross_entropy(logits(parameters, x), y, share)
    with pytest.raises(ValueError, match=message):
        train(parameters, gradient_descent, x, y, steps=1, wrong_labels=share)


def test_bad_numbers_of_steps_and_sizes_of_batches_are_refused_at_once() -> None:
    parameters, x, y = problem((5, 3))
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        train(parameters, gradient_descent, x, y, steps=-1)
    for size in (0, 12):
        with pytest.raises(
            ValueError, match=f"batch_size must be between 1 and 11, got {size}"
        ):
            train(parameters, gradient_descent, x, y, steps=1, batch_size=size)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, -1], "classes from 0 to 2, got -1 to 0"),
        ([0, 3], "classes from 0 to 2, got 0 to 3"),
        ([0], r"2 integers, one for each row of x, got int64 of shape \(1,\)"),
        ([[0], [1]], r"2 integers, .* of shape \(2, 1\)"),
        ([0.0, 1.0], "2 integers, .* got float64"),
        (None, "2 integers, .* got object"),
    ],
)
def test_labels_that_numpy_would_misread_are_refused(y: Any, message: str) -> None:
    labels, x = np.array(y), np.ones((2, 4))
    parameters = initialise([4, 3], np.random.default_rng(0))
    for call in (
        lambda: cross_entropy(np.ones((2, 3)), labels),
        lambda: loss_and_gradient(parameters, x, labels),
        lambda: hessian_vector_product(parameters, parameters, x, labels),
        lambda: accuracy(parameters, x, labels),
    ):
        with pytest.raises(ValueError, match=f"^y must be {message}"):
            call()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_parameters_come_in_pairs(count: int) -> None:
    with pytest.raises(ValueError, match=rf"\[W1, b1, .*a list of {count} arrays"):
        logits(count * [np.ones((4, 4))], np.ones((2, 4)))
