from __future__ import annotations

import inspect
from typing import Any

import pytest

from adam_tutorial import reference

DEFAULTS: dict[str, dict[str, Any]] = {
    "gradient_descent": {"lr": 0.01},
    "momentum": {"lr": 0.01, "beta": 0.9, "nesterov": False},
    "adagrad": {"lr": 0.01, "eps": 1e-10},
    "rmsprop": {"lr": 0.01, "beta": 0.99, "eps": 1e-8, "centered": False},
    "adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
    "adam": {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "correct_bias": True,
    },
    "adam_efficient": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps_hat": 1e-8},
    "adam_regret": {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "beta1_factor": 1 - 1e-8,
    },
    "adamax": {"lr": 2e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "temporal_average": {"beta2": 0.999},
    "lion": {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
    "amsgrad": {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "maximum_of": "v",
        "correct_bias": True,
    },
    "nadam": {
        "lr": 2e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "momentum_decay": 4e-3,
    },
    "radam": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "threshold": 5.0},
    "adam_l2": {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
    },
    "adamw": {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 1e-2,
        "decay_times_lr": True,
    },
    "adabelief": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-16},
    "adafactor": {
        "lr": 1e-2,
        "beta2_decay": -0.8,
        "eps": (None, 1e-3),
        "d": 1.0,
        "weight_decay": 0.0,
    },
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_paper_or_pytorch(name: str) -> None:
    parameters = inspect.signature(getattr(reference, name)).parameters.values()
    found = {
        p.name: p.default
        for p in parameters
        if p.default is not inspect.Parameter.empty
    }
    assert found == DEFAULTS[name]
