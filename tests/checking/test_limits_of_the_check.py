"""How close the check looks, and what it must not remark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from adam_tutorial import reference
from adam_tutorial.checking import (
    Behaviour,
    check_optimizer,
    from_rule,
    from_torch,
    imitate,
    plain_adam,
)
from tests.checking.lines import names

Array = NDArray[Any]
Step = Callable[..., Any]


@pytest.mark.parametrize(("excess", "agrees"), [(3e-6, True), (3e-5, False)])
def test_steps_are_compared_to_five_digits(excess: float, agrees: bool) -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Step:
        return plain_adam(lr * (1 + excess), beta1, beta2, eps)

    assert check_optimizer(make).ok is agrees


class SharesMaximum(torch.optim.Optimizer):
    """AMSGrad with one maximum for all parameters of a shape."""

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self.maximum: Any = torch.zeros(())

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                state["t"] = state.get("t", 0) + 1
                state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * p.grad
                state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * p.grad**2
                self.maximum = torch.maximum(self.maximum, state["v"])
                root = (self.maximum / (1 - beta2 ** state["t"])).sqrt()
                m_hat = state["m"] / (1 - beta1 ** state["t"])
                p -= group["lr"] * m_hat / (root + group["eps"])


def test_maximum_that_parameters_share_is_found() -> None:
    # With the same gradients for both parameters, nothing would be seen.
    report = check_optimizer(from_torch(SharesMaximum), rule="AMSGrad")
    assert names(report) == ["state shared"]


def test_argument_that_a_rule_always_gets_is_a_setting_that_it_ignores() -> None:
    report = check_optimizer(from_rule(reference.adam, lr=1e-3))
    assert names(report) == ["setting ignored"]
    assert "lr is 0.001" in report.findings[0].seen


def test_earlier_points_of_a_torch_optimizer_stay_as_they_were() -> None:
    make = from_torch(torch.optim.Adam)
    step: Any = make(lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8)
    first: Any = step(np.ones(2), np.ones(2))
    before = first.copy()
    second: Any = step(first, np.ones(2))
    assert np.array_equal(first, before)
    assert (second < first).all()


def refusing(error: type[Exception]) -> Callable[..., Step]:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Step:
        step = plain_adam(lr, beta1, beta2, eps)

        def strict(theta: Array, gradient: Array) -> Any:
            if theta.dtype == np.float16:
                raise error("no half precision here")
            return step(theta, gradient)

        return strict

    return make


@pytest.mark.parametrize(
    "error", [TypeError, ValueError, RuntimeError, ZeroDivisionError]
)
def test_program_that_refuses_float16_in_any_way_gets_no_remark(
    error: type[Exception],
) -> None:
    assert check_optimizer(refusing(error)).remarks == ()


def test_nothing_is_said_of_float16_if_the_program_fails_in_float64_too() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Step:
        settings = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps}
        return imitate(Behaviour(eps="nothing"), **settings)

    report = check_optimizer(make)
    assert names(report) == ["eps has no effect"]
    assert report.remarks == ()
