"""The equations of mistaken Adams; each mistaken program is written out here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import reference, theory
from adam_tutorial.checking import Behaviour, imitate

beta1s, beta2s = st.floats(0.05, 0.98), st.floats(0.05, 0.9995)
sizes = st.floats(-4, 4).map(lambda exponent: 10.0**exponent)
numbers = st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(
    lambda pair: pair[0] * pair[1]
)
histories = st.lists(numbers, min_size=1, max_size=30)


def last_update(history: list[float], **settings: Any) -> float:
    return float(reference.walk(reference.adam, history, **settings).updates[-1])


def averages(history: list[float], beta1: float, beta2: float) -> tuple[float, float]:
    m = v = 0.0
    for g in history:
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return m, v


@pytest.mark.equation("mistakes-no-exponent")
@given(histories, beta1s, beta2s)
def test_forgotten_exponent_changes_each_step_by_a_factor_that_depends_on_t_only(
    history: list[float], beta1: float, beta2: float
) -> None:
    m, v = averages(history, beta1, beta2)
    wrong = -(m / (1 - beta1)) / math.sqrt(v / (1 - beta2))
    right = last_update(history, lr=1.0, beta1=beta1, beta2=beta2, eps=0.0)
    t = len(history)
    factor = (1 - beta1**t) / (1 - beta1) * math.sqrt((1 - beta2) / (1 - beta2**t))
    assert wrong == pytest.approx(factor * right, rel=1e-8, abs=1e-12)
    limit = math.sqrt(1 - beta2) / (1 - beta1)
    late = (
        (1 - beta1**100_000)
        / (1 - beta1)
        * math.sqrt((1 - beta2) / (1 - beta2**100_000))
    )
    assert late == pytest.approx(limit, rel=1e-9)


@pytest.mark.equation("mistakes-multiplied")
@given(histories, beta1s, beta2s)
def test_multiplying_by_the_correction_changes_every_step_by_a_factor_of_t(
    history: list[float], beta1: float, beta2: float
) -> None:
    m, v = averages(history, beta1, beta2)
    t = len(history)
    wrong = -(m * (1 - beta1**t)) / math.sqrt(v * (1 - beta2**t))
    right = last_update(history, lr=1.0, beta1=beta1, beta2=beta2, eps=0.0)
    factor = (1 - beta1**t) ** 2 / (1 - beta2**t)
    assert wrong == pytest.approx(factor * right, rel=1e-8, abs=1e-12)


@pytest.mark.equation("mistakes-eps-inside")
@given(numbers, sizes, st.integers(1, 40), beta1s, beta2s)
def test_eps_inside_the_root_holds_a_constant_gradient_back_by_its_root(
    g: float, eps: float, steps: int, beta1: float, beta2: float
) -> None:
    step = imitate(Behaviour(eps="in v_hat"), lr=0.3, beta1=beta1, beta2=beta2, eps=eps)
    for _ in range(steps):
        update = step(np.zeros(()), np.array(g))
    assert float(update) == pytest.approx(-0.3 * g / math.sqrt(g**2 + eps), rel=1e-8)


@pytest.mark.equation("mistakes-reset")
@given(histories, sizes, beta1s, beta2s)
def test_without_a_memory_every_step_is_a_first_step(
    history: list[float], eps: float, beta1: float, beta2: float
) -> None:
    for g in history:
        _, update = reference.adam(None, g, lr=0.3, beta1=beta1, beta2=beta2, eps=eps)
        assert float(update) == pytest.approx(-0.3 * g / (abs(g) + eps), rel=1e-9)


@given(sizes, st.integers(1, 200), beta1s, beta2s)
def test_state_that_is_forgotten_without_its_count_divides_by_the_factor_of_mistake_1(
    g: float, steps: int, beta1: float, beta2: float
) -> None:
    step = imitate(Behaviour(keeps="t"), lr=1.0, beta1=beta1, beta2=beta2, eps=0.0)
    for t in range(1, steps + 1):
        update = float(step(np.zeros(()), np.array(g)))
        factor = (1 - beta1**t) / (1 - beta1) * math.sqrt((1 - beta2) / (1 - beta2**t))
        assert update == pytest.approx(-1 / factor, rel=1e-8)


@pytest.mark.equation("mistakes-l2")
@given(numbers, sizes, sizes)
def test_first_step_under_a_penalty_has_the_sign_of_theta_and_hardly_its_size(
    theta: float, weight_decay: float, eps: float
) -> None:
    _, update = reference.adam_l2(
        None, 0.0, theta=theta, lr=0.3, eps=eps, weight_decay=weight_decay
    )
    pull = weight_decay * theta
    assert float(update) == pytest.approx(-0.3 * pull / (abs(pull) + eps), rel=1e-9)
    _, tiny = reference.adam_l2(
        None, 0.0, theta=theta, lr=0.3, eps=1e-12, weight_decay=weight_decay
    )
    assert float(tiny) == pytest.approx(-0.3 * np.sign(theta), rel=1e-3)


@pytest.mark.equation("mistakes-curvature")
@given(sizes, numbers)
def test_path_of_adam_on_a_parabola_does_not_depend_on_its_curvature(
    h: float, start: float
) -> None:
    def gradient(curvature: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: curvature * x

    paths = [
        reference.trajectory(reference.adam, gradient(c), start, 20, lr=0.1, eps=0.0)
        for c in (1.0, h)
    ]
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-9, atol=1e-9)
    state, _ = reference.adam(None, h * start)
    v_hat = float(state.v) / theory.bias_correction(0.999, 1)
    assert math.sqrt(v_hat) == pytest.approx(h * abs(start), rel=1e-9)


@pytest.mark.equation("mistakes-variance")
@given(st.floats(-5, 5), st.floats(0.1, 3), st.integers(0, 1000))
def test_v_hat_estimates_variance_plus_squared_mean(
    mean: float, sigma: float, seed: int
) -> None:
    # Antithetic pairs: mean and variance of the sample are exactly those of the
    # sentence.
    noise = np.random.default_rng(seed).standard_normal(500)
    sample = np.concatenate([noise, -noise])
    g = mean + sigma * sample / sample.std()
    assert (g**2).mean() == pytest.approx(sigma**2 + mean**2, rel=1e-9)
    rounds = np.stack([np.roll(g, k) for k in range(20)])
    state = reference.walk(reference.adam, rounds).states[-1]
    v_hat = state.v / theory.bias_correction(0.999, len(rounds))
    assert v_hat.mean() == pytest.approx(sigma**2 + mean**2, rel=1e-9)


@pytest.mark.equation("mistakes-scale")
@given(histories, sizes, sizes, beta1s, beta2s)
def test_scale_of_the_gradient_cancels_if_eps_is_scaled_along(
    history: list[float], c: float, eps: float, beta1: float, beta2: float
) -> None:
    rates = {"lr": 0.3, "beta1": beta1, "beta2": beta2}
    scaled = last_update([c * g for g in history], eps=c * eps, **rates)
    assert scaled == pytest.approx(
        last_update(history, eps=eps, **rates), rel=1e-7, abs=1e-12
    )
