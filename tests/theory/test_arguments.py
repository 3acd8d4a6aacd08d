"""Every closed form names the argument that is out of range, at both of its ends."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adam_tutorial import theory

NAN = math.nan
BELOW, ABOVE = -1e-9, 1.0
NOT_A_RATE = (BELOW, ABOVE, NAN)
NOT_POSITIVE = (0.0, -1.0, math.inf, NAN)

# Each function with arguments that are in order.
GOOD: dict[str, dict[str, Any]] = {
    "adagrad_length": {"t": 1},
    "adagrad_step": {"t": 1},
    "adam_floor": {"lr": 0.1, "noise": 1.0, "curvature": 1.0},
    "adamax_step_supremum": {"beta1": 0.9, "beta2": 0.999, "t": 1},
    "best_descent": {"smallest": 1.0, "largest": 1.0},
    "best_heavy_ball": {"smallest": 1.0, "largest": 1.0},
    "bias_correction": {"beta": 0.0, "t": 1},
    "constant_gradient_moments": {"g": 1.0, "t": 1},
    "cosine_factor": {"t": 1, "total": 1},
    "critical_beta2": {"gradients": [2.0, -1.0], "beta1": 0.0},
    "decaying_bias_correction": {"beta": 0.9, "factor": 1.0, "t": 1},
    "descent_rate": {"lr": 0.1, "curvatures": [1.0]},
    "effective_memory": {"beta": 0.0},
    "equilibrium_rms": {"lr": 0.1, "weight_decay": 0.1},
    "geometric_gradient_moments": {"c": 1.0, "ratio": -1.0, "t": 1},
    "half_life": {"beta": 0.0},
    "heavy_ball_rate": {"lr": 0.1, "beta": 0.0, "curvatures": [1.0]},
    "heavy_ball_sum": {"t": 1, "beta": 0.0},
    "jump_step": {"k": 1, "ratio": 2.0},
    "lazy_travel": {"beta1": 0.0, "beta2": 0.9},
    "lazy_update": {"k": 0, "beta1": 0.9, "beta2": 0.999},
    "lone_gradient_travel": {"beta1": 0.0, "beta2": 0.9},
    "mean_square_step_bound": {"steps": 1, "growth": 1.0, "before": 0.0},
    "mean_variance": {"t": 1, "beta": 0.0},
    "moving_average_weights": {"beta": 0.0, "t": 1},
    "nadam_momentum": {"t": 1, "beta1": 0.0},
    "noise_equilibrium_rms": {"lr": 0.1, "weight_decay": 0.1, "beta1": 0.0},
    "noise_floor": {"lr": 0.1, "curvature": 1.0, "variance": 1.0, "beta": 0.0},
    "noisy_step": {"snr": 0.0, "beta1": 0.0},
    "paper_step_bound": {"beta1": 0.0, "beta2": 0.0},
    "periodic_average": {"values": [1.0], "beta": 0.0},
    "radam_rho": {"t": 1, "beta2": 0.0},
    "rmsprop_cycle": {"lr": 0.1},
    "rmsprop_floor": {"lr": 0.1, "curvature": 1.0, "variance": 1.0},
    "rmsprop_step": {"t": 1, "beta": 0.0},
    "sde_scaling": {"kappa": 2.0, "beta1": 0.9, "beta2": 0.999},
    "spike_step": {"ratio": 2.0},
    "stability_limit": {"beta1": 0.0},
    "step_limit": {"curvature": 1.0, "beta": 0.0},
    "step_size_factor": {"t": 1},
    "step_supremum": {"t": 1},
    "step_supremum_gradients": {"t": 1},
    "untuned_warmup_steps": {"beta2": 0.0},
    "warmup_factor": {"t": 1, "steps": 0.0},
    "white_noise_rms": {"beta1": 0.0},
    "wsd_factor": {"t": 1, "total": 1, "decay": 1},
    "zeta": {"expected": [1.0], "beta": 0.0},
}
BAD: dict[str, tuple[Any, ...]] = {
    "beta": NOT_A_RATE,
    "beta1": NOT_A_RATE,
    "beta2": NOT_A_RATE,
    "t": (0, -1),
    "factor": (0.0, 1.1, NAN),
    "kappa": NOT_POSITIVE,
    "noise": NOT_POSITIVE,
    "curvature": NOT_POSITIVE,
    "curvatures": ([], [0.0], [1.0, -1.0], [math.inf], [NAN]),
    "variance": NOT_POSITIVE,
    "smallest": NOT_POSITIVE,
    "largest": NOT_POSITIVE,
    "growth": NOT_POSITIVE,
    "before": (math.inf, NAN),
    "snr": (math.inf, NAN),
    "steps": (-1,),
    "decay": (0,),
    "total": (0,),
}
# Where other values are out of range than for the other functions.
SPECIAL: dict[tuple[str, str], tuple[Any, ...]] = {
    ("geometric_gradient_moments", "ratio"): (0,),
    ("jump_step", "ratio"): NOT_POSITIVE,
    ("spike_step", "ratio"): NOT_POSITIVE,
    ("adam_floor", "lr"): NOT_POSITIVE,
    ("descent_rate", "lr"): NOT_POSITIVE,
    ("equilibrium_rms", "lr"): NOT_POSITIVE,
    ("equilibrium_rms", "weight_decay"): NOT_POSITIVE,
    ("heavy_ball_rate", "lr"): NOT_POSITIVE,
    ("noise_equilibrium_rms", "lr"): NOT_POSITIVE,
    ("noise_equilibrium_rms", "weight_decay"): NOT_POSITIVE,
    ("noise_floor", "lr"): NOT_POSITIVE,
    ("rmsprop_cycle", "lr"): NOT_POSITIVE,
    ("rmsprop_floor", "lr"): NOT_POSITIVE,
    ("mean_square_step_bound", "steps"): (0, NAN),
    ("jump_step", "k"): (0,),
    ("lazy_update", "k"): (-1, NAN),
}


def form(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(theory, name)
    return found


def cases() -> list[tuple[str, str, Any]]:
    return [
        (name, argument, value)
        for name, good in GOOD.items()
        for argument in good
        for value in SPECIAL.get((name, argument), BAD.get(argument, ()))
    ]


@pytest.mark.parametrize("name", GOOD)
def test_arguments_at_the_end_of_their_range_are_taken(name: str) -> None:
    assert np.isfinite(form(name)(**GOOD[name])).all()


@pytest.mark.parametrize(("name", "argument", "value"), cases())
def test_argument_out_of_range_is_named(name: str, argument: str, value: Any) -> None:
    given = {**GOOD[name], argument: value}
    with pytest.raises(ValueError, match=rf"^{argument} must .*got "):
        form(name)(**given)


@pytest.mark.parametrize("lr", [[[0.1]], "0.1"])
def test_rates_that_are_no_row_of_numbers_are_named(lr: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^lr must "):
        theory.adamw_shrink_factor(lr, 0.1)


def test_decay_rates_that_are_not_given_are_the_papers() -> None:
    papers = {"beta1": 0.9, "beta2": 0.999}
    forms = [one for one in map(form, theory.__all__) if inspect.isfunction(one)]
    found = [
        (parameter.name, parameter.default)
        for one in forms
        for parameter in inspect.signature(one).parameters.values()
        if parameter.name in papers and parameter.default is not parameter.empty
    ]
    assert len(found) > 20
    assert set(found) == set(papers.items())


def test_every_closed_form_is_in_the_table_or_has_tests_of_its_own() -> None:
    # Their arguments depend on each other, or are data.
    elsewhere = {
        "adamw_shrink_factor",
        "all_reduce_cost",
        "critical_excess",
        "expected_best",
        "memory",
        "paper_regret_bound",
        "periodic_drift",
        "radam_rectification",
        "rescaled_decay_rate",
        "rms_after",
        "steps_per_digit",
        "which_fits",
    }
    forms = {name for name in theory.__all__ if callable(getattr(theory, name))}
    checks = {name for name in forms if name.startswith("check_")}
    classes = {"Exchange", "Memory", "Option", "RegretBound"}
    assert forms == set(GOOD) | elsewhere | checks | classes
