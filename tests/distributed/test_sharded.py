"""fully_shard and DTensor in two processes, compared with one process."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.distributed.launch import Outcomes
from tests.distributed.task import (
    FULLY_SHARD_RUNS_ON_CPU,
    HALFWAY,
    IN_FEWER_BITS,
    PROCESSES,
    RESUMED,
    RESUMED_FROM_TORCH,
    SHARDED,
    SPOILED,
    STEPS,
    digits_of,
    new_model,
    new_optimizer,
    train,
)
from tests.optimizers import ADAM, Case

each_sharded = pytest.mark.parametrize("case", SHARDED, ids=str)
each_sharded_in_torch = pytest.mark.parametrize(
    "case", [case for case in SHARDED if case.torch is not None], ids=str
)
each_resumed = pytest.mark.parametrize("case", RESUMED, ids=str)
each_resumed_from_torch = pytest.mark.parametrize("case", RESUMED_FROM_TORCH, ids=str)
each_in_fewer_bits = pytest.mark.parametrize("case", IN_FEWER_BITS, ids=str)
each_process = pytest.mark.parametrize("nan_on", range(PROCESSES))
with_fully_shard = pytest.mark.skipif(
    not FULLY_SHARD_RUNS_ON_CPU,
    reason="fully_shard of this version of torch needs a GPU",
)


def alone(make: Any, **arguments: Any) -> tuple[nn.Module, Any]:
    """Train on the whole batch in one process."""
    model = new_model()
    optimizer = new_optimizer(make, model)
    train(model, optimizer, **arguments)
    return model, optimizer


def assert_same(actual: list[Tensor], expected: nn.Module, atol: float = 1e-12) -> None:
    torch.testing.assert_close(
        actual, [p.detach() for p in expected.parameters()], rtol=0, atol=atol
    )


@with_fully_shard
@each_sharded
def test_fully_shard_trains_as_one_process_on_the_whole_batch_does(
    outcomes: Outcomes, case: Case
) -> None:
    for outcome in outcomes(f"fsdp-{case}"):
        assert_same(outcome["parameters"], alone(case.on("plain").new)[0])


@with_fully_shard
@each_sharded_in_torch
def test_fully_shard_trains_as_the_optimizer_of_torch_does_alone(
    outcomes: Outcomes, case: Case
) -> None:
    for outcome in outcomes(f"fsdp-{case}"):
        assert_same(outcome["parameters"], alone(case.new_in_torch)[0], digits_of(case))


@with_fully_shard
@each_sharded
def test_every_moment_is_a_dtensor_and_each_element_is_in_one_process(
    outcomes: Outcomes, case: Case
) -> None:
    results = outcomes(f"fsdp-{case}")
    model, _ = alone(case.on("plain").new)
    shapes = [
        shape
        for parameter in model.parameters()
        for shape in case.moments_of(tuple(parameter.shape)).values()
    ]
    for outcome in results:
        assert outcome["moments"] == outcome["sharded moments"] == len(shapes)
    elements = sum(math.prod(shape) for shape in shapes)
    assert sum(outcome["own elements"] for outcome in results) == elements
    assert all(outcome["own elements"] for outcome in results)


@with_fully_shard
@each_sharded
def test_the_gathered_state_is_that_of_one_process(
    outcomes: Outcomes, case: Case
) -> None:
    model, optimizer = alone(case.on("plain").new)
    gathered = outcomes(f"fsdp-{case}")[0]["gathered"]
    expected = {key: optimizer.state[p] for key, p in model.named_parameters()}
    torch.testing.assert_close(gathered, expected, rtol=0, atol=1e-12)


@with_fully_shard
@each_resumed
def test_a_distributed_checkpoint_resumes_to_the_same_parameters(
    outcomes: Outcomes, case: Case
) -> None:
    for parameters in outcomes(f"fsdp-resume-{case}"):
        assert_same(parameters, alone(case.on("plain").new)[0])


@with_fully_shard
@each_resumed_from_torch
def test_a_distributed_checkpoint_of_torch_resumes_to_the_same_parameters(
    outcomes: Outcomes, case: Case
) -> None:
    for parameters in outcomes(f"fsdp-from-torch-{case}"):
        assert_same(parameters, alone(case.new_in_torch)[0], digits_of(case))


@with_fully_shard
@each_in_fewer_bits
def test_state_in_fewer_bits_trains_nearly_as_one_process_in_float64_does(
    outcomes: Outcomes, case: Case
) -> None:
    model, _ = alone(ADAM.new)
    length = sum(0.02 / (1 + step) for step in range(STEPS))
    results = outcomes(f"fsdp-small-{case}")
    for outcome in results:
        assert_same(outcome["parameters"], model, 0.1 * length)
        # The second half, from a checkpoint of float64.
        assert_same(outcome["resumed from exact"], model, 0.1 * length)
        assert not torch.equal(outcome["parameters"][0], next(model.parameters()))
    first, second = (outcome["parameters"] for outcome in results)
    assert all(map(torch.equal, first, second))


@with_fully_shard
@each_in_fewer_bits
def test_gathered_state_in_fewer_bits_is_nearly_that_of_one_process(
    outcomes: Outcomes, case: Case
) -> None:
    model, optimizer = alone(ADAM.new, steps=range(HALFWAY))
    gathered = outcomes(f"fsdp-small-{case}")[0]["gathered"]
    level = {"bfloat16": 2**-7, "uint8": 2**-2}[case.backend]
    assert set(gathered) == {key for key, _ in model.named_parameters()}
    for name in ("exp_avg", "exp_avg_sq"):
        found, expected = (
            torch.cat([state[key][name].flatten() for key, state in pairs])
            for pairs in (
                [(key, gathered) for key in gathered],
                [(p, optimizer.state) for p in map(model.get_parameter, gathered)],
            )
        )
        assert found.dtype == torch.float32
        # Each step rounds what the steps before have rounded.
        assert (found - expected).norm() < 2 * level * expected.norm()


@with_fully_shard
@each_in_fewer_bits
def test_distributed_checkpoint_of_a_state_in_fewer_bits_is_float32_and_loses_nothing(
    outcomes: Outcomes, case: Case
) -> None:
    stored = {"bfloat16": {"torch.bfloat16"}, "uint8": {"torch.uint8", "torch.float32"}}
    for outcome in outcomes(f"fsdp-small-{case}"):
        assert {dtype for dtype, _ in outcome["own"]} - {"torch.float64"} == stored[
            case.backend
        ]
        assert not any(is_sharded for _, is_sharded in outcome["own"])
        assert set(outcome["saved"]) == {
            ("step", "torch.float64", False),
            ("exp_avg", "torch.float32", True),
            ("exp_avg_sq", "torch.float32", True),
        }
        assert all(map(torch.equal, outcome["resumed"], outcome["parameters"]))


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
        assert_same(outcome["parameters"], alone(ADAM.new, steps=steps)[0])
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
    optimizer = ADAM.new(theta, lr=0.1)
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
