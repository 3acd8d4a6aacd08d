"""What the translator says and refuses; that it is right is proved in tests/peers."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import optim, reference
from adam_tutorial.libraries import (
    conventions,
    eps_at,
    eps_hat_at,
    eps_hat_lag,
    largest_eps_hat_lag,
    translate,
)
from adam_tutorial.libraries.table import TABLE
from adam_tutorial.theory import nadam_momentum


def test_unknown_library_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        ValueError, match=r"library must be one of \['adam_tutorial', .*'jax'"
    ):
        translate({}, source="jax", target="torch")


def test_unknown_optimizer_is_refused_with_those_that_the_library_has() -> None:
    with pytest.raises(
        ValueError, match=r"keras has \[.*'nadamw'\], got optimizer='radam'"
    ):
        conventions("keras", "radam")


def test_unknown_argument_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(
        ValueError, match="has no 'learning_rat' here; meant 'learning_rate'"
    ):
        translate({"learning_rat": 0.1}, source="keras", target="torch")
    with pytest.raises(
        ValueError, match=r"has no 'fused' here; it takes \['betas', 'eps', 'lr'"
    ):
        translate({"fused": True}, source="torch", target="keras")


@pytest.mark.parametrize(
    ("library", "module"), [("torch", torch.optim), ("adam_tutorial", optim)]
)
def test_defaults_of_the_table_are_those_of_the_classes(
    library: str, module: Any
) -> None:
    for convention in TABLE[library].values():
        kind = getattr(module, convention.name.rpartition(".")[2])
        found = {
            name: parameter.default
            for name, parameter in inspect.signature(kind).parameters.items()
        }
        assert found["betas"] == (
            convention.defaults["beta1"],
            convention.defaults["beta2"],
        )
        for name in ("lr", "eps", "weight_decay", "momentum_decay"):
            if name in convention.arguments:
                assert found[name] == convention.defaults[name], convention.name


def test_every_pair_of_libraries_translates_what_both_have() -> None:
    for source, names in TABLE.items():
        for target, others in TABLE.items():
            for optimizer in names.keys() & others.keys():
                moved = translate({}, source=source, target=target, optimizer=optimizer)
                convention = others[optimizer]
                # The switches of Optax's AMSGrad are there when they are needed.
                switches = {"bias_correction_mu", "bias_correction_nu"}
                assert set(moved.arguments) - switches == (
                    {*convention.arguments.values(), *convention.fixed} - switches
                )
                if source == target:
                    assert moved.differences == ()


def test_there_and_back_gives_the_settings_again() -> None:
    settings = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.03}
    for target in ("optax", "keras", "paper"):
        there = translate(settings, source="torch", target=target, optimizer="adamw")
        back = translate(
            there.arguments, source=target, target="torch", optimizer="adamw"
        )
        assert back.arguments["weight_decay"] == pytest.approx(0.03)
        assert {**back.arguments, "weight_decay": 0.03} == settings


def test_defaults_of_the_source_are_written_out_for_the_target() -> None:
    moved = translate({}, source="keras", target="torch", optimizer="adamw")
    assert moved.name == "torch.optim.AdamW"
    assert moved.arguments == {
        "lr": 1e-3,
        "betas": (0.9, 0.999),
        "eps": 1e-7,
        "weight_decay": 4e-3,
    }


def test_amsgrad_is_asked_for_where_it_is_an_argument() -> None:
    moved = translate({"b2": 0.99}, source="optax", target="torch", optimizer="amsgrad")
    assert moved.arguments["amsgrad"] is True
    assert moved.arguments["betas"] == (0.9, 0.99)
    back = translate(
        {"amsgrad": True, "lr": 0.1},
        source="torch",
        target="optax",
        optimizer="amsgrad",
    )
    assert back.arguments["learning_rate"] == 0.1
    with pytest.raises(ValueError, match="has no 'amsgrad' here"):
        translate(
            {"amsgrad": False}, source="torch", target="optax", optimizer="amsgrad"
        )


def test_eps_is_named_with_its_factor_at_the_first_step() -> None:
    to_keras = translate({"eps": 1e-4}, source="torch", target="keras")
    assert to_keras.arguments["epsilon"] == 1e-4
    assert (
        "the same number acts like one 31.6 times larger at t = 1"
        in to_keras.differences[0]
    )
    to_torch = translate(
        {"epsilon": 1e-4, "beta_2": 0.99}, source="keras", target="torch"
    )
    assert "acts like one 10 times smaller at t = 1" in to_torch.differences[0]
    assert translate({"eps": 0.0}, source="torch", target="keras").differences == ()


def test_eps_and_eps_hat_are_turned_into_each_other() -> None:
    assert eps_at(1e-4, 1, beta2=0.99) == pytest.approx(1e-3)
    assert eps_hat_at(1e-3, 1, beta2=0.99) == pytest.approx(1e-4)
    assert eps_at(eps_hat_at(0.3, 7), 7) == pytest.approx(0.3, rel=1e-15)
    assert eps_at(1e-4, 10**6) == pytest.approx(1e-4)
    for function in (eps_at, eps_hat_at):
        with pytest.raises(ValueError, match="t must"):
            function(1e-8, 0)


def test_lag_of_eps_hat_is_what_two_runs_are_apart() -> None:
    g, eps, steps = 1e-5, 1e-6, 300
    total = np.zeros(2)
    states: list[Any] = [None, None]
    for _ in range(steps):
        states[0], a = reference.adam(states[0], g, lr=1.0, eps=eps)
        states[1], b = reference.adam_efficient(states[1], g, lr=1.0, eps_hat=eps)
        total += a, b
    assert eps_hat_lag(eps, g, steps) == pytest.approx(total[1] - total[0], rel=1e-9)
    assert eps_hat_lag(eps, g, 0) == 0
    assert eps_hat_lag(0.0, g, 10) == 0


def test_lag_of_another_number_grows_with_the_steps() -> None:
    g, eps, hat, steps = 3.3e-4, 1e-8, 1e-7, 160
    total = np.zeros(2)
    states: list[Any] = [None, None]
    for _ in range(steps):
        states[0], a = reference.adam(states[0], g, lr=1.0, eps=eps)
        states[1], b = reference.adam_efficient(states[1], g, lr=1.0, eps_hat=hat)
        total += a, b
    lag = eps_hat_lag(eps, g, steps, eps_hat=hat)
    assert lag == pytest.approx(total[1] - total[0], rel=1e-9)
    # The lag of one number, and a constant share of every step, which goes on for ever.
    share = g / (g + eps) - g / (g + hat)
    assert lag == pytest.approx(eps_hat_lag(hat, g, steps) + steps * share, rel=1e-9)
    assert share < (hat - eps) / g
    assert eps_hat_lag(eps, g, 100_000, eps_hat=hat) > 10 * largest_eps_hat_lag(hat, g)
    with pytest.raises(
        ValueError, match=r"eps_hat must be finite and not negative, got -1\.0"
    ):
        eps_hat_lag(eps, g, 1, eps_hat=-1.0)


def test_lag_of_eps_hat_comes_near_its_bound_and_stays_below() -> None:
    for beta2 in (0.9, 0.99):
        lag, bound = (
            eps_hat_lag(1e-9, 1.0, 5000, beta2),
            largest_eps_hat_lag(1e-9, 1.0, beta2),
        )
        assert 0.69 < lag / bound < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1.0, 1.0), "eps must be finite and not negative, got -1.0"),
        ((math.inf, 1.0), "eps must be finite"),
        ((1e-8, 0.0), "size must be positive and finite, got 0.0"),
        ((1e-8, math.nan), "size must be positive"),
    ],
)
def test_lag_refuses_sizes_that_are_none(
    arguments: tuple[float, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        eps_hat_lag(*arguments, 10)
    with pytest.raises(ValueError, match=said):
        largest_eps_hat_lag(*arguments)


def test_lag_refuses_steps_and_rates_out_of_range() -> None:
    with pytest.raises(ValueError, match="steps must not be negative, got -1"):
        eps_hat_lag(1e-8, 1.0, -1)
    for beta2 in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"beta2 must be in \(0, 1\), got"):
            largest_eps_hat_lag(1e-8, 1.0, beta2)


def test_value_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="lr must be a number here, got 'fast'"):
        translate({"lr": "fast"}, source="torch", target="keras")
    for betas in (0.9, (0.9,), (0.9, 0.99, 0.999)):
        with pytest.raises(ValueError, match="betas must be two numbers, got"):
            translate({"betas": betas}, source="torch", target="keras")
    with pytest.raises(
        ValueError, match="learning_rate must be a number here, got None"
    ):
        translate({"learning_rate": None}, source="keras", target="torch")


def test_no_decay_is_none_in_keras() -> None:
    moved = translate(
        {"weight_decay": None}, source="keras", target="torch", optimizer="adam"
    )
    assert moved.arguments["weight_decay"] == 0


def test_decay_that_has_no_counterpart_is_left_out_and_named() -> None:
    moved = translate(
        {"weight_decay": 0.1, "eps": 0},
        source="torch",
        target="keras",
        optimizer="adam",
    )
    assert moved.arguments["weight_decay"] == 0
    assert moved.differences == (
        (
            "weight_decay=0.1 is left out: torch adds it to the gradient, keras shrinks"
            " the parameter by it, and no value makes the two equal;"
            " keras.regularizers.L2(0.05) is the penalty"
        ),
    )
    bare = translate(
        {"weight_decay": 0.1}, source="torch", target="optax", optimizer="adam"
    )
    assert "weight_decay" not in bare.arguments
    assert "optax has none" in bare.differences[0]


def test_decay_of_the_paper_is_multiplied_by_the_learning_rate() -> None:
    moved = translate(
        {"lr": 1e-3, "weight_decay": 1e-2},
        source="torch",
        target="paper",
        optimizer="adamw",
    )
    assert moved.arguments["lambda"] == pytest.approx(1e-5)
    assert "lambda=1e-05 is right for the learning rate 0.001" in moved.differences[0]
    assert (
        "with another learning rate to begin with, only one of the two decays follows"
        in (moved.differences[0])
    )
    frozen = translate(
        {"alpha": 0, "lambda": 0.1}, source="paper", target="torch", optimizer="adamw"
    )
    assert frozen.arguments["weight_decay"] == 0
    assert frozen.differences == (
        (
            "weight_decay=0.1 is left out: paper shrinks the parameter by it, torch"
            " shrinks the parameter by it, and no value makes the two equal"
        ),
    )


def test_adamax_of_the_paper_has_no_eps() -> None:
    moved = translate({}, source="torch", target="paper", optimizer="adamax")
    assert moved.differences == (
        "paper has no eps: it divides by 0 where every gradient was 0",
    )


def test_momentum_of_nadam_is_fixed_outside_torch() -> None:
    moved = translate({}, source="torch", target="optax", optimizer="nadam")
    assert (
        "momentum_decay=0.004 has no counterpart: in optax it is always inf"
        in (moved.differences[0])
    )
    back = translate({}, source="optax", target="torch", optimizer="nadam")
    assert 0.96 ** back.arguments["momentum_decay"] == 0
    assert math.isfinite(back.arguments["momentum_decay"])
    assert back.differences == ()


def test_decoupled_decay_of_keras_is_sent_to_the_optimizer_that_has_it() -> None:
    settings = {"weight_decay": 0.1, "epsilon": 0}
    for optimizer, target in (
        ("adam", "torch"),
        ("nadam", "optax"),
        ("amsgrad", "torch"),
    ):
        left_out = translate(
            settings, source="keras", target=target, optimizer=optimizer
        )
        assert left_out.arguments.get("weight_decay", 0) == 0
        better = f"{optimizer}w"
        assert any(
            f"translate it as optimizer='{better}'" in x for x in left_out.differences
        )
        moved = translate(settings, source="keras", target=target, optimizer=better)
        assert moved.arguments["weight_decay"] == 0.1


def test_adabelief_of_optax_has_two_eps_and_ours_one() -> None:
    there = translate(
        {"eps": 1e-8}, source="adam_tutorial", target="optax", optimizer="adabelief"
    )
    assert (there.arguments["eps"], there.arguments["eps_root"]) == (1e-8, 1e-8)
    assert there.differences == ()
    back = translate(
        {"eps": 1e-8}, source="optax", target="adam_tutorial", optimizer="adabelief"
    )
    assert back.arguments["eps"] == 1e-8
    assert back.differences[0].startswith(
        "eps_in_s=1e-16 has no counterpart: in adam_tutorial it is always 1e-08; it is"
        " added to s"
    )


def test_tensorflow_has_the_formulas_of_keras() -> None:
    for optimizer in TABLE["keras"]:
        for source in ("keras", "tensorflow"):
            moved = translate({}, source=source, target="keras", optimizer=optimizer)
            assert moved.differences == ()
    moved = translate({}, source="tensorflow", target="torch")
    assert moved.differences[0].startswith(
        "tensorflow adds eps=1e-07 to the root of v, torch"
    )


def test_amsgrad_of_the_paper_corrects_no_bias() -> None:
    to_optax = translate({}, source="paper", target="optax", optimizer="amsgrad")
    assert to_optax.arguments["bias_correction_nu"] is False
    assert to_optax.differences == ()
    back = translate(
        to_optax.arguments, source="optax", target="torch", optimizer="amsgrad"
    )
    assert [x.split()[0] for x in back.differences] == [
        "correct_m=False",
        "correct_v=False",
    ]


def test_half_of_the_way_of_the_momentum_takes_17_over_momentum_decay_steps() -> None:
    # Half of the way from beta1/2 to beta1.
    assert nadam_momentum(17, 0.9, 1.0) == pytest.approx(0.675, rel=1e-3)
    assert nadam_momentum(4250, 0.9, 4e-3) == pytest.approx(0.675, rel=1e-3)
