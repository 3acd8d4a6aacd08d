"""Correct programs of many kinds agree; what cannot be checked is refused."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import adam_tutorial
from adam_tutorial import optim, reference
from adam_tutorial._types import Array
from adam_tutorial.checking import (
    Behaviour,
    check_optimizer,
    from_rule,
    from_torch,
    imitate,
    plain_adam,
)
from adam_tutorial.study.notebook import edited
from tests.checking.lines import RETURN, ROOT, names, without_decay

RIGHT: list[tuple[Any, str, str]] = [
    (plain_adam, "Adam", "Algorithm 1"),
    (from_rule(reference.adam), "Adam", "Algorithm 1"),
    (from_rule(reference.adam_efficient), "Adam", "the efficient order (eps-hat)"),
    (from_torch(optim.Adam), "Adam", "Algorithm 1"),
    (from_torch(torch.optim.Adam), "Adam", "Algorithm 1"),
    (from_torch(optim.AdamW), "Adam", "Algorithm 1"),
    (from_torch(torch.optim.AdamW), "AdamW", "AdamW: decay beside Algorithm 1"),
    (from_torch(optim.AdamW), "AdamW", "AdamW: decay beside Algorithm 1"),
    (from_rule(reference.adamw), "AdamW", "AdamW: decay beside Algorithm 1"),
    (
        from_rule(reference.adamw, decay_times_lr=False),
        "AdamW",
        "AdamW: decay beside Algorithm 1",
    ),
    (
        from_torch(torch.optim.Adam, amsgrad=True),
        "AMSGrad",
        "AMSGrad, with the maximum of v, ",
    ),
    (from_rule(reference.amsgrad), "AMSGrad", "AMSGrad, with the maximum of v, "),
    (
        from_rule(reference.amsgrad, maximum_of="v_hat"),
        "AMSGrad",
        "AMSGrad, with the maximum of the corrected",
    ),
    (
        from_rule(reference.amsgrad, correct_bias=False),
        "AMSGrad",
        "AMSGrad, without bias correction",
    ),
]


@pytest.mark.parametrize(("make", "rule", "name"), RIGHT)
def test_right_program_agrees(make: Any, rule: str, name: str) -> None:
    report = check_optimizer(make, rule=rule)
    assert report.ok, str(report)
    assert report.verdict.startswith(f"agrees with {name}")


def test_program_that_changes_theta_in_place_and_returns_nothing_agrees() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Callable[..., None]:
        step = plain_adam(lr, beta1, beta2, eps)

        def in_place(theta: Array, gradient: Array) -> None:
            theta[:] = step(theta, gradient)

        return in_place

    report = check_optimizer(make)
    assert report.verdict == "agrees with Algorithm 1"
    (remark,) = report.remarks
    assert remark.name == "theta in place"
    assert remark.right == "either way is right"


def test_program_that_computes_in_float32_agrees() -> None:
    def make(**settings: Any) -> Callable[..., Any]:
        state = None

        def step(theta: Array, gradient: Array) -> Array:
            nonlocal state
            state, update = reference.adam(
                state, gradient.astype(np.float32), **settings
            )
            return np.asarray(theta + update)

        return step

    assert check_optimizer(make).verdict == "agrees with Algorithm 1"


def test_program_that_keeps_its_parameters_in_float32_agrees() -> None:
    def make(**settings: Any) -> Callable[..., Any]:
        step = plain_adam(**settings)
        return lambda theta, g: np.asarray(
            step(theta.astype(np.float32), g), np.float32
        )

    assert check_optimizer(make).verdict == "agrees with Algorithm 1"


def test_optax_agrees_in_its_float32() -> None:
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")

    @functools.cache
    def made(*settings: float) -> Any:
        adam = optax.adam(*settings)
        return adam, jax.jit(adam.update)

    def rule(
        state: Any, g: Array, *, lr: float, beta1: float, beta2: float, eps: float
    ) -> Any:
        adam, updates = made(lr, beta1, beta2, eps)
        update, state = updates(g, state or adam.init(g))
        return state, update

    assert check_optimizer(from_rule(rule)).verdict == "agrees with Algorithm 1"


def test_program_that_knows_parameters_by_their_arrays_agrees() -> None:
    def make(**settings: float) -> Callable[..., Any]:
        steps: dict[int, Any] = {}
        return lambda theta, gradient: steps.setdefault(
            id(theta), plain_adam(**settings)
        )(theta, gradient)

    assert check_optimizer(make).ok


def test_amsgrad_is_no_adam_and_adam_no_amsgrad() -> None:
    amsgrad, adam = (
        from_torch(torch.optim.Adam, amsgrad=True),
        from_torch(torch.optim.Adam),
    )
    assert names(check_optimizer(amsgrad)) == ["takes a maximum, as AMSGrad does"]
    assert names(check_optimizer(adam, rule="AMSGrad")) == ["takes no maximum"]


def test_amsgrad_with_eps_hat_is_that_of_keras() -> None:
    behaviour = Behaviour(maximum="v", eps="root of v")
    report = check_optimizer(
        lambda lr, beta1, beta2, eps: imitate(
            behaviour, lr=lr, beta1=beta1, beta2=beta2, eps=eps
        ),
        rule="AMSGrad",
    )
    assert report.ok
    assert report.verdict.endswith("(Keras)")


def test_package_offers_the_check() -> None:
    assert adam_tutorial.check_optimizer is check_optimizer


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="rule must be one of"):
        check_optimizer(plain_adam, rule="SGD")


def test_adamw_without_a_decay_is_refused() -> None:
    with pytest.raises(ValueError, match="must have a parameter weight_decay"):
        check_optimizer(without_decay(plain_adam), rule="AdamW")


def test_program_without_the_settings_is_refused() -> None:
    with pytest.raises(TypeError, match="it has no beta1, beta2, eps"):
        check_optimizer(lambda lr: lr)


def test_step_that_returns_another_shape_is_reported() -> None:
    program = edited(
        plain_adam, (RETURN, "return theta.sum() - lr * m_hat.sum()"), (ROOT, "1")
    )
    (finding,) = check_optimizer(program).findings
    assert finding.name == "wrong shape"
    assert "theta with its shape (4,), got ()" in finding.seen


def test_step_that_wants_another_kind_of_number_is_reported_with_its_own_error() -> (
    None
):
    program = edited(plain_adam, (ROOT, "(math.sqrt(v_hat) + eps)"))
    program.__globals__["math"] = math
    (finding,) = check_optimizer(program).findings
    assert finding.name == "raises an error"
    assert finding.seen.startswith("step 1 raises TypeError: ")
