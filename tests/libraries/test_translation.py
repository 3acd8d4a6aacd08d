"""What the translator says and refuses; tests/peers prove that it is right."""

from __future__ import annotations

import math

import pytest

from adam_tutorial.libraries import translate
from adam_tutorial.libraries.table import TABLE, Library
from adam_tutorial.theory import nadam_momentum


def test_unknown_library_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        ValueError, match=r"library must be one of \['adam_tutorial', .*'jax'"
    ):
        translate({}, source="jax", target="torch")  # type: ignore[arg-type]


def test_unknown_argument_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(
        ValueError, match="has no 'learning_rat' here; meant 'learning_rate'"
    ):
        translate({"learning_rat": 0.1}, source="keras", target="torch")
    with pytest.raises(
        ValueError, match=r"has no 'fused' here; it takes \['betas', 'eps', 'lr'"
    ):
        translate({"fused": True}, source="torch", target="keras")


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


def test_value_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(TypeError, match="lr must be a number, got 'fast'"):
        translate({"lr": "fast"}, source="torch", target="keras")
    for betas in (0.9, (0.9,), (0.9, 0.99, 0.999)):
        with pytest.raises(ValueError, match="betas must be two numbers, got"):
            translate({"betas": betas}, source="torch", target="keras")
    with pytest.raises(TypeError, match="learning_rate must be a number, got None"):
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
        "with another base learning rate, only one of the two decays changes with it"
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


def test_decoupled_decay_of_keras_is_referred_to_the_optimizer_that_has_it() -> None:
    settings = {"weight_decay": 0.1, "epsilon": 0}
    cases: list[tuple[str, Library]] = [
        ("adam", "torch"),
        ("nadam", "optax"),
        ("amsgrad", "torch"),
    ]
    for optimizer, target in cases:
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


def test_momentum_is_halfway_after_17_over_momentum_decay_steps() -> None:
    # Halfway from beta1/2 to beta1.
    assert nadam_momentum(17, 0.9, 1.0) == pytest.approx(0.675, rel=1e-3)
    assert nadam_momentum(4250, 0.9, 4e-3) == pytest.approx(0.675, rel=1e-3)
