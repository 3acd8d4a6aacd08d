"""State that leaks, and arrays that do not belong to the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from adam_tutorial._types import Array
from adam_tutorial.checking import check_optimizer, from_torch, plain_adam
from adam_tutorial.study.notebook import edited
from tests.checking.lines import GATHER_V, V_HAT, names


def test_state_in_a_default_argument_is_found() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Callable[..., Any]:
        return lambda theta, gradient: stepped(theta, gradient, lr, beta1, beta2, eps)

    def stepped(
        theta: Array,
        g: Array,
        *settings: float,
        state: dict[str, Any] = {},  # noqa: B006
    ) -> Any:
        step = state.setdefault("step", plain_adam(*settings))
        return step(theta, g)

    assert names(check_optimizer(make)) == ["state shared"]


def test_state_that_each_new_program_takes_over_is_found() -> None:
    latest: list[Any] = []

    def make(**settings: float) -> Callable[..., Any]:
        latest[:] = [plain_adam(**settings)]
        return lambda theta, gradient: latest[0](theta, gradient)

    assert names(check_optimizer(make)) == ["state shared"]


def test_mistake_beside_a_shared_state_is_found_too() -> None:
    steps: dict[str, Any] = {}
    wrong = edited(plain_adam, (V_HAT, "v_hat = v"))

    def make(**settings: float) -> Callable[..., Any]:
        return lambda theta, gradient: steps.setdefault("only", wrong(**settings))(
            theta, gradient
        )

    assert names(check_optimizer(make)) == ["state shared", "bias correction missing"]


def test_state_that_leaks_hides_everything_else() -> None:
    steps: dict[str, Any] = {}
    unexplained = edited(plain_adam, (GATHER_V, "beta2 * v + (1 - beta2) * m**2"))

    def make(**settings: float) -> Callable[..., Any]:
        return lambda theta, gradient: steps.setdefault(
            "only", unexplained(**settings)
        )(theta, gradient)

    report = check_optimizer(make)
    assert names(report) == ["state shared"]
    assert report.verdict == "1 mistake; it does not agree with Algorithm 1"


class CountsParameters(torch.optim.Optimizer):
    """Its t counts parameters, not steps."""

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self.t = 0
        self.steps: dict[Any, Any] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                self.t += 1
                m, v = self.steps.setdefault(
                    p, (torch.zeros_like(p), torch.zeros_like(p))
                )
                m.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                v.mul_(beta2).add_(p.grad**2, alpha=1 - beta2)
                m_hat, v_hat = m / (1 - beta1**self.t), v / (1 - beta2**self.t)
                p -= group["lr"] * m_hat / (v_hat.sqrt() + group["eps"])


def test_optimizer_that_counts_parameters_instead_of_steps_is_found() -> None:
    assert names(check_optimizer(from_torch(CountsParameters))) == ["state shared"]


def test_gradient_that_is_kept_without_a_copy_is_found() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Callable[..., Any]:
        seen: list[Array] = []

        def step(theta: Array, gradient: Array) -> Any:
            seen.append(gradient)
            again = plain_adam(lr, beta1, beta2, eps)
            return [again(theta, g) for g in seen][-1]

        return step

    assert names(check_optimizer(make)) == ["gradient kept by reference"]


def test_gradient_that_a_torch_optimizer_writes_into_is_found() -> None:
    class Writes(torch.optim.Adam):
        def step(self, closure: Any = None) -> Any:
            result = super().step(closure)
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad.zero_()
            return result

    assert names(check_optimizer(from_torch(Writes))) == ["gradient changed in place"]
