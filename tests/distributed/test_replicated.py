"""DDP and ZeroRedundancyOptimizer in two processes, compared with one process."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from adam_tutorial.theory import memory
from tests.distributed.launch import Outcomes
from tests.distributed.task import (
    HALFWAY,
    PROCESSES,
    SPOILED,
    STEPS,
    digits_of,
    new_model,
    new_optimizer,
    train,
)
from tests.optimizers import ADAM, Case, each_in_torch, each_optimizer


def alone(make: Any, **arguments: Any) -> list[Tensor]:
    """Train on the whole batch in one process."""
    model = new_model()
    train(model, new_optimizer(make, model), **arguments)
    return [p.detach() for p in model.parameters()]


def assert_same(
    actual: list[Tensor], expected: list[Tensor], atol: float = 1e-12
) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@each_optimizer
def test_ddp_trains_as_one_process_on_the_whole_batch_does(
    outcomes: Outcomes, case: Case
) -> None:
    for parameters in outcomes(f"ddp-{case}"):
        assert_same(parameters, alone(case.alone().new))


@each_in_torch
def test_ddp_trains_as_the_optimizer_of_torch_does_alone(
    outcomes: Outcomes, case: Case
) -> None:
    for parameters in outcomes(f"ddp-{case}"):
        assert_same(parameters, alone(case.new_in_torch), digits_of(case))


@each_optimizer
def test_zero_stopped_and_resumed_trains_as_one_process_does(
    outcomes: Outcomes, case: Case
) -> None:
    for outcome in outcomes(f"zero-{case}"):
        assert_same(outcome["parameters"], alone(case.alone().new))


@each_optimizer
def test_zero_divides_the_state_among_the_processes(
    outcomes: Outcomes, case: Case
) -> None:
    owned = [outcome["owned"] for outcome in outcomes(f"zero-{case}")]
    assert all(owned)
    shapes = [tuple(p.shape) for p in new_model().parameters()]
    assert sum(owned) == sum(map(math.prod, shapes))
    predicted = memory(shapes, "lion", dtype="float32", ranks=PROCESSES).moments // 4
    assert max(owned) == predicted


@each_optimizer
def test_one_process_continues_from_the_consolidated_state_of_zero(
    outcomes: Outcomes, case: Case
) -> None:
    outcomes(f"zero-{case}")
    saved = torch.load(outcomes.folder / f"zero-{case}.checkpoint", weights_only=True)
    model = new_model(seed=1)
    model.load_state_dict(saved["model"])
    optimizer = new_optimizer(case.new, model)
    optimizer.load_state_dict(saved["optimizer"])
    train(model, optimizer, range(HALFWAY, STEPS))
    assert_same(list(model.parameters()), alone(case.alone().new))


def test_ddp_skips_a_step_in_both_processes_when_one_has_nan(
    outcomes: Outcomes,
) -> None:
    first, second = outcomes("ddp-skip")
    steps = [step for step in range(STEPS) if step != SPOILED]
    for outcome in (first, second):
        assert_same(outcome["parameters"], alone(ADAM.new, steps=steps))
        assert len(outcome["warnings"]) == 1
        assert "skipped the step" in outcome["warnings"][0]


def test_ddp_raises_in_both_processes_when_one_has_nan(outcomes: Outcomes) -> None:
    for outcome in outcomes("ddp-raise"):
        assert "is not finite" in outcome["message"]
        assert_same(outcome["parameters"], alone(ADAM.new, steps=range(SPOILED)))


def test_under_zero_only_the_owner_of_a_nan_skips_and_the_parameters_stay_the_same(
    outcomes: Outcomes,
) -> None:
    first, second = outcomes("zero-skip")
    assert_same(first["after"], second["after"])
    owner, other = (first, second) if first["owned"][0] else (second, first)
    assert len(owner["warnings"]) == 1
    assert other["warnings"] == []
    kept = [
        torch.equal(a, b) for a, b in zip(owner["before"], owner["after"], strict=True)
    ]
    assert kept == owner["owned"]
    assert not all(kept)
