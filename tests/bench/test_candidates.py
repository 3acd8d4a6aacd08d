"""Each candidate takes the step of Adam that it is named after."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adam_tutorial import optim
from adam_tutorial.bench import CANDIDATES, Task, find_workload, run
from adam_tutorial.bench import stream as streams
from adam_tutorial.reference import adam

IN_PLACE = (
    *("torch-fused", "torch", "torch-foreach", "torch-compiled"),
    *("ours", "ours-plain", "ours-foreach", "ours-fused"),
    *("numpy-inplace", "numpy-blocked"),
)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """The parameters that tasks have given out."""
    lists: list[list[Any]] = []
    original = Task.parameters

    def parameters(task: Task) -> list[Any]:
        lists.append(original(task))
        return lists[-1]

    monkeypatch.setattr(Task, "parameters", parameters)
    # The compiler takes long, and is not ours to test.
    monkeypatch.setattr(torch, "compile", lambda function: function)
    return lists


def expected(task: Task, steps: int) -> list[Tensor]:
    moved = []
    for parameter in task.parameters():
        assert parameter.grad is not None
        theta, state = parameter.detach().double().numpy(), None
        for _ in range(steps):
            state, update = adam(state, parameter.grad.double().numpy())
            theta = theta + update
        moved.append(torch.from_numpy(theta))
    return moved


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_candidate_takes_steps_of_adam(name: str, made: list[list[Any]]) -> None:
    task = Task(find_workload("3x5"))
    step = CANDIDATES[name].build(task)
    for _ in range(3):
        step()
    for p, wanted in zip(made[0], expected(task, 3), strict=True):
        torch.testing.assert_close(p.detach().double(), wanted, rtol=1e-6, atol=1e-7)


def test_parameters_and_gradients_are_new_and_the_same_every_time() -> None:
    task = Task(find_workload("2x3-bf16"))
    first, second = task.parameters(), task.parameters()
    for p, q in zip(first, second, strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert p.dtype == p.grad.dtype == torch.bfloat16
        assert torch.equal(p, q)
        assert torch.equal(p.grad, q.grad)
        assert p.data_ptr() != q.data_ptr()
        assert not torch.equal(p, p.grad)


@pytest.mark.parametrize("name", ["torch-fused", "torch", "torch-foreach"])
def test_gradients_are_clipped_before_the_step(
    name: str, made: list[list[Any]]
) -> None:
    task = Task(find_workload("3x5"), max_grad_norm=0.5)
    CANDIDATES[name].build(task)()
    norm = torch.stack([p.grad.norm() for p in made[0]]).norm()
    torch.testing.assert_close(norm, torch.tensor(0.5))
    # The first step of Adam is as long whatever the gradients were scaled by.
    for p, wanted in zip(made[0], expected(task, 1), strict=True):
        torch.testing.assert_close(p.detach().double(), wanted, rtol=1e-6, atol=1e-7)


def test_our_optimizer_clips_in_its_own_step(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    class Stub:
        def __init__(self, parameters: list[Any], **settings: Any) -> None:
            assert len(parameters) == 2
            given.append(settings)

        def step(self) -> None:
            """Do nothing."""

    monkeypatch.setattr(optim, "Adam", Stub)
    for task in (
        Task(find_workload("2x3")),
        Task(find_workload("2x3"), max_grad_norm=0.5),
    ):
        for name in ("ours", "ours-plain", "ours-fused", "ours-bf16", "ours-8bit"):
            CANDIDATES[name].build(task)()
    plain: list[dict[str, Any]] = [
        {},
        {"foreach": False, "fused": False},
        {"fused": True},
        {"state_dtype": torch.bfloat16},
        {"state_dtype": torch.uint8},
    ]
    assert given == [
        *plain,
        *({**settings, "max_grad_norm": 0.5} for settings in plain),
    ]


@pytest.mark.parametrize(
    ("name", "module", "kind", "settings"),
    [
        ("bitsandbytes", "bitsandbytes.optim", "Adam32bit", {}),
        ("bitsandbytes-8bit", "bitsandbytes.optim", "Adam8bit", {}),
        ("torchao-8bit", "torchao.optim", "Adam8bit", {}),
        ("deepspeed", "deepspeed.ops.adam", "DeepSpeedCPUAdam", {"adamw_mode": False}),
    ],
)
def test_a_library_is_called_by_its_names(
    name: str,
    module: str,
    kind: str,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub = ModuleType(module)
    steps = []

    class Optimizer:
        def __init__(self, parameters: list[Any], **given: Any) -> None:
            assert len(parameters) == 2
            assert given == settings

        def step(self) -> None:
            steps.append(name)

    setattr(stub, kind, Optimizer)
    parts = module.split(".")
    for length in range(1, len(parts)):
        monkeypatch.setitem(
            sys.modules, ".".join(parts[:length]), ModuleType(parts[length - 1])
        )
    monkeypatch.setitem(sys.modules, module, stub)
    CANDIDATES[name].build(Task(find_workload("2x3")))()
    assert steps == [name]
    assert kind in re.split(r"[^\w]", CANDIDATES[name].about)


def held_by(step: Any, name: str) -> Any:
    """Return what a step keeps to itself."""
    return step.__closure__[step.__code__.co_freevars.index(name)].cell_contents


def test_the_loop_in_python_is_adam() -> None:
    step = CANDIDATES["python"].build(Task(find_workload("2x3")))
    for _ in range(3):
        step()
    theta = held_by(step, "theta")
    wanted = torch.cat(expected(Task(find_workload("2x3")), 3))
    np.testing.assert_allclose(theta, wanted, rtol=1e-12)


def test_the_textbook_is_adam() -> None:
    step = CANDIDATES["numpy-textbook"].build(Task(find_workload("2x3")))
    for _ in range(3):
        step()
    wanted = expected(Task(find_workload("2x3")), 3)
    for (theta, state), other in zip(held_by(step, "held"), wanted, strict=True):
        assert theta.dtype == np.float32
        assert state.t == 3
        np.testing.assert_allclose(theta, other, rtol=1e-6, atol=1e-7)


def test_numpy_has_no_bfloat16_and_says_so() -> None:
    result = run(["2x3-bf16"], ["python"], threads=[1], rounds=1)
    assert "BFloat16" in result.absent[0].reason


@pytest.mark.parametrize(("moved", "threads", "parts"), [(560, 2, 1), (10**7, 3, 3)])
def test_threads_share_the_bytes_of_the_stream(
    moved: int, threads: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = []

    def kernel(*arrays: Any) -> None:
        assert len(arrays) == 4
        assert len({array.ctypes.data for array in arrays}) == 4
        start = arrays[0].ctypes.data
        ranges.append((start, start + arrays[0].nbytes))

    monkeypatch.setattr(streams, "_kernel", lambda: kernel)
    streams.stream(moved, threads)()
    assert len(ranges) == parts
    ranges.sort()
    assert all(end == start for (_, end), (start, _) in pairwise(ranges))
    # Seven times an array of whole words.
    assert 0 <= 7 * (ranges[-1][1] - ranges[0][0]) - moved < 7 * 8


def test_the_kernel_of_the_stream_reads_four_arrays_and_writes_three() -> None:
    pytest.importorskip("numba")
    p, g, m, v = (np.full(11, n) for n in (1, 2, 3, 4))
    streams._kernel()(p, g, m, v)
    assert [{*array.tolist()} for array in (p, g, m, v)] == [{3}, {2}, {5}, {6}]


def test_without_numba_the_stream_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    streams._kernel.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    result = run(["2x3"], ["stream"], threads=[1], rounds=1)
    assert result.candidates == ["torch-fused"]
    assert "numba" in result.absent[0].reason
