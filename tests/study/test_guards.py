from __future__ import annotations

import math
from statistics import median

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial.optim import Adam
from adam_tutorial.study.guards import (
    AdaptiveClip,
    GlobalClip,
    Guard,
    MomentumReset,
    NoGuard,
    Skip,
    UpdateClip,
)

pytestmark = pytest.mark.usefixtures("float64")


def two_tensors(lr: float = 0.1) -> tuple[list[nn.Parameter], Optimizer]:
    """Two parameters in groups of their own."""
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))]
    return parameters, Adam([{"params": [p]} for p in parameters], lr=lr)


def hand(parameters: list[nn.Parameter], *gradients: list[float]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)


def gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    found = [parameter.grad for parameter in parameters]
    assert all(g is not None for g in found)
    return [g.clone() for g in found if g is not None]


def usual_steps(
    guard: Guard, parameters: list[nn.Parameter], optimizer: Optimizer, steps: int
) -> None:
    for _ in range(steps):
        hand(parameters, [1.0, -1.0, 0.0], [1.0, 2.0])
        assert guard(optimizer)
        optimizer.step()


def test_no_guard_changes_nothing() -> None:
    parameters, optimizer = two_tensors()
    hand(parameters, [3.0, 4.0, 0.0], [math.nan, 1.0])
    assert NoGuard()(optimizer)
    torch.testing.assert_close(gradients(parameters)[0], torch.tensor([3.0, 4.0, 0.0]))


def test_global_clip_scales_all_tensors_by_the_same_factor() -> None:
    parameters, optimizer = two_tensors()
    hand(parameters, [3.0, 0.0, 0.0], [4.0, 0.0])
    assert GlobalClip(limit=0.5)(optimizer)
    first, second = gradients(parameters)
    assert first[0].item() == pytest.approx(0.3, rel=1e-5)
    assert second[0].item() == pytest.approx(0.4, rel=1e-5)
    hand(parameters, [0.3, 0.0, 0.0], [0.0, 0.0])
    GlobalClip(limit=0.5)(optimizer)
    assert gradients(parameters)[0][0].item() == 0.3


# StableAdamW


def rms_of(optimizer: Optimizer, parameter: nn.Parameter, beta2: float) -> float:
    """The root mean square of g / sqrt(v_hat), v with this step's gradient."""
    state, g = optimizer.state[parameter], parameter.grad
    assert g is not None
    v = beta2 * state["exp_avg_sq"] + (1 - beta2) * g**2
    v_hat = v / (1 - beta2 ** (int(state["step"]) + 1))
    kept = v_hat > 0
    return float((torch.where(kept, g**2 / v_hat, 0.0)).mean().sqrt())


@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_rate_of_a_tensor_is_divided_where_its_v_is_too_small(limit: float) -> None:
    parameters, optimizer = two_tensors(lr=0.1)
    guard = UpdateClip(limit=limit)
    usual_steps(guard, parameters, optimizer, 30)
    hand(parameters, [50.0, -50.0, 0.0], [1.0, 2.0])
    expected = [rms_of(optimizer, p, 0.999) / limit for p in parameters]
    guard(optimizer)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert expected[0] > 3
    assert rates == pytest.approx([0.1 / max(1.0, one) for one in expected])
    # In the next step the rate is what it was.
    hand(parameters, [0.1, 0.1, 0.0], [0.1, 0.1])
    guard(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]


def test_first_step_is_not_shortened_where_every_element_has_a_gradient() -> None:
    parameters, optimizer = two_tensors(lr=0.1)
    hand(parameters, [1.0, 1e6, -3.0], [1e-3, 2.0])
    UpdateClip()(optimizer)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.1, 0.1])


# AdaGC


def test_adaptive_clip_follows_its_algorithm() -> None:
    parameters, optimizer = two_tensors()
    guard = AdaptiveClip(relative=1.5, decay=0.9, warmup=3, absolute=2.0)
    rng = torch.Generator().manual_seed(0)
    averages: list[float] = []
    for t in range(1, 12):
        raw = [5 * torch.rand(p.shape, generator=rng) for p in parameters]
        for parameter, g in zip(parameters, raw, strict=True):
            parameter.grad = g.clone()
        guard(optimizer)
        norms = [float(g.norm()) for g in raw]
        if t <= 3:
            factors = [min(1.0, 2.0 / math.hypot(*norms))] * 2
            clipped = [f * n for f, n in zip(factors, norms, strict=True)]
            averages = [
                min(old, new)
                for old, new in zip(averages or clipped, clipped, strict=True)
            ]
        else:
            factors = [
                min(1.0, 1.5 * a / n) for a, n in zip(averages, norms, strict=True)
            ]
            averages = [
                0.9 * a + 0.1 * f * n
                for a, f, n in zip(averages, factors, norms, strict=True)
            ]
        for found, g, factor in zip(gradients(parameters), raw, factors, strict=True):
            # clip_grad_norm_ adds 1e-6 to a norm.
            torch.testing.assert_close(found, factor * g, rtol=1e-5, atol=0)


