"""Rules beside the optimizers of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import reference


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
    settings: dict[str, Any],
    torch_settings: dict[str, Any],
) -> None:
    history = np.random.default_rng(0).standard_normal((30, 4))
    theta = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = peer([theta], **torch_settings)
    points = reference.walk(getattr(reference, name), history, **settings).points
    for point, g in zip(points[1:], history, strict=True):
        theta.grad = torch.from_numpy(g)
        optimizer.step()
        np.testing.assert_allclose(
            theta.detach().numpy(), point, rtol=1e-10, atol=1e-13
        )
