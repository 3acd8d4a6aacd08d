"""Many programs simulated at once take the steps that each takes alone."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adam_tutorial.checking import DECAYS, MISTAKES, Behaviour, imitate
from adam_tutorial.checking.behaviour import Behaviours
from adam_tutorial.checking.simulation import Simulation

FORMS = [change for mistake in MISTAKES for change in mistake.forms.values()]
SETTINGS = {"lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.3}
rng = np.random.default_rng(0)
GRADIENTS = rng.standard_normal((6, 3)) * np.tile([[1, 0, 1], [0, 0, 0]], (3, 1))
THETAS = rng.standard_normal((6, 3))


def random_behaviours(number: int, seed: int) -> list[Behaviour]:
    choose = random.Random(seed)
    behaviours = []
    for _ in range(number):
        changes: dict[str, Any] = {"decay": choose.choice(list(DECAYS))}
        for form in choose.sample(FORMS, 3):
            changes |= form
        behaviours.append(Behaviour(**changes))
    return behaviours


@pytest.mark.parametrize("seed", range(3))
def test_programs_in_step_move_as_each_of_them_alone(seed: int) -> None:
    behaviours = random_behaviours(80, seed)
    together = Simulation(Behaviours.of(behaviours), **SETTINGS)
    alone = [imitate(behaviour, **SETTINGS) for behaviour in behaviours]
    for theta, gradient in zip(THETAS, GRADIENTS, strict=True):
        each = [step(theta, gradient) for step in alone]
        np.testing.assert_allclose(
            together.step(theta, gradient), np.transpose(each), rtol=1e-12
        )


def test_every_form_of_every_mistake_changes_a_step() -> None:
    behaviours = [Behaviour(), *(replace(Behaviour(), **form) for form in FORMS)]
    together = Simulation(Behaviours.of(behaviours), **SETTINGS)
    steps = [
        together.step(theta, gradient)
        for theta, gradient in zip(THETAS, GRADIENTS, strict=True)
    ]
    for number, form in enumerate(FORMS, 1):
        assert not all(
            np.array_equal(step[:, 0], step[:, number], equal_nan=True)
            for step in steps
        ), form


def test_behaviours_come_back_from_their_masks() -> None:
    behaviours = random_behaviours(20, seed=4)
    masks = Behaviours.of(behaviours)
    assert len(masks) == 20
    assert [masks[k] for k in range(20)] == behaviours
    some = masks.take(np.array([3, 17]))
    assert [some[0], some[1]] == [behaviours[3], behaviours[17]]


def test_changes_are_made_to_the_behaviours_that_chose_them() -> None:
    changes: list[dict[str, Any]] = [
        {"eps": "in v"},
        {"sign": 1},
        {"eps": "nothing", "clock": 1},
    ]
    chosen = np.array([[0, 1], [1, 2]])
    changed = Behaviours.changed(Behaviour(maximum="v"), changes, chosen)
    assert changed[0] == Behaviour(maximum="v", eps="in v", sign=1)
    assert changed[1] == Behaviour(maximum="v", sign=1, eps="nothing", clock=1)


def test_one_program_computes_in_the_precision_of_its_gradients() -> None:
    step = imitate(Behaviour(fraction="m"), lr=1.0, beta1=0.9, beta2=0.99, eps=0.0)
    gradient = np.full(2, 1e-7, np.float16)
    # 0.1 * 1e-7 is below the smallest float16.
    assert step(np.zeros(2, np.float16), gradient).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("maximum", ["", "v", "v_hat"])
@pytest.mark.parametrize("eps", ["root of v_hat", "root of v", "in v_hat", "in v"])
def test_eps_stands_where_it_is_said_beside_each_maximum(
    eps: str, maximum: str
) -> None:
    behaviour = Behaviour(eps=eps, maximum=maximum)
    step = imitate(behaviour, lr=0.1, beta1=0.8, beta2=0.95, eps=0.02)
    m = v = v_max = v_hat_max = np.zeros(3)
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        weight = 1 - 0.95**t
        v_max, v_hat_max = np.maximum(v_max, v), np.maximum(v_hat_max, v / weight)
        used = {"": v, "v": v_max, "v_hat": v_hat_max * weight}[maximum]
        divisor = {
            "root of v_hat": np.sqrt(used / weight) + 0.02,
            "root of v": (np.sqrt(used) + 0.02) / np.sqrt(weight),
            "in v_hat": np.sqrt(used / weight + 0.02),
            "in v": np.sqrt((used + 0.02) / weight),
        }[eps]
        update = -0.1 * m / (1 - 0.8**t) / divisor
        np.testing.assert_allclose(step(np.zeros(3), g), update, rtol=1e-12)