# SPAM


def test_state_is_cleared_at_intervals_and_the_rate_rises_again() -> None:
    parameters, optimizer = two_tensors(lr=0.1)
    guard = MomentumReset(interval=40, warmup=0.5)
    rates, counts = [], []
    for _ in range(100):
        usual_steps(guard, parameters, optimizer, 1)
        rates.append(optimizer.param_groups[0]["lr"])
        counts.append(int(optimizer.state[parameters[0]]["step"]))
    assert counts == [*range(1, 41), *range(1, 41), *range(1, 21)]
    assert rates[:40] == [0.1] * 40
    wave = [0.05 * (1 - math.cos(math.pi * k / 20)) for k in range(1, 21)]
    assert rates[40:60] == pytest.approx(wave)
    assert rates[60:80] == pytest.approx([0.1] * 20)
    assert rates[80:] == pytest.approx(wave)


def test_elements_far_above_their_v_are_cut_down_once_v_is_old_enough() -> None:
    parameters, optimizer = two_tensors()
    guard = MomentumReset(interval=500, threshold=100.0)
    usual_steps(guard, parameters, optimizer, 19)
    hand(parameters, [90.0, 0.01, 5.0], [1.0, -80.0])
    guard(optimizer)  # the 20th: v is too young
    assert gradients(parameters)[0].tolist() == [90.0, 0.01, 5.0]
    v = [optimizer.state[p]["exp_avg_sq"] for p in parameters]
    guard(optimizer)
    first, second = gradients(parameters)
    # The third element has had no gradient, and v = 0.
    assert first.tolist() == pytest.approx([10 * v[0][0].sqrt().item(), 0.01, 5.0])
    assert second.tolist() == pytest.approx(
        [min(1.0, 10 * v[1][0].sqrt().item()), -10 * v[1][1].sqrt().item()]
    )


# Skipping


def test_step_is_left_out_if_its_norm_is_far_above_the_median() -> None:
    parameters, optimizer = two_tensors()
    guard = Skip(factor=3.0, window=20)
    norms = [1.0 + 0.1 * k for k in range(20)]
    for norm in norms:
        hand(parameters, [norm, 0.0, 0.0], [0.0, 0.0])
        assert guard(optimizer)
    limit = 3 * median(norms)
    hand(parameters, [limit * 1.01, 0.0, 0.0], [0.0, 0.0])
    assert not guard(optimizer)
    hand(parameters, [0.0, 0.0, 0.0], [limit * 0.99, 0.0])
    assert guard(optimizer)


def test_norms_that_are_no_numbers_are_left_out_and_few_norms_forbid_nothing() -> None:
    parameters, optimizer = two_tensors()
    guard = Skip()
    for norm in (1.0, 1e6):
        hand(parameters, [norm, 0.0, 0.0], [0.0, 0.0])
        assert guard(optimizer)
    for _ in range(18):
        hand(parameters, [1.0, 0.0, 0.0], [0.0, 0.0])
        guard(optimizer)
    hand(parameters, [1.0, 0.0, math.nan], [0.0, 0.0])
    assert not guard(optimizer)


def test_a_skipped_norm_is_remembered_so_that_a_lasting_change_is_accepted() -> None:
    parameters, optimizer = two_tensors()
    guard = Skip(factor=3.0, window=20)
    taken = []
    for norm in [1.0] * 20 + [10.0] * 12:
        hand(parameters, [norm, 0.0, 0.0], [0.0, 0.0])
        taken.append(guard(optimizer))
    assert taken[20:] == [False] * 10 + [True] * 2


# Bad arguments


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: GlobalClip(limit=0.0), "limit"),
        (lambda: UpdateClip(limit=math.nan), "limit"),
        (lambda: AdaptiveClip(relative=-1.0), "relative"),
        (lambda: AdaptiveClip(absolute=0.0), "absolute"),
        (lambda: AdaptiveClip(warmup=0), "warmup"),
        (lambda: MomentumReset(interval=0), "interval"),
        (lambda: MomentumReset(threshold=0.0), "threshold"),
        (lambda: Skip(factor=0.0), "factor"),
        (lambda: Skip(window=19), "window"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, name) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"{name} must be"):
        make()
