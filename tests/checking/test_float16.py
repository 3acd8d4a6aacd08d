"""The remark about half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from adam_tutorial import optim, reference
from adam_tutorial._types import Array
from adam_tutorial.checking import check_optimizer, from_torch, plain_adam
from tests.checking.lines import Make


def test_float16_remark_is_made_where_a_zero_gradient_gives_nan() -> None:
    in_torch = check_optimizer(from_torch(torch.optim.Adam))
    in_float32 = check_optimizer(from_torch(optim.Adam))
    assert "eps in float16" in [remark.name for remark in in_torch.remarks]
    assert "eps in float16" not in [remark.name for remark in in_float32.remarks]


def test_float16_remark_says_which_gradients_do_harm() -> None:
    small = "theta becomes infinite for gradients below about 5e-3"

    def seen(make: Make) -> str:
        (remark,) = check_optimizer(make).remarks
        return remark.seen

    def in_half(after: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        def make(
            lr: float, beta1: float, beta2: float, eps: float
        ) -> Callable[..., Any]:
            state = None

            def step(theta: Array, gradient: Array) -> Array:
                nonlocal state
                state, update = reference.adam(
                    state, gradient, lr=lr, beta1=beta1, beta2=beta2, eps=eps
                )
                return np.asarray(theta + after(gradient, update))

            return step

        return make

    both = seen(in_half(lambda _, update: update))
    assert "0/0" in both
    assert small in both
    only_small = seen(
        in_half(lambda g, update: np.where(np.isnan(update) & (g == 0), 0, update))
    )
    assert "0/0" not in only_small
    assert small in only_small


def test_program_that_refuses_float16_gets_no_remark() -> None:
    def make(**settings: float) -> Callable[..., Any]:
        step = plain_adam(**settings)

        def strict(theta: Array, gradient: Array) -> Any:
            if theta.dtype != np.float64:
                raise TypeError("float64 only")
            return step(theta, gradient)

        return strict

    assert check_optimizer(make).remarks == ()
