from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import reference
from adam_tutorial._types import Array
from adam_tutorial.study.objectives import Quadratic

Rule = Callable[..., tuple[Any, Array]]

NAMES = (
    *("gradient_descent", "momentum", "adagrad", "rmsprop", "adadelta"),
    *("adam", "adam_efficient", "adam_regret", "adamax", "amsgrad", "nadam", "radam"),
    *("adam_l2", "adamw", "adabelief", "lion"),
)
NEED_THETA = ("adam_l2", "adamw", "lion")


def with_theta(name: str) -> Rule:
    """The rule; where it asks for the parameters it gets ones, if it is not given others."""
    rule: Rule = getattr(reference, name)
    if name not in NEED_THETA:
        return rule
    return lambda state, g, **given: rule(
        state, g, **{"theta": np.ones(np.shape(g)), **given}
    )


RULES: dict[str, Rule] = {name: with_theta(name) for name in NAMES}


def follow(rule: Rule, history: Array, **settings: float) -> Array:
    state, updates = None, []
    for g in history:
        state, update = rule(state, g, **settings)
        updates.append(update)
    return np.array(updates)


@pytest.fixture
def history() -> Array:
    return np.random.default_rng(0).standard_normal((30, 4))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_changes_neither_its_state_nor_its_gradient(
    name: str, history: Array
) -> None:
    rule = RULES[name]
    state, _ = rule(None, history[0])
    kept: list[Any] = [np.copy(part) for part in state or ()]
    g = history[1].copy()
    rule(state, g, lr=0.1)
    for part, copy in zip(state or (), kept, strict=True):
        np.testing.assert_array_equal(part, copy)
    np.testing.assert_array_equal(g, history[1])


@pytest.mark.parametrize("name", RULES)
def test_a_float32_gradient_gives_a_float32_update(name: str, history: Array) -> None:
    state, update = RULES[name](None, history[0].astype(np.float32))
    _, update = RULES[name](state, history[1].astype(np.float32))
    assert update.dtype == np.float32


@pytest.mark.parametrize("name", RULES)
def test_integers_and_lists_are_read_as_float64(name: str) -> None:
    _, update = RULES[name](None, [3, -4])
    assert update.dtype == np.float64
    assert np.all(np.sign(update) == [-1, 1]) or name == "adamw"


@pytest.mark.parametrize("name", RULES)
def test_numpy_numbers_as_settings_do_not_widen_the_update(name: str) -> None:
    g = np.ones(2, dtype=np.float32)
    state, _ = RULES[name](None, g, lr=np.float64(0.1))
    _, update = RULES[name](state, g, lr=np.float64(0.1))
    assert update.dtype == np.float32


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gradient_descent"])
def test_a_state_of_another_shape_is_refused(name: str) -> None:
    state, _ = RULES[name](None, np.ones(3))
    with pytest.raises(
        ValueError, match=r"state\.\w+ has the shape \(3,\), but .* has \(1,\)"
    ):
        RULES[name](state, np.ones(1))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "state", [(1, np.ones(3), np.ones(3)), {"t": 1}, np.ones(3), ()]
)
def test_a_state_that_no_rule_has_returned_is_refused(name: str, state: Any) -> None:
    message = (
        f"state must be None or what {name} returned, got a {type(state).__name__}"
    )
    with pytest.raises(TypeError, match=message):
        RULES[name](state, np.ones(3))


@pytest.mark.parametrize("name", NEED_THETA)
def test_parameters_of_another_shape_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"theta has the shape \(2,\), but the gradient has \(3,\)"
    ):
        RULES[name](None, np.ones(3), theta=np.ones(2))


@pytest.mark.parametrize("name", RULES)
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="learning_rate"):
        RULES[name](None, np.ones(2), learning_rate=0.1)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("lr", [-0.1, np.nan, np.inf])
