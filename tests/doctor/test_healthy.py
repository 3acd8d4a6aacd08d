"""Healthy runs of all kinds: the doctor says that nothing was found."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, AdamW, NAdam, Optimizer, RAdam
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from adam_tutorial import optim
from adam_tutorial.doctor import Report, watch
from adam_tutorial.study.objectives import Quadratic, Rosenbrock
from tests.doctor.runs import Loop, follow, found, new_model, watched

Make = Callable[..., Optimizer]

# Defaults and tuned settings of the chapters; steps of a CNN or of the reviews take
# ten times as long as those of the dense network.
RUNS: dict[str, tuple[str, Make, int]] = {
    "digits, dense, torch's Adam": ("dense", Adam, 200),
    "digits, dense, tuned": ("dense", partial(optim.Adam, lr=0.01), 200),
    "digits, dense, AdamW": ("dense", AdamW, 100),
    "digits, dense, ours, AdamW": ("dense", optim.AdamW, 100),
    "digits, dense, strong decay": (
        "dense",
        partial(optim.AdamW, lr=3e-3, weight_decay=0.1),
        100,
    ),
    "digits, dense, torch's fused": ("dense", partial(AdamW, fused=True), 100),
    "digits, dense, amsgrad": ("dense", partial(Adam, amsgrad=True), 100),
    "digits, dense, NAdam": ("dense", NAdam, 100),
    "digits, dense, RAdam": ("dense", RAdam, 100),
    "digits, dense, ours, NAdam": ("dense", optim.NAdam, 100),
    "digits, dense, ours, RAdam": ("dense", optim.RAdam, 100),
    "digits, dense, short memory": (
        "dense",
        partial(optim.Adam, betas=(0.9, 0.95)),
        100,
    ),
    "digits, dense, no momentum": ("dense", partial(Adam, betas=(0.0, 0.999)), 100),
    "digits, dense, 8 bits": (
        "dense",
        partial(optim.Adam, state_dtype=torch.uint8),
        100,
    ),
    "digits, dense, 16 bits": (
        "dense",
        partial(optim.AdamW, state_dtype=torch.bfloat16),
        100,
    ),
    "digits, dense, foreach": ("dense", partial(optim.Adam, foreach=True), 100),
    "digits, dense, fine-tuning": ("dense", partial(AdamW, lr=1e-5), 120),
    "digits, CNN, default": ("cnn", Adam, 60),
    "digits, CNN, tuned": ("cnn", partial(optim.Adam, lr=0.01), 60),
    "digits, CNN, AdamW": ("cnn", partial(AdamW, weight_decay=0.1), 60),
    "reviews, default": ("textcnn", Adam, 60),
    "reviews, tuned": ("textcnn", partial(optim.Adam, lr=3.2e-3), 60),
    "reviews, AdamW": ("textcnn", optim.AdamW, 40),
}


def assert_silent(report: Report) -> None:
    assert found(report) == [], str(report)
    assert report.verdict.startswith("nothing found in ")


@pytest.mark.parametrize("case", RUNS)
def test_nothing_is_found_in_runs_of_the_chapters(case: str) -> None:
    name, make, steps = RUNS[case]
    assert_silent(watched(name, make, steps))


@pytest.mark.parametrize("kind", [Adam, optim.Adam])
@pytest.mark.parametrize("name", ["dense", "textcnn"])
def test_nothing_is_found_in_bfloat16(name: str, kind: Make) -> None:
    prepare: Callable[[nn.Module], object] = lambda model: model.bfloat16()
    assert_silent(watched(name, kind, 60, prepare=prepare))


def warm_up(optimizer: Optimizer) -> SequentialLR:
    return SequentialLR(
        optimizer,
        [LinearLR(optimizer, 1e-3, total_iters=30), CosineAnnealingLR(optimizer, 90)],
        [30],
    )


SCHEDULES: dict[str, Callable[[Optimizer], Any]] = {
    "cosine": lambda o: CosineAnnealingLR(o, 120),
    "one cycle": lambda o: OneCycleLR(o, 1e-2, 121),
    "warm-up from zero": lambda o: LambdaLR(o, lambda t: min(1.0, t / 100)),
    "warm-up, then cosine": warm_up,
    "stairs": lambda o: StepLR(o, 40),
}


@pytest.mark.filterwarnings("ignore:.*epoch parameter.*")
@pytest.mark.parametrize("kind", [AdamW, optim.Adam])
@pytest.mark.parametrize("handed", [True, False])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_nothing_is_found_with_a_schedule(
    schedule: str, handed: bool, kind: Make
) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters(), lr=1e-3)
    scheduler = SCHEDULES[schedule](optimizer)
    with watch(optimizer, model, scheduler=scheduler if handed else None) as doctor:
        Loop(scheduler=scheduler).run(model, optimizer, "dense", 120)
    assert_silent(doctor.report())


def test_nothing_is_found_with_a_plateau_that_is_never_reached() -> None:
    model = new_model("dense")
    optimizer = optim.Adam(model.parameters())
    scheduler = ReduceLROnPlateau(optimizer)
    step: Callable[[int], None] = lambda t: scheduler.step(1.0 / t)
    with watch(optimizer, model, scheduler=scheduler) as doctor:
        Loop(after=step).run(model, optimizer, "dense", 60)
    assert_silent(doctor.report())


@pytest.mark.parametrize("kind", [Adam, optim.AdamW])
def test_nothing_is_found_in_a_run_that_was_resumed(kind: Make) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters())
    scheduler = CosineAnnealingLR(optimizer, 120)
    Loop(scheduler=scheduler).run(model, optimizer, "dense", 50)
    saved = [x.state_dict() for x in (model, optimizer, scheduler)]

    model = new_model("dense", seed=1)
    optimizer = kind(model.parameters())
    scheduler = CosineAnnealingLR(optimizer, 120)
    with watch(optimizer, model, scheduler=scheduler, start=50) as doctor:
        model.load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
        scheduler.load_state_dict(saved[2])
        Loop(scheduler=scheduler).run(model, optimizer, "dense", 60, seed=1)
        # Back to the checkpoint once more, in mid-run.
        optimizer.load_state_dict(saved[1])
        Loop().run(model, optimizer, "dense", 30, seed=1)
    assert_silent(doctor.report())


def test_nothing_is_found_when_trained_weights_get_a_new_optimizer() -> None:
    model = new_model("dense")
    Loop().run(model, optim.Adam(model.parameters()), "dense", 50)
    assert_silent(watched("dense", Adam, 50, model=model))


@pytest.mark.parametrize("unscaled", [True, False])
@pytest.mark.parametrize("make", [Adam, optim.Adam, partial(Adam, fused=True)])
def test_nothing_is_found_with_a_scaler_that_leaves_steps_out(
    make: Make, unscaled: bool
) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=20)
    model = new_model("dense")
    optimizer = make(model.parameters())

    def clip(model: nn.Module, step: int) -> None:
        if step in (3, 20, 41, 82, 87):  # as where float16 overflows
            gradient = model.get_parameter("1.weight").grad
            assert gradient is not None
            gradient[0, 0] = math.inf
        if unscaled:
            scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 2.0)

    with watch(optimizer, model, scaler=scaler) as doctor:
        Loop(between=clip, scaler=scaler).run(model, optimizer, "dense", 100)
    assert_silent(doctor.report())
    assert scaler.get_scale() < 2.0**20


@pytest.mark.parametrize("limit", [1.0, 1.5])
def test_nothing_is_found_with_clipping_that_is_sometimes_active(limit: float) -> None:
    def clip(model: nn.Module, _step: int) -> None:
        clip_grad_norm_(model.parameters(), limit)

    assert_silent(watched("dense", Adam, 120, loop=Loop(between=clip)))
    assert_silent(watched("dense", partial(optim.Adam, max_grad_norm=limit), 120))


PLACES: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "parabola": (Quadratic().gradient, [2.0, 1.0]),
    "valley": (Quadratic((1.0, 50.0), 0.5).gradient, [-3.0, 1.0]),
    "Rosenbrock": (Rosenbrock().gradient, [-1.2, 1.0]),
    "cone": (np.sign, [1.0, 2.0]),
    "slope": (np.ones_like, [0.0, 0.0]),
}


@pytest.mark.parametrize("make", [partial(Adam, lr=0.02), partial(optim.AdamW, lr=0.1)])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_found_in_the_plane(place: str, make: Make) -> None:
    assert_silent(follow(*PLACES[place], make, 1000))


def test_nothing_is_found_with_two_optimizers_for_one_model() -> None:
    model = new_model("dense")
    parameters = list(model.parameters())
    first, second = Adam(parameters[:2]), optim.AdamW(parameters[2:])
    doctors = [watch(optimizer, model) for optimizer in (first, second)]

    def between(_model: nn.Module, step: int) -> None:
        if step % 5 == 0:
            second.step()

    Loop(between=between).run(model, first, "dense", 100)
    for doctor in doctors:
        doctor.close()
        assert_silent(doctor.report())


def test_nothing_is_found_in_a_model_with_a_frozen_part_and_a_group_added_later() -> (
    None
):
    model = new_model("dense")
    first = [model.get_parameter(f"1.{name}") for name in ("weight", "bias")]
    last = [model.get_parameter(f"3.{name}") for name in ("weight", "bias")]
    for parameter in first:
        parameter.requires_grad_(False)
    optimizer = AdamW(last)

    def thaw(step: int) -> None:
        if step == 55:
            for parameter in first:
                parameter.requires_grad_(True)
            optimizer.add_param_group({"params": first, "lr": 1e-4})

    with watch(optimizer, model, every=20) as doctor:
        Loop(after=thaw).run(model, optimizer, "dense", 120)
    report = doctor.report()
    assert_silent(report)
    assert [(p.name, p.t) for p in report.parameters] == [
        *(("3.weight", 120), ("3.bias", 120)),
        *(("1.weight", 65), ("1.bias", 65)),
    ]
