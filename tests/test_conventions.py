"""What the translator says and refuses; that it is right is proved in tests/peers."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch

from adam_tutorial import optim
from adam_tutorial.conventions import TABLE, conventions, eps_hat_factor, translate


def test_unknown_library_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"library must be one of \['adam_tutorial', .*'jax'"):
        translate({}, source="jax", target="torch")


def test_unknown_optimizer_is_refused_with_those_that_the_library_has() -> None:
    with pytest.raises(ValueError, match=r"keras has \[.*'nadam'\], got optimizer='radam'"):
        conventions("keras", "radam")


def test_unknown_argument_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ValueError, match="has no 'learning_rat' here; meant 'learning_rate'"):
        translate({"learning_rat": 0.1}, source="keras", target="torch")
    with pytest.raises(ValueError, match=r"has no 'fused' here; it takes \['betas', 'eps', 'lr'"):
        translate({"fused": True}, source="torch", target="keras")


@pytest.mark.parametrize(("library", "module"), [("torch", torch.optim), ("adam_tutorial", optim)])
def test_defaults_of_the_table_are_those_of_the_classes(library: str, module: Any) -> None:
    for convention in TABLE[library].values():
        kind = getattr(module, convention.name.rpartition(".")[2])
        found = {
            name: parameter.default
            for name, parameter in inspect.signature(kind).parameters.items()
        }
        assert found["betas"] == (convention.defaults["beta1"], convention.defaults["beta2"])
        for name in ("lr", "eps", "weight_decay", "momentum_decay"):
            if name in convention.arguments:
                assert found[name] == convention.defaults[name], convention.name


def test_every_pair_of_libraries_translates_what_both_have() -> None:
    for source, names in TABLE.items():
        for target, others in TABLE.items():
            for optimizer in names.keys() & others.keys():
                moved = translate({}, source=source, target=target, optimizer=optimizer)
                assert set(moved.arguments) == {
                    *others[optimizer].arguments.values(),
                    *others[optimizer].fixed,
                }
                if source == target and optimizer != "nadam":
                    assert moved.differences == ()


def test_there_and_back_gives_the_settings_again() -> None:
    settings = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.03}
    for target in ("optax", "keras", "paper"):
        there = translate(settings, source="torch", target=target, optimizer="adamw")
        back = translate(there.arguments, source=target, target="torch", optimizer="adamw")
        assert back.arguments["weight_decay"] == pytest.approx(0.03)
        assert {**back.arguments, "weight_decay": 0.03} == settings


def test_defaults_of_the_source_are_written_out_for_the_target() -> None:
    moved = translate({}, source="keras", target="torch", optimizer="adamw")
    assert moved.name == "torch.optim.AdamW"
    assert moved.arguments == {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-7, "weight_decay": 4e-3}


def test_amsgrad_is_asked_for_where_it_is_an_argument() -> None:
    moved = translate({"b2": 0.99}, source="optax", target="torch", optimizer="amsgrad")
    assert moved.arguments["amsgrad"] is True
    assert moved.arguments["betas"] == (0.9, 0.99)
    back = translate(
        {"amsgrad": True, "lr": 0.1}, source="torch", target="optax", optimizer="amsgrad"
    )
    assert back.arguments["learning_rate"] == 0.1
    with pytest.raises(ValueError, match="has no 'amsgrad' here"):
        translate({"amsgrad": False}, source="torch", target="optax", optimizer="amsgrad")


def test_eps_is_named_with_its_factor_at_the_first_step() -> None:
    to_keras = translate({"eps": 1e-4}, source="torch", target="keras")
    assert to_keras.arguments["epsilon"] == 1e-4
    assert "acts like one 31.6 times larger at t = 1" in to_keras.differences[0]
    to_torch = translate({"epsilon": 1e-4, "beta_2": 0.99}, source="keras", target="torch")
    assert "acts like one 10 times smaller at t = 1" in to_torch.differences[0]
    assert translate({"eps": 0.0}, source="torch", target="keras").differences == ()
    assert eps_hat_factor(1, 0.99) == pytest.approx(10)


def test_decay_that_has_no_counterpart_is_left_out_and_named() -> None:
    moved = translate({"weight_decay": 0.1, "eps": 0}, source="torch", target="keras")
    assert moved.arguments["weight_decay"] == 0
    assert moved.differences == (
        "weight_decay=0.1 is left out: torch adds it to the gradient, keras shrinks the parameter "
        "by it, and no value makes the two equal",
    )
    bare = translate({"weight_decay": 0.1}, source="torch", target="optax")
    assert "weight_decay" not in bare.arguments
    assert "optax has none" in bare.differences[0]


def test_decay_of_the_paper_is_multiplied_by_the_learning_rate() -> None:
    moved = translate(
        {"lr": 1e-3, "weight_decay": 1e-2}, source="torch", target="paper", optimizer="adamw"
    )
    assert moved.arguments["lambda"] == pytest.approx(1e-5)
    assert "when a schedule changes it, only one of the two decays follows" in moved.differences[0]


def test_adamax_of_the_paper_has_no_eps() -> None:
    moved = translate({}, source="torch", target="paper", optimizer="adamax")
    assert moved.differences == ("paper has no eps: it divides by 0 where every gradient was 0",)


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