def test_a_learning_rate_that_is_negative_or_not_finite_is_refused(
    name: str, lr: float
) -> None:
    with pytest.raises(ValueError, match="lr must be finite and not negative, got"):
        RULES[name](None, np.ones(2), lr=lr)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("momentum", "beta"),
        ("rmsprop", "beta"),
        ("adam", "beta1"),
        ("adam", "beta2"),
        ("adam_efficient", "beta1"),
        ("adam_efficient", "beta2"),
    ],
)
def test_a_decay_rate_of_one_is_refused_by_name(name: str, argument: str) -> None:
    with pytest.raises(ValueError, match=rf"{argument} must be in \[0, 1\), got 1.0"):
        RULES[name](None, np.ones(2), **{argument: 1.0})


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("adagrad", "eps"),
        ("rmsprop", "eps"),
        ("adam", "eps"),
        ("adam_efficient", "eps_hat"),
    ],
)
def test_a_negative_eps_is_refused(name: str, argument: str) -> None:
    with pytest.raises(
        ValueError, match=f"{argument} must be finite and not negative, got -1e-08"
    ):
        RULES[name](None, np.ones(2), **{argument: -1e-8})


@pytest.mark.parametrize(
    ("name", "peer", "settings", "torch_settings"),
    [
        ("gradient_descent", torch.optim.SGD, {"lr": 0.1}, {"lr": 0.1}),
        (
            "momentum",
            torch.optim.SGD,
            {"lr": 0.1, "beta": 0.8},
            {"lr": 0.1, "momentum": 0.8},
        ),
        (
            "adagrad",
            torch.optim.Adagrad,
            {"lr": 0.1, "eps": 1e-6},
            {"lr": 0.1, "eps": 1e-6},
        ),
        (
            "rmsprop",
            torch.optim.RMSprop,
            {"lr": 0.1, "beta": 0.95, "eps": 1e-6},
            {"lr": 0.1, "alpha": 0.95, "eps": 1e-6},
        ),
        (
            "adam",
            torch.optim.Adam,
            {"lr": 0.1, "beta1": 0.8, "beta2": 0.99, "eps": 1e-6},
            {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-6},
        ),
    ],
)
def test_a_rule_walks_the_path_of_torch(
    name: str,
    peer: Callable[..., torch.optim.Optimizer],
    settings: dict[str, float],
    torch_settings: dict[str, Any],
    history: Array,
) -> None:
    theta = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = peer([theta], **torch_settings)
    ours = np.cumsum(follow(RULES[name], history, **settings), axis=0)
    for place, g in zip(ours, history, strict=True):
        theta.grad = torch.from_numpy(g)
        optimizer.step()
        np.testing.assert_allclose(
            theta.detach().numpy(), place, rtol=1e-10, atol=1e-13
        )


def test_a_zero_gradient_gives_a_zero_step() -> None:
    for name in ("adam", "amsgrad", "nadam", "radam", "adabelief", "adamax"):
        _, update = RULES[name](None, np.zeros(3))
        np.testing.assert_array_equal(update, 0)
    _, update = reference.adam(None, np.zeros(3))
    np.testing.assert_array_equal(update, 0)


def test_adam_without_correction_uses_the_raw_averages() -> None:
    _, update = reference.adam(None, np.array(2.0), lr=1.0, eps=0.0, correct_bias=False)
    assert float(update) == pytest.approx(-0.1 / np.sqrt(0.001))


def test_adam_does_not_notice_the_scale_of_the_gradient(history: Array) -> None:
    plain = follow(reference.adam, history, eps=0.0)
    np.testing.assert_array_equal(follow(reference.adam, 8 * history, eps=0.0), plain)


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


def turned_paths(rule: Rule, **settings: Any) -> tuple[Array, Array]:
    """The path in a valley along the axes, and that in a turned one, turned back."""
    straight, turned = Quadratic((1.0, 25.0)), Quadratic((1.0, 25.0), angle=np.pi / 4)
    start = np.array([-2.0, 0.9])
    first = reference.trajectory(rule, straight.gradient, start, 40, **settings)
    second = reference.trajectory(
        rule, turned.gradient, turned.rotation @ start, 40, **settings
    )
    return first, second @ turned.rotation


def test_gradient_descent_takes_the_same_path_in_a_turned_valley() -> None:
    first, second = turned_paths(reference.gradient_descent, lr=0.074)
    np.testing.assert_allclose(first, second, atol=1e-12)


def test_adam_takes_another_path_in_a_turned_valley() -> None:
    first, second = turned_paths(reference.adam, lr=0.22, beta1=0.8, beta2=0.95)
    assert np.abs(first - second).max() > 0.1
