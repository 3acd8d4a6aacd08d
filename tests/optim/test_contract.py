"""What an optimizer may say of itself: any state, any number of decay rates, theta."""

from __future__ import annotations

import inspect
from typing import Any, Unpack

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial.optim.averages import to_average
from adam_tutorial.optim.base import BaseOptimizer, Settings, Slot, State
from adam_tutorial.optim.hyperparameters import (
    COMMON,
    OWN_FLAGS,
    ForeachFlags,
    decay_rates,
)


class Composed(BaseOptimizer):
    """Three averages, a slow copy of theta, a running product and one number a row."""

    hyperparameters = COMMON | {"betas": decay_rates(3)}

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        betas: tuple[float, float, float] = (0.5, 0.75, 0.875),
        weight_decay: float = 0.0,
        **flags: Unpack[ForeachFlags],
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        super().__init__(params, defaults, flags)

    def slots(self, parameter: Tensor) -> tuple[Slot, ...]:
        return (
            Slot("first"),
            Slot("second", first=1.0),
            Slot("product", first=1.0, number=True),
            Slot("rows", shape=(parameter.shape[0], 1)),
        )

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        beta1, beta2, beta3 = settings["betas"]
        to_average(state["first"], g, beta1)
        to_average(state["second"], theta, beta2)
        state["product"] = state["product"] * beta3
        pull = (state["second"] - theta) * state["product"]
        update: Tensor = pull - state["first"] * settings["lr"]
        return update


def test_state_starts_as_it_is_described() -> None:
    theta = nn.Parameter(torch.zeros(2, 3, dtype=torch.bfloat16))
    theta.grad = torch.zeros_like(theta)
    optimizer = Composed([theta])
    optimizer._init_group(optimizer.param_groups[0])
    state = optimizer.state[theta]
    assert list(state) == ["step", "first", "second", "product", "rows"]
    assert state["first"].eq(0).all()
    assert state["second"].eq(1).all()
    assert state["product"].item() == 1
    assert state["product"].dtype == state["step"].dtype == torch.float64
    assert state["rows"].shape == (2, 1)
    assert {state[name].dtype for name in ("first", "second", "rows")} == {
        torch.float32
    }


@pytest.mark.parametrize("foreach", [None, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_rule_is_given_theta_and_assigns_numbers(
    foreach: bool | None, dtype: torch.dtype
) -> None:
    theta = nn.Parameter(torch.full((2, 1), 2.0, dtype=dtype))
    theta.grad = torch.ones_like(theta)
    optimizer = Composed([theta], foreach=foreach)
    optimizer.step()
    # first = 0.5; second = 0.75 * 1 + 0.25 * 2 = 1.25; product = 0.875
    expected = 2 + (1.25 - 2) * 0.875 - 0.5 * 0.1
    assert theta[0].item() == pytest.approx(
        expected, rel=1e-12 if foreach is None and dtype == torch.float64 else 1e-2
    )
    assert optimizer.state[theta]["product"].item() == 0.875
    optimizer.step()
    assert optimizer.state[theta]["product"].item() == 0.875**2


def test_checkpoint_of_any_state_is_checked_by_its_description() -> None:
    theta = nn.Parameter(torch.zeros(2, 3))
    theta.grad = torch.ones_like(theta)
    optimizer = Composed([theta])
    optimizer.step()
    saved = optimizer.state_dict()
    fresh = Composed([nn.Parameter(torch.zeros(2, 3))])
    fresh.load_state_dict(saved)
    assert fresh.state_dict()["state"][0]["product"].item() == 0.875
    for name, wrong, message in (
        (
            "rows",
            torch.zeros(2, 3),
            r"rows of parameter 0 has the shape \(2, 3\), but \(2, 1\) is right",
        ),
        (
            "first",
            torch.zeros(3, 2),
            r"first of parameter 0 has the shape \(3, 2\), but the parameter",
        ),
        ("product", float("nan"), "product of parameter 0 must be finite"),
    ):
        broken = {**saved, "state": {0: {**saved["state"][0], name: wrong}}}
        with pytest.raises(ValueError, match=message):
            fresh.load_state_dict(broken)
    missing = {
        name: value for name, value in saved["state"][0].items() if name != "rows"
    }
    with pytest.raises(ValueError, match="has no 'rows'"):
        fresh.load_state_dict({**saved, "state": {0: missing}})


def test_decay_rates_may_be_of_any_number() -> None:
    parameters = [nn.Parameter(torch.zeros(2, 3))]
    with pytest.raises(TypeError, match="betas must be 3 numbers"):
        Composed(parameters, betas=(0.9, 0.99))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"betas\[2\] must be in \[0, 1\)"):
        Composed(parameters, betas=(0.9, 0.99, 1.0))


def test_signature_lists_the_flags_and_others_are_refused() -> None:
    assert list(inspect.signature(Composed).parameters) == [
        *("params", "lr", "betas", "weight_decay"),
        *("foreach", "maximize", "capturable", "differentiable", *OWN_FLAGS),
    ]
    with pytest.raises(TypeError, match="Composed has no argument 'fused'"):
        Composed([nn.Parameter(torch.zeros(1, 1))], fused=True)  # type: ignore[call-arg]
