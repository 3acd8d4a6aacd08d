"""fully_shard and DTensor in two processes, against one process on the whole batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim
from tests.distributed.launch import Outcomes, run_in_two_processes
from tests.distributed.task import (
    FULLY_SHARD_RUNS_ON_CPU,
    PROCESSES,
    RULES,
    SPOILED,
    STEPS,
    new_model,
    new_optimizer,
    train,
)

each_rule = pytest.mark.parametrize("name", RULES)
each_process = pytest.mark.parametrize("nan_on", range(PROCESSES))
with_fully_shard = pytest.mark.skipif(
    not FULLY_SHARD_RUNS_ON_CPU,
    reason="fully_shard of this version of torch needs a GPU",
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_in_two_processes(
        "tests.distributed.sharded", tmp_path_factory.mktemp("sharded")
    )


def alone(rule: Any, **arguments: Any) -> tuple[nn.Module, Any]:
    model = new_model()
    optimizer = new_optimizer(rule, model)
    train(model, optimizer, **arguments)
    return model, optimizer


def assert_same(actual: list[Tensor], expected: nn.Module) -> None:
    torch.testing.assert_close(
        actual, [p.detach() for p in expected.parameters()], rtol=0, atol=1e-12
    )


@with_fully_shard
@each_rule
def test_fully_shard_trains_as_one_process_on_the_whole_batch_does(
    outcomes: Outcomes, name: str
) -> None:
    for outcome in outcomes(f"fsdp-{name}"):
        assert_same(outcome["parameters"], alone(getattr(optim, name))[0])


@with_fully_shard
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_fully_shard_trains_as_the_optimizer_of_torch_does_alone(
    outcomes: Outcomes, name: str
) -> None:
    for outcome in outcomes(f"fsdp-{name}"):
        assert_same(outcome["parameters"], alone(getattr(torch.optim, name))[0])


@with_fully_shard
@each_rule
def test_every_moment_is_a_dtensor_and_each_element_is_in_one_process(
    outcomes: Outcomes, name: str
) -> None:
    results = outcomes(f"fsdp-{name}")
    model, optimizer = alone(getattr(optim, name))
    for outcome in results:
        assert outcome["moments"] == len(optimizer.moments) * len(
            list(model.parameters())
        )
        assert outcome["sharded moments"] == outcome["moments"]
    elements = len(optimizer.moments) * sum(p.numel() for p in model.parameters())
    assert sum(outcome["own elements"] for outcome in results) == elements
    assert all(outcome["own elements"] for outcome in results)


@with_fully_shard
@each_rule
def test_the_gathered_state_is_that_of_one_process(
    outcomes: Outcomes, name: str
) -> None:
    model, optimizer = alone(getattr(optim, name))
    gathered = outcomes(f"fsdp-{name}")[0]["gathered"]
    expected = {key: optimizer.state[p] for key, p in model.named_parameters()}
    torch.testing.assert_close(gathered, expected, rtol=0, atol=1e-12)


@with_fully_shard
@each_rule
def test_a_distributed_checkpoint_resumes_to_the_same_parameters(
    outcomes: Outcomes, name: str
) -> None:
    for parameters in outcomes(f"fsdp-resume-{name}"):
        assert_same(parameters, alone(getattr(optim, name))[0])


@with_fully_shard
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_a_distributed_checkpoint_of_torch_resumes_to_the_same_parameters(
    outcomes: Outcomes, name: str
) -> None:
    for parameters in outcomes(f"fsdp-from-torch-{name}"):
        assert_same(parameters, alone(getattr(torch.optim, name))[0])


@with_fully_shard
def test_moments_of_sharded_bfloat16_parameters_are_float32_dtensors(
    outcomes: Outcomes,
) -> None:
    for moments in outcomes("fsdp-bfloat16"):
        assert set(moments) == {("torch.float32", True)}


@with_fully_shard
def test_under_fully_shard_all_processes_skip_a_step_when_one_has_nan(
    outcomes: Outcomes,
) -> None:
    steps = [step for step in range(STEPS) if step != SPOILED]
    for outcome in outcomes("fsdp-skip"):
        assert_same(outcome["parameters"], alone(optim.Adam, steps=steps)[0])
        assert len(outcome["warnings"]) == 1
        assert "skipped the step" in outcome["warnings"][0]


@each_process
def test_all_processes_skip_when_the_shard_of_one_has_nan(
    outcomes: Outcomes, nan_on: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    values = [
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in [(5, 3), (4,)]
    ]
    theta = [nn.Parameter(value.clone()) for value in values]
    optimizer = optim.Adam(theta, lr=0.1)
    for _ in range(2):
        for parameter, value in zip(theta, values, strict=True):
            parameter.grad = value.clone()
        optimizer.step()
    for outcome in outcomes(f"shard-skip-{nan_on}"):
        assert outcome["steps"] == [2, 2]
        torch.testing.assert_close(
            outcome["parameters"], [p.detach() for p in theta], rtol=0, atol=1e-12
        )
        assert outcome["warnings"] == [
            "skipped the step: the gradient of parameter 1 of group 0, of shape (4,) is"
            " not finite"
        ]


@each_process
def test_all_processes_raise_when_the_shard_of_one_has_nan(
    outcomes: Outcomes, nan_on: int
) -> None:
    for outcome in outcomes(f"shard-raise-{nan_on}"):
        assert (
            outcome["message"]
            == "the gradient of parameter 1 of group 0, of shape (4,) is not finite"
        )
        assert all(map(torch.equal, outcome["parameters"], outcome["before"]))
