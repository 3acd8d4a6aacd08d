"""Each fault, put into a real training run, is found by its name, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR

from adam_tutorial import optim
from adam_tutorial.doctor import FINDINGS, Report, watch
from tests.doctor.runs import Loop, found, new_model, watched

Kinds = tuple[Callable[..., Optimizer], ...]
ADAMS: Kinds = (torch.optim.Adam, optim.Adam)
ADAMWS: Kinds = (torch.optim.AdamW, optim.AdamW)
both = pytest.mark.parametrize("kind", ADAMS, ids=["torch", "ours"])
both_decoupled = pytest.mark.parametrize("kind", ADAMWS, ids=["torch", "ours"])


def trained(kind: Any, steps: int = 40) -> tuple[nn.Module, Optimizer]:
    """A dense network in the middle of a run."""
    model = new_model("dense")
    optimizer = kind(model.parameters(), lr=1e-3)
    Loop().run(model, optimizer, "dense", steps)
    return model, optimizer


def resumed(
    model: nn.Module, optimizer: Optimizer, steps: int = 20, **asked: Any
) -> Report:
    with watch(optimizer, model, **asked) as doctor:
        Loop(scheduler=asked.get("scheduler")).run(
            model, optimizer, "dense", steps, seed=1
        )
    return doctor.report()


def finding(report: Report, name: str) -> Any:
    assert found(report) == [name]
    return report.findings[0]


@both
def test_a_fresh_optimizer_after_a_resume_is_found_by_the_number_of_steps(
    kind: Any,
) -> None:
    model, _ = trained(kind)
    report = resumed(model, kind(model.parameters()), start=40)
    seen = finding(report, "state lost").seen
    assert "from step 40, but m and v have seen 1 gradient" in seen


@both
def test_a_fresh_optimizer_after_a_resume_is_found_by_the_schedule(kind: Any) -> None:
    model = new_model("dense")
    old = kind(model.parameters())
    schedule = CosineAnnealingLR(old, 100)
    Loop(scheduler=schedule).run(model, old, "dense", 40)
    fresh = kind(model.parameters())
    again = CosineAnnealingLR(fresh, 100)
    again.load_state_dict(schedule.state_dict())
    report = resumed(model, fresh, scheduler=again)
    assert "its step 40" in finding(report, "state lost").seen


@both
def test_state_that_is_cleared_in_a_run_is_found(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters())
    loop = Loop(after=lambda step: optimizer.state.clear() if step == 60 else None)
    with watch(optimizer, model) as doctor:
        loop.run(model, optimizer, "dense", 100)
    assert "m and v began again" in finding(doctor.report(), "state lost").seen


@both
def test_a_lost_t_is_found_after_a_resume(kind: Any) -> None:
    model, optimizer = trained(kind)
    state = optimizer.state_dict()
    for entry in state["state"].values():
        entry["step"] = torch.zeros(())
    fresh = kind(model.parameters())
    fresh.load_state_dict(state)
    # What follows is the damage, which is another matter.
    report = resumed(model, fresh)
    assert found(report)[0] == "t lost"
    assert set(found(report)) <= {"t lost", "learning rate too high"}


@both
def test_a_lost_t_is_found_in_a_run(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters())

    def forget(step: int) -> None:
        if step == 115:
            for entry in optimizer.state.values():
                entry["step"].zero_()

    with watch(optimizer, model) as doctor:
        Loop(after=forget).run(model, optimizer, "dense", 140)
    assert "m and v were kept" in finding(doctor.report(), "t lost").seen


@both
def test_lost_moments_with_a_kept_t_are_found(kind: Any) -> None:
    model, optimizer = trained(kind)
    for entry in optimizer.state.values():
        entry["exp_avg"].zero_()
        entry["exp_avg_sq"].zero_()
    assert "t is 41" in finding(resumed(model, optimizer), "moments lost").seen


@both
def test_a_penalty_for_a_decay_is_found_unless_it_is_meant(kind: Any) -> None:
    make = partial(kind, weight_decay=1e-2)
    its = finding(
        watched("dense", make, 20), name := "L2 penalty instead of weight decay"
    )
    assert its.numbers == {"weight_decay": 1e-2}
    assert watched("dense", make, 20, meant=[name]).ok


@both_decoupled
def test_a_decay_that_outdoes_the_gradient_is_found(kind: Any) -> None:
    # A number of the paper's convention, where the decay is not times lr.
    its = finding(
        watched("cnn", partial(kind, weight_decay=2.0), 60),
        "decay stronger than the update",
    )
    # The weights of the batch normalisation, which begin at 1.
    assert {"1.weight", "5.weight", "9.weight"} >= set(its.parameters)
    assert its.parameters


@both
def test_a_rate_that_is_too_high_is_found(kind: Any) -> None:
    its = finding(
        watched("cnn", partial(kind, lr=0.3), 60, named=False), "learning rate too high"
    )
    assert its.numbers["update_to_weight"] > 2


@both
def test_a_rate_that_is_too_low_is_found(kind: Any) -> None:
    finding(watched("dense", partial(kind, lr=1e-9), 120), "learning rate too low")


@both
def test_an_eps_that_decides_is_found(kind: Any) -> None:
    its = finding(watched("dense", partial(kind, eps=1.0), 60), "eps decides")
    assert its.numbers["share"] > 0.9
    assert len(its.parameters) == 4


@both
def test_a_loss_on_a_tiny_scale_lets_eps_decide(kind: Any) -> None:
    loop = Loop(loss=lambda x, y: 1e-8 * cross_entropy(x, y))
    finding(watched("dense", kind, 60, loop=loop), "eps decides")


@both
def test_a_schedule_of_another_optimizer_is_found(kind: Any) -> None:
    model, old = trained(kind)
    schedule = CosineAnnealingLR(old, 100)
    optimizer = copy.deepcopy(old)  # as after moving a model, and making it anew
    with watch(optimizer, model, scheduler=schedule) as doctor:
        Loop().run(model, optimizer, "dense", 20)
    report = doctor.report()
    assert "CosineAnnealingLR" in finding(report, "schedule of another optimizer").seen


@both
def test_a_rate_that_is_set_back_at_every_step_is_found(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters(), lr=1e-3)
    schedule = LambdaLR(optimizer, lambda t: 0.5**t)

    def set_back(_step: int) -> None:
        optimizer.param_groups[0]["lr"] = 1e-3

    with watch(optimizer, model, scheduler=schedule) as doctor:
        Loop(scheduler=schedule, after=set_back).run(model, optimizer, "dense", 40)
    finding(doctor.report(), "schedule without effect")


@both
def test_a_schedule_that_is_never_stepped_is_found_at_the_end(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters(), lr=1e-3)
    schedule = OneCycleLR(optimizer, 1e-2, 40)
    with watch(optimizer, model, scheduler=schedule) as doctor:
        Loop().run(model, optimizer, "dense", 40)
        # It may belong to epochs, the first of which is not over.
        assert doctor.report().ok
    finding(doctor.report(), "schedule without effect")


@both
def test_a_rate_that_is_changed_in_the_defaults_is_found(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters(), lr=1e-3)

    def lower(step: int) -> None:
        if step == 20:
            optimizer.defaults["lr"] = 1e-4

    with watch(optimizer, model) as doctor:
        Loop(after=lower).run(model, optimizer, "dense", 60)
    finding(doctor.report(), "schedule without effect")


def clip(model: nn.Module, _step: int, limit: float = 1e-2) -> None:
    clip_grad_norm_(model.parameters(), limit)


@both
def test_clipping_that_is_always_active_is_found(kind: Any) -> None:
    report = watched("dense", kind, 80, loop=Loop(between=clip))
    assert finding(report, "clipping always active").numbers["norm"] == pytest.approx(
        1e-2, rel=1e-3
    )


def test_clipping_inside_of_the_step_is_found_if_it_is_always_active() -> None:
    report = watched("dense", partial(optim.Adam, max_grad_norm=1e-2), 80)
    assert finding(report, "clipping always active").numbers["share"] == 1


@pytest.mark.parametrize(
    ("growth", "handed"), [(10**6, True), (10**6, False), (25, True)]
)
@both
def test_clipping_of_scaled_gradients_is_found(
    kind: Any, growth: int, handed: bool
) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14, growth_interval=growth)
    loop = Loop(between=partial(clip, limit=1.0), scaler=scaler)
    known = scaler if handed else None
    report = watched("dense", kind, 80, loop=loop, scaler=known)
    finding(report, "clipping of scaled gradients")


@both
def test_a_parameter_in_no_group_is_found(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(list(model.parameters())[:-1])
    with watch(optimizer, model) as doctor:
        Loop().run(model, optimizer, "dense", 60)
    its = finding(doctor.report(), "parameter in no group")
    assert its.parameters == ("3.bias",)


@both
def test_a_parameter_that_no_gradient_reaches_is_found(kind: Any) -> None:
    model = new_model("dense")
    inner = model[1].forward  # type: ignore[index]
    model[1].forward = lambda x: inner(x).detach()  # type: ignore[index]
    report = watched("dense", kind, 40, model=model)
    its = finding(report, "parameter without gradient")
    assert its.parameters == ("1.weight", "1.bias")


@both
def test_a_gradient_that_is_always_zero_is_found(kind: Any) -> None:
    def close(model: nn.Module) -> None:
        with torch.no_grad():  # no ReLU opens
            model[1].bias.fill_(-100.0)  # type: ignore[index]

    its = finding(watched("dense", kind, 40, prepare=close), "gradient always zero")
    assert set(its.parameters) == {"1.weight", "1.bias", "3.weight"}


@both
def test_bfloat16_weights_that_do_not_move_are_found(kind: Any) -> None:
    make = partial(kind, lr=1e-4)
    report = watched("cnn", make, 60, prepare=lambda model: model.bfloat16())
    assert finding(report, "updates lost to rounding").numbers["share"] > 0.75


def spoil(model: nn.Module, step: int, value: float, at: int = 33) -> None:
    if step == at:
        p = model.get_parameter("3.weight")
        assert p.grad is not None
        p.grad[0, 0] = value


@pytest.mark.parametrize(
    ("value", "said"),
    [(float("nan"), "NaN"), (float("inf"), "infinite, or"), (1e25, "infinite, or")],
)
@both
def test_a_value_that_is_not_finite_is_found_where_it_was_first(
    kind: Any, value: float, said: str
) -> None:
    report = watched("dense", kind, 60, loop=Loop(between=partial(spoil, value=value)))
    its = finding(report, "non-finite values")
    assert its.numbers["step"] == 33
    assert its.parameters == ("3.weight",)
    assert f"the gradient of 3.weight was {said}" in its.seen


@pytest.mark.parametrize("at", [83, 84, 85, 86, 87])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@both
def test_the_place_is_found_also_between_the_steps_that_are_looked_at(
    kind: Any, value: float, at: int
) -> None:
    loop = Loop(between=partial(spoil, value=value, at=at))
    its = finding(watched("dense", kind, 95, loop=loop), "non-finite values")
    assert its.numbers["step"] == at
    assert its.parameters == ("3.weight",)


@both
def test_nan_that_begins_in_the_weights_is_found(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters())

    def spoil_weight(step: int) -> None:
        if step == 33:
            with torch.no_grad():
                model.get_parameter("1.bias")[:] = float("nan")

    with watch(optimizer, model) as doctor:
        Loop(after=spoil_weight).run(model, optimizer, "dense", 60)
    its = finding(doctor.report(), "non-finite values")
    assert its.numbers["step"] == 34
    # All gradients are NaN; what is nearest to the loss comes first.
    assert its.parameters[0] == "3.bias"


@both
def test_nan_in_v_is_found(kind: Any) -> None:
    model = new_model("dense")
    optimizer = kind(model.parameters())

    def spoil_v(step: int) -> None:
        if step == 39:
            state = optimizer.state[model.get_parameter("3.bias")]
            state["exp_avg_sq"][0] = float("inf")

    with watch(optimizer, model) as doctor:
        Loop(after=spoil_v).run(model, optimizer, "dense", 60)
    its = finding(doctor.report(), "non-finite values")
    assert "v of 3.bias was infinite, so that its elements never move" in its.seen


@both
def test_drift_of_rare_words_is_found_if_it_is_long(kind: Any) -> None:
    report = watched("textcnn", partial(kind, lr=0.05), 40)
    its = finding(report, "drift after a lone gradient")
    assert its.parameters == ("embedding.weight",)


def test_all_names_are_found_somewhere_in_these_tests() -> None:
    folder = Path(__file__).parent
    text = "".join(
        (folder / name).read_text() for name in ("test_faults.py", "test_ranks.py")
    )
    for name in FINDINGS:
        assert f'"{name}"' in text
