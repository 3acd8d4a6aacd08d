"""What the decorator does for every rule: number types, shapes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adam_tutorial import reference
from adam_tutorial._types import Array
from adam_tutorial.reference.rule import takes_theta
from tests.reference.rules import NAMES, RULES, WITH_THETA


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


@pytest.mark.parametrize("name", WITH_THETA)
def test_parameters_of_another_shape_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"theta has the shape \(2,\), but the gradient has \(3,\)"
    ):
        RULES[name](None, np.ones(3), theta=np.ones(2))


@pytest.mark.parametrize("shape", [(1,), (3,)])
def test_shapes_smaller_and_larger_than_the_gradient_are_refused(
    shape: tuple[int],
) -> None:
    with pytest.raises(ValueError, match="theta has the shape"):
        reference.adamw(None, np.ones(2), theta=np.ones(shape))
    state, _ = reference.momentum(None, np.ones(shape))
    with pytest.raises(ValueError, match=r"state\.b has the shape"):
        reference.momentum(state, np.ones(2))


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


def test_settings_of_every_name_are_checked() -> None:
    with pytest.raises(
        ValueError, match="weight_decay must be finite and not negative, got -1"
    ):
        reference.adamw(None, 1.0, theta=1.0, weight_decay=-1)
    with pytest.raises(ValueError, match="lr must be finite and not negative, got inf"):
        reference.adam(None, 1.0, lr=float("inf"))
    with pytest.raises(ValueError, match=r"beta2 must be in \[0, 1\), got 1"):
        reference.temporal_average(None, 1.0, beta2=1)


def test_the_decorator_checks_the_arguments_of_any_rule() -> None:
    @reference.rule
    def halve(state: None, gradient: Any, *, rho: float = 0.5) -> tuple[None, Any]:
        return state, -rho * np.asarray(gradient)

    assert halve(None, 4.0, rho=float(np.float32(0.25)))[1] == -1.0
    with pytest.raises(ValueError, match=r"rho must be in \[0, 1\), got 1.5"):
        halve(None, 4.0, rho=1.5)


def test_rules_with_weight_decay_are_those_that_take_theta() -> None:
    assert WITH_THETA == ["adam_l2", "adamw", "lion", "adafactor"]
    assert not takes_theta(lambda state, gradient: (state, gradient))
    # Its theta is what it averages, in the position of a rule's gradient.
    assert not takes_theta(reference.temporal_average)
    assert takes_theta(lambda state, gradient, theta: (state, gradient + theta))
