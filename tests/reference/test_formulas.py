"""Each rule of the reference, against its formula written out on plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adam_tutorial import reference

# One coordinate, twelve steps; sizes from 1e-2 to 1e2, both signs.
HISTORY = [0.7, -1.3, 0.02, 5.0, -5.5, 31.0, 0.3, -0.9, 2.0, 100.0, -0.05, 1.0]
LR, B1, B2, EPS, DECAY = 0.3, 0.8, 0.95, 0.02, 0.4


def sgd() -> Iterator[float]:
    for g in HISTORY:
        yield -LR * g


def heavy_ball(nesterov: bool = False) -> Iterator[float]:
    b = 0.0
    for g in HISTORY:
        b = B1 * b + g
        yield -LR * (g + B1 * b) if nesterov else -LR * b


def adagrad() -> Iterator[float]:
    total = 0.0
    for g in HISTORY:
        total += g * g
        yield -LR * g / (math.sqrt(total) + EPS)


def rmsprop(centered: bool = False) -> Iterator[float]:
    v = mean = 0.0
    for g in HISTORY:
        v, mean = B2 * v + (1 - B2) * g * g, B2 * mean + (1 - B2) * g
        yield -LR * g / (math.sqrt(v - mean * mean if centered else v) + EPS)


def adadelta() -> Iterator[float]:
    v = u = 0.0
    for g in HISTORY:
        v = B2 * v + (1 - B2) * g * g
        change = -math.sqrt(u + EPS) / math.sqrt(v + EPS) * g
        u = B2 * u + (1 - B2) * change * change
        yield LR * change


def averages() -> Iterator[tuple[int, float, float, float]]:
    m = v = 0.0
    for t, g in enumerate(HISTORY, start=1):
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        yield t, g, m, v


def adam(correct: bool = True) -> Iterator[float]:
    for t, _, m, v in averages():
        if correct:
            m, v = m / (1 - B1**t), v / (1 - B2**t)
        yield -LR * m / (math.sqrt(v) + EPS)


def adam_efficient() -> Iterator[float]:
    for t, _, m, v in averages():
        yield -LR * math.sqrt(1 - B2**t) / (1 - B1**t) * m / (math.sqrt(v) + EPS)


def adam_regret(factor: float) -> Iterator[float]:
    m = v = 0.0
    product = 1.0
    for t, g in enumerate(HISTORY, start=1):
        rate = B1 * factor ** (t - 1)
        product *= rate
        m, v = rate * m + (1 - rate) * g, B2 * v + (1 - B2) * g * g
        yield (
            -LR
            / math.sqrt(t)
            * (m / (1 - product))
            / (math.sqrt(v / (1 - B2**t)) + EPS)
        )


def adamax() -> Iterator[float]:
    u = 0.0
    for t, g, m, _ in averages():
        u = max(B2 * u, abs(g) + EPS)
        yield -LR / (1 - B1**t) * m / u


def amsgrad(of_v_hat: bool = False, correct: bool = True) -> Iterator[float]:
    largest = 0.0
    for t, _, m, v in averages():
        correction1, correction2 = (1 - B1**t, 1 - B2**t) if correct else (1.0, 1.0)
        largest = max(largest, v / correction2 if of_v_hat else v)
        v_hat = largest if of_v_hat else largest / correction2
        yield -LR * m / correction1 / (math.sqrt(v_hat) + EPS)


def nadam(psi: float) -> Iterator[float]:
    def mu(t: int) -> float:
        return float(B1 * (1 - 0.5 * 0.96 ** (t * psi)))

    for t, g, m, v in averages():
        product = math.prod(mu(i) for i in range(1, t + 1))
        ahead = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (
            1 - product
        )
        yield -LR * ahead / (math.sqrt(v / (1 - B2**t)) + EPS)


def radam(threshold: float) -> Iterator[float]:
    longest = 2 / (1 - B2) - 1
    for t, _, m, v in averages():
        rho = longest - 2 * t * B2**t / (1 - B2**t)
        m_hat = m / (1 - B1**t)
        if rho <= threshold:
            yield -LR * m_hat
        else:
            r = (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)
            yield (
                -LR * math.sqrt(r) * m_hat * math.sqrt(1 - B2**t) / (math.sqrt(v) + EPS)
            )


def adabelief() -> Iterator[float]:
    s = 0.0
    for t, g, m, _ in averages():
        s = B2 * s + (1 - B2) * (g - m) ** 2 + EPS
        yield -LR * m / (1 - B1**t) / (math.sqrt(s / (1 - B2**t)) + EPS)


def decayed(kind: str) -> Iterator[float]:
    """theta starts at 2."""
    theta, m, v = 2.0, 0.0, 0.0
    for t, loss_gradient in enumerate(HISTORY, start=1):
        g = loss_gradient + (DECAY * theta if kind == "l2" else 0)
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        update = -LR * m / (1 - B1**t) / (math.sqrt(v / (1 - B2**t)) + EPS)
        update -= {"l2": 0.0, "torch": LR * DECAY, "paper": DECAY}[kind] * theta
        theta += update
        yield update


def lion() -> Iterator[float]:
    theta, m = 2.0, 0.0
    for g in HISTORY:
        c = B1 * m + (1 - B1) * g
        m = B2 * m + (1 - B2) * g
        update = -LR * (math.copysign(1, c) + DECAY * theta)
        theta += update
        yield update


BETAS = {"beta1": B1, "beta2": B2}
ADAM = {"lr": LR, **BETAS, "eps": EPS}
CASES: dict[str, tuple[str, dict[str, Any], Callable[[], Iterator[float]]]] = {
    "gradient descent": ("gradient_descent", {"lr": LR}, sgd),
    "momentum": ("momentum", {"lr": LR, "beta": B1}, heavy_ball),
    "nesterov": (
        "momentum",
        {"lr": LR, "beta": B1, "nesterov": True},
        lambda: heavy_ball(True),
    ),
    "adagrad": ("adagrad", {"lr": LR, "eps": EPS}, adagrad),
    "rmsprop": ("rmsprop", {"lr": LR, "beta": B2, "eps": EPS}, rmsprop),
    "centred rmsprop": (
        "rmsprop",
        {"lr": LR, "beta": B2, "eps": EPS, "centered": True},
        lambda: rmsprop(True),
    ),
    "adadelta": ("adadelta", {"lr": LR, "rho": B2, "eps": EPS}, adadelta),
    "adam": ("adam", ADAM, adam),
    "adam, not corrected": (
        "adam",
        {**ADAM, "correct_bias": False},
        lambda: adam(False),
    ),
    "efficient order": (
        "adam_efficient",
        {"lr": LR, **BETAS, "eps_hat": EPS},
        adam_efficient,
    ),
    "regret": ("adam_regret", {**ADAM, "beta1_factor": 0.9}, lambda: adam_regret(0.9)),
    "regret, constant beta1": (
        "adam_regret",
        {**ADAM, "beta1_factor": 1.0},
        lambda: adam_regret(1),
    ),
    "adamax": ("adamax", ADAM, adamax),
    "amsgrad": ("amsgrad", ADAM, amsgrad),
    "amsgrad of v_hat": (
        "amsgrad",
        {**ADAM, "maximum_of": "v_hat"},
        lambda: amsgrad(True),
    ),
    "amsgrad of the paper": (
        "amsgrad",
        {**ADAM, "correct_bias": False},
        lambda: amsgrad(correct=False),
    ),
    "nadam": ("nadam", {**ADAM, "momentum_decay": 0.7}, lambda: nadam(0.7)),
    "radam": ("radam", ADAM, lambda: radam(5)),
    "radam of the paper": ("radam", {**ADAM, "threshold": 4.0}, lambda: radam(4)),
    "adabelief": ("adabelief", ADAM, adabelief),
    "l2": ("adam_l2", {**ADAM, "weight_decay": DECAY}, lambda: decayed("l2")),
    "adamw": ("adamw", {**ADAM, "weight_decay": DECAY}, lambda: decayed("torch")),
    "adamw of the paper": (
        "adamw",
        {**ADAM, "weight_decay": DECAY, "decay_times_lr": False},
        lambda: decayed("paper"),
    ),
    "lion": ("lion", {"lr": LR, **BETAS, "weight_decay": DECAY}, lion),
}


def follow(name: str, settings: dict[str, Any]) -> reference.Walk:
    return reference.walk(getattr(reference, name), HISTORY, 2.0, **settings)


@pytest.mark.parametrize("case", CASES)
def test_rule_is_its_formula(case: str) -> None:
    name, settings, written_out = CASES[case]
    updates = follow(name, settings).updates
    np.testing.assert_allclose(updates, list(written_out()), rtol=1e-11)


def test_states_count_the_steps_and_hold_the_averages() -> None:
    *_, (t, _, m, v) = averages()
    for name in ("adam", "adam_efficient", "adamw", "radam", "nadam", "amsgrad"):
        settings = {
            **BETAS,
            **({"eps_hat": EPS} if name == "adam_efficient" else {"eps": EPS}),
        }
        state = follow(name, settings).states[-1]
        assert state.t == t == 12
        assert float(state.m) == pytest.approx(m)
        assert float(state.v) == pytest.approx(v)
    state = follow("amsgrad", BETAS).states[-1]
    assert float(state.v_max) == pytest.approx(max(v for *_, v in averages()))
    state = follow("adamax", {**BETAS, "eps": 0.0}).states[-1]
    assert state.t == 12
    assert float(state.u) == pytest.approx(100 * B2**2)


def test_averages_in_the_states_of_rmsprop_and_lion_are_signed() -> None:
    *_, (_, _, m, _) = averages()
    state = follow("lion", {"lr": LR, "beta1": 0.5, "beta2": B1}).states[-1]
    assert float(state.m) == pytest.approx(m)
    mean = 0.0
    for g in HISTORY:
        mean = B2 * mean + (1 - B2) * g
    state = follow("rmsprop", {"beta": B2}).states[-1]
    assert float(state.m) == pytest.approx(mean)


def test_temporal_average_is_the_corrected_average_of_the_points() -> None:
    state, mean = None, 0.0
    for t, point in enumerate(HISTORY, start=1):
        state, average = reference.temporal_average(state, point, beta2=B2)
        mean = B2 * mean + (1 - B2) * point
        assert float(average) == pytest.approx(mean / (1 - B2**t))
        assert state.t == t
        assert float(state.mean) == pytest.approx(mean)
