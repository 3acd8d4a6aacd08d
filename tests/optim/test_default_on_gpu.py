"""What steps parameters on a GPU where nobody says; no GPU is needed to choose."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial import optim
from adam_tutorial.optim import Adam, base
from adam_tutorial.optim.backends import by_triton, fused
from tests.optim.steps import assert_same, numbers, take_steps

GPU = torch.device("cuda", 0)
UNASKED: dict[str, Any] = {"fused": None, "foreach": None}


class OnGPU(SimpleNamespace):
    """As much of a parameter as the choice looks at."""

    device, dtype, layout = GPU, torch.float32, torch.strided
    shape = (3,)
    grad = None

    def stride(self) -> tuple[int, ...]:
        return (1,)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Pretend that there is an H200 with Triton."""
    monkeypatch.setattr(fused, "Tensor", OnGPU)
    monkeypatch.setattr(fused, "triton_is_installed", lambda: True)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    monkeypatch.setattr(by_triton, "_step_one_number", lambda _device: None)
    by_triton.why_not_by_default.cache_clear()
    yield monkeypatch
    by_triton.why_not_by_default.cache_clear()


def why_not(group: dict[str, Any]) -> str:
    parameter: Any = OnGPU()
    return fused.why_not(parameter, None, group)


def test_kernel_is_the_default_on_a_gpu_with_triton(
    gpu: pytest.MonkeyPatch,
) -> None:
    assert why_not(UNASKED) == ""
    gpu.setattr(fused, "triton_is_installed", lambda: False)
    assert "without Triton" in why_not(UNASKED)
    assert "without Triton" in why_not({**UNASKED, "fused": True})


def refused(*_arguments: object) -> None:
    raise RuntimeError("Failed to find C compiler")


@pytest.mark.parametrize(
    ("where", "what", "value", "reason"),
    [
        (torch.version, "hip", "6.4", "ROCm"),
        (torch.cuda, "get_device_capability", lambda _device: (7, 5), "an old GPU"),
        (by_triton, "_step_one_number", refused, "cannot be used: RuntimeError"),
    ],
)
def test_what_might_not_run_is_no_default_but_can_be_asked_for(
    where: Any, what: str, value: Any, reason: str, gpu: pytest.MonkeyPatch
) -> None:
    gpu.setattr(where, what, value)
    assert reason in why_not(UNASKED)
    assert why_not({**UNASKED, "fused": True}) == ""


def test_gpu_is_tried_once(gpu: pytest.MonkeyPatch) -> None:
    tried: list[torch.device] = []
    gpu.setattr(by_triton, "_step_one_number", tried.append)
    assert [why_not(UNASKED) for _ in range(3)] == [""] * 3
    assert tried == [GPU]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"foreach": True}, "foreach=True"),
        ({"foreach": False}, "foreach=False"),
        ({"fused": False}, "fused=False"),
        ({"capturable": True}, "capturable=True"),
        ({"differentiable": True}, "differentiable=True"),
    ],
)
def test_other_ways_are_taken_where_they_are_asked_for(
    flags: dict[str, Any], reason: str
) -> None:
    optimizer: Any = Adam([nn.Parameter(torch.zeros(3))], **flags)
    assert fused.why_not_group(optimizer, optimizer.param_groups[0]) == reason


@pytest.mark.parametrize("kind", [getattr(optim, name) for name in optim.__all__])
def test_cuda_graph_of_a_step_that_counts_on_the_cpu_is_refused(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theta = nn.Parameter(numbers(0, (4, 3), torch.float32))
    optimizer = kind([theta])
    take_steps(optimizer, [theta], range(2))
    before = [theta.detach().clone()]
    # The step that is known is taken by itself on a CPU: begin it anew.
    optimizer.load_state_dict(optimizer.state_dict())
    monkeypatch.setattr(base, "graph_is_captured", lambda: True)
    with pytest.raises(RuntimeError, match="capturable=True"):
        optimizer.step()
    assert_same([theta], before)
    if "capturable" in optimizer.defaults:
        capturable = kind([theta], capturable=True)
        capturable.step()
        assert not torch.equal(theta, before[0])
