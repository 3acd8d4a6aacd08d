"""DDP and ZeroRedundancyOptimizer in two processes, against one process on the whole batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from adam_tutorial import optim
from tests.distributed.launch import Outcomes, run_in_two_processes
from tests.distributed.task import (
    HALFWAY,
    RULES,
    SPOILED,
    STEPS,
    new_model,
    new_optimizer,
    train,
)

each_rule = pytest.mark.parametrize("name", RULES)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder = tmp_path_factory.mktemp("replicated")
    return run_in_two_processes("tests.distributed.replicated", folder)


def alone(rule: Any, **arguments: Any) -> list[Tensor]:
    model = new_model()
    train(model, new_optimizer(rule, model), **arguments)
    return [p.detach() for p in model.parameters()]


def assert_same(actual: list[Tensor], expected: list[Tensor]) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@each_rule
def test_ddp_trains_as_one_process_on_the_whole_batch_does(
    outcomes: Outcomes, name: str
) -> None:
    for parameters in outcomes(f"ddp-{name}"):
        assert_same(parameters, alone(getattr(optim, name)))


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_ddp_trains_as_the_optimizer_of_torch_does_alone(
    outcomes: Outcomes, name: str
) -> None:
    for parameters in outcomes(f"ddp-{name}"):
        assert_same(parameters, alone(getattr(torch.optim, name)))


@each_rule
def test_zero_stopped_and_resumed_trains_as_one_process_does(
    outcomes: Outcomes, name: str
) -> None:
    for outcome in outcomes(f"zero-{name}"):
        assert_same(outcome["parameters"], alone(getattr(optim, name)))


@each_rule
def test_zero_divides_the_state_among_the_processes(
    outcomes: Outcomes, name: str
) -> None:
    owned = [outcome["owned"] for outcome in outcomes(f"zero-{name}")]
    assert all(owned)
    assert sum(owned) == sum(p.numel() for p in new_model().parameters())


@each_rule
def test_one_process_continues_from_the_consolidated_state_of_zero(
    outcomes: Outcomes, name: str
) -> None:
    outcomes(f"zero-{name}")
    saved = torch.load(outcomes.folder / f"zero-{name}.checkpoint", weights_only=True)
    model = new_model(seed=1)
    model.load_state_dict(saved["model"])
    optimizer = new_optimizer(getattr(optim, name), model)
    optimizer.load_state_dict(saved["optimizer"])
    train(model, optimizer, range(HALFWAY, STEPS))
    assert_same(list(model.parameters()), alone(getattr(optim, name)))


def test_ddp_skips_a_step_in_both_processes_when_one_has_nan(
    outcomes: Outcomes,
) -> None:
    first, second = outcomes("ddp-skip")
    steps = [step for step in range(STEPS) if step != SPOILED]
    for outcome in (first, second):
        assert_same(outcome["parameters"], alone(optim.Adam, steps=steps))
        assert len(outcome["warnings"]) == 1
        assert "skipped the step" in outcome["warnings"][0]


def test_ddp_raises_in_both_processes_when_one_has_nan(outcomes: Outcomes) -> None:
    for outcome in outcomes("ddp-raise"):
        assert "is not finite" in outcome["message"]
        assert_same(outcome["parameters"], alone(optim.Adam, steps=range(SPOILED)))


def test_under_zero_only_the_owner_of_a_nan_skips_and_all_processes_agree_on_the_parameters(
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
