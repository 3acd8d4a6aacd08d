from __future__ import annotations

import numpy as np
import pytest

from adam_tutorial import reference


def test_a_walk_keeps_what_the_rule_returned_at_every_step() -> None:
    points, updates, states = reference.walk(
        reference.adam, lambda theta: 2 * theta, [1.0, -2.0], 3, lr=0.1
    )
    theta, state = np.array([1.0, -2.0]), None
    assert points.shape == (4, 2)
    assert updates.shape == (3, 2)
    assert len(states) == 3
    np.testing.assert_array_equal(points[0], theta)
    for t in range(3):
        state, update = reference.adam(state, 2 * theta, lr=0.1)
        theta = theta + update
        np.testing.assert_array_equal(updates[t], update)
        np.testing.assert_array_equal(points[t + 1], theta)
        assert states[t].t == t + 1
        np.testing.assert_array_equal(states[t].m, state.m)
        np.testing.assert_array_equal(states[t].v, state.v)


def test_a_walk_over_given_gradients_takes_one_step_for_each() -> None:
    history = np.random.default_rng(0).standard_normal((5, 2, 3))
    whole = reference.walk(reference.adam, history)
    assert whole.updates.shape == (5, 2, 3)
    np.testing.assert_array_equal(whole.points[0], np.zeros((2, 3)))
    rest = iter(history)
    same = reference.walk(reference.adam, lambda _: next(rest), np.zeros((2, 3)), 5)
    np.testing.assert_array_equal(whole.points, same.points)
    first = reference.walk(reference.adam, history, steps=2)
    np.testing.assert_array_equal(first.points, whole.points[:3])


def test_a_walk_over_given_gradients_starts_at_theta() -> None:
    history = np.ones((2, 3))
    for theta in (5.0, [5.0, 5.0, 5.0]):
        points = reference.walk(reference.gradient_descent, history, theta).points
        np.testing.assert_array_equal(points[0], [5.0, 5.0, 5.0])
    with pytest.raises(
        ValueError, match=r"theta has the shape \(1,\), but a gradient has \(3,\)"
    ):
        reference.walk(reference.gradient_descent, history, [5.0])


def test_a_walk_continues_from_a_state() -> None:
    history = np.random.default_rng(0).standard_normal((6, 2))
    whole = reference.walk(reference.adam, history)
    first = reference.walk(reference.adam, history[:4])
    rest = reference.walk(
        reference.adam, history[4:], first.points[-1], state=first.states[-1]
    )
    np.testing.assert_array_equal(rest.points, whole.points[4:])
    assert rest.states[-1].t == 6


def test_a_walk_of_no_steps_has_one_point() -> None:
    for gradient in (np.empty((0, 3)), lambda theta: theta):
        walked = reference.walk(reference.adam, gradient, np.ones(3, np.float32), 0)
        np.testing.assert_array_equal(walked.points, np.ones((1, 3)))
        assert walked.updates.shape == (0, 3)
        assert walked.updates.dtype == np.float32
        assert walked.states == []


def test_a_walk_keeps_float32() -> None:
    history = np.ones((2, 3), dtype=np.float32)
    for theta in (0.5, np.zeros(3, dtype=np.float32)):
        walked = reference.walk(reference.adam, history, theta)
        assert walked.points.dtype == walked.updates.dtype == np.float32


def test_a_walk_refuses_a_number_of_steps_that_does_not_fit() -> None:
    for steps in (-1, 3):
        with pytest.raises(
            ValueError, match=f"steps must be between 0 and 2, got {steps}"
        ):
            reference.walk(reference.adam, [1.0, 2.0], steps=steps)
    with pytest.raises(TypeError, match="steps must be given where gradient is a func"):
        reference.walk(reference.adam, lambda theta: theta, 1.0)
    with pytest.raises(TypeError, match="gradient must be a function, or one gradient"):
        reference.walk(reference.adam, 1.0, 1.0, 3)


def test_trajectory_starts_at_the_start_and_adds_the_updates() -> None:
    points = reference.trajectory(
        reference.gradient_descent, lambda theta: 2 * theta, [1.0, -2.0], 3, lr=0.25
    )
    expected = np.array([[1, -2], [0.5, -1], [0.25, -0.5], [0.125, -0.25]])
    np.testing.assert_allclose(points, expected)


def test_trajectory_of_no_steps_is_the_start() -> None:
    points = reference.trajectory(reference.adam, lambda theta: theta, 3, 0)
    np.testing.assert_array_equal(points, [3.0])


def test_trajectory_gives_the_point_to_a_rule_that_needs_it() -> None:
    points = reference.trajectory(
        reference.adamw,
        lambda theta: 0 * theta,
        [1.0, -2.0],
        3,
        lr=0.5,
        weight_decay=0.5,
    )
    np.testing.assert_allclose(points[-1], np.array([1.0, -2.0]) * 0.75**3)


def test_trajectory_stays_in_its_box() -> None:
    points = reference.trajectory(
        reference.gradient_descent,
        lambda _: [1.0, -1.0],
        [0.0, 0.0],
        3,
        lr=0.4,
        box=(-1, [5, 0.5]),
    )
    np.testing.assert_allclose(points[:, 0], [0, -0.4, -0.8, -1])
    np.testing.assert_allclose(points[:, 1], [0, 0.4, 0.5, 0.5])


def test_trajectory_refuses_an_empty_box() -> None:
    with pytest.raises(
        ValueError, match=r"box must be \(lowest, highest\), got \(1, -1\)"
    ):
        reference.trajectory(reference.adam, lambda theta: theta, 1.0, 3, box=(1, -1))
    # A box of one point is a box.
    points = reference.trajectory(
        reference.adam, lambda theta: theta, 1.0, 3, box=(1, 1)
    )
    np.testing.assert_array_equal(points, np.ones(4))


def test_trajectory_refuses_a_negative_number_of_steps() -> None:
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        reference.trajectory(reference.adam, lambda theta: theta, 1.0, -1)
