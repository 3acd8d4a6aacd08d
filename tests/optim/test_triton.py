"""The native step for GPUs, where there is none: compiled, and run by an interpreter.

Triton decides when it is imported whether it compiles or interprets, so what is
interpreted runs in a process of its own. ``tests/gpu`` has the tests on a GPU.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adam_tutorial.optim import Adam, base
from adam_tutorial.optim.backends import by_triton, fused
from adam_tutorial.optim.backends.by_triton import ByTriton, triton_is_installed
from tests.gpu.counted import Counted
from tests.optim.steps import assert_same, copies, numbers, set_gradients, take_steps

HERE = Path(__file__).parent
# What is demanded of every native step, and takes an interpreter no more than minutes.
SUITES = (
    *("backends", "clipping", "fused", "gradscaler", "groups", "half_a_step"),
    *("nonfinite", "stepping"),
)
IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

pytestmark = pytest.mark.skipif(
    not triton_is_installed(), reason="Triton is not installed (the extra gpu)"
)
interpreted = pytest.mark.skipif(
    not IS_INTERPRETED, reason="is run by test_native_step_passes_interpreted"
)
compiled = pytest.mark.skipif(IS_INTERPRETED, reason="nothing is compiled")


@compiled
def test_native_step_passes_interpreted() -> None:
    files = [HERE / f"test_{name}.py" for name in SUITES]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(
                "-p",
                "tests.optim.interpreted",
                "-k",
                "(fused or triton) and not threads",
            ),
            *(__file__, *map(str, files)),
        ],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def triton_kernels() -> Any:
    return importlib.import_module("adam_tutorial.optim.backends.triton_kernels")


def pair(
    sizes: tuple[int, ...], dtype: torch.dtype, **settings: Any
) -> tuple[list[nn.Parameter], Adam, list[nn.Parameter], Adam]:
    """Return the same parameters twice: for the plain step, and for the native one."""
    first = [nn.Parameter(numbers(0, (size,), dtype)) for size in sizes]
    second = copies(first)
    plain = Adam(first, foreach=False, fused=False, **settings)
    return first, plain, second, Adam(second, fused=True, **settings)


@interpreted
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_triton_moves_tensors_of_all_sizes_and_nothing_next_to_them(
    dtype: torch.dtype, amsgrad: bool
) -> None:
    block = triton_kernels().BLOCK
    sizes = (1, block - 1, block, block + 1, 2 * block, 0, 3)
    first, plain, second, native = pair(sizes, dtype, amsgrad=amsgrad, lr=0.1)
    # Not at an address that four elements could be read from at once.
    buffer = numbers(1, (block + 7,), dtype)
    before = buffer.clone()
    first.append(nn.Parameter(buffer[3:-4].clone()))
    second.append(nn.Parameter(buffer[3:-4]))
    for optimizer, parameters in ((plain, first), (native, second)):
        optimizer.add_param_group({"params": parameters[-1:], "lr": 0.2})
        take_steps(optimizer, parameters, range(3))
    for one, other in zip(first, second, strict=True):
        digits = 4 * torch.finfo(dtype).eps
        torch.testing.assert_close(other, one, rtol=digits, atol=digits)
        assert native.state[other]["step"] == 3
    assert torch.equal(buffer[:3], before[:3])
    assert torch.equal(buffer[-4:], before[-4:])
    assert not torch.equal(buffer[3:-4], before[3:-4])


@interpreted
def test_triton_moves_many_tensors_by_one_launch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels = triton_kernels()
    counted = Counted(kernels.adam)
    monkeypatch.setattr(kernels, "adam", counted)
    sizes = (4,) * (kernels.TENSORS + 1)
    first, plain, second, native = pair(sizes, torch.float32)
    for optimizer, parameters in ((plain, first), (native, second)):
        take_steps(optimizer, parameters, range(2))
    assert counted.launches == 2
    assert all(native.state[parameter]["step"] == 2 for parameter in second)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-6)


@interpreted
@pytest.mark.parametrize("beta", [0.0, 1e-3, 0.5, 0.9, 0.999, 1 - 2**-30, 1 - 2**-53])
def test_triton_corrects_the_bias_to_full_precision(beta: float) -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Adam([theta], betas=(beta, 0.5), fused=True)
    theta.grad = torch.ones_like(theta)
    for t in (1, 2, 10, 1000):
        optimizer.step()
        optimizer.state[theta]["step"].fill_(t - 1)
        optimizer.step()
        (launch,) = optimizer._fused._launches  # type: ignore[union-attr]
        step_size = launch._numbers[triton_kernels().STEP_SIZE.value].item()
        exact = 1e-3 / -np.expm1(t * np.log(beta)) if beta else 1e-3
        assert step_size == pytest.approx(exact, rel=1e-15)


@interpreted
def test_triton_leaves_out_a_step_without_asking_the_scaler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theta = nn.Parameter(numbers(0, (5,), torch.float32))
    optimizer: Any = Adam([theta], fused=True, max_grad_norm=1.0)
    take_steps(optimizer, [theta], range(2))
    before = [theta.detach().clone(), *optimizer.state[theta].values()]
    before = [tensor.clone() for tensor in before]

    def wait(_self: object) -> bool:
        raise AssertionError("asked")

    monkeypatch.setattr(base.BaseOptimizer, "_scaler_allows_a_step", wait)
    for found_inf in (1.0, 3.0):
        set_gradients([theta], 3)
        assert theta.grad is not None
        theta.grad[0] = torch.nan
        optimizer.grad_scale = torch.tensor(2.0)
        optimizer.found_inf = torch.tensor([found_inf])
        optimizer.step()
        assert_same([theta, *optimizer.state[theta].values()], before)
    set_gradients([theta], 4)
    assert theta.grad is not None
    divided = theta.grad / 2
    version = theta.grad._version
    optimizer.found_inf = torch.tensor([0.0])
    optimizer.step()
    assert torch.equal(theta.grad, divided)
    assert theta.grad._version > version
    assert optimizer.state[theta]["step"] == 3
    assert theta.isfinite().all()


@interpreted
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_triton_clips_by_the_norm_of_all_gradients(dtype: torch.dtype) -> None:
    sizes = (2 * triton_kernels().BLOCK + 3, 0, 5)
    first, plain, second, _ = pair(sizes, dtype, lr=0.1)
    native = Adam(second, lr=0.1, fused=True, max_grad_norm=0.5)
    for step in range(4):
        set_gradients(first, step)
        set_gradients(second, step)
        norm = torch.cat([p.grad.double() for p in first if p.grad is not None]).norm()
        for parameter in first:
            assert parameter.grad is not None
            parameter.grad *= 0.5 / (norm + 1e-6)
        plain.step()
        native.step()
        torch.testing.assert_close(native.gradient_norm, norm, rtol=1e-12, atol=0)
    digits = 8 * torch.finfo(dtype).eps
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(other, one, rtol=digits, atol=digits)


@interpreted
def test_triton_asks_the_scaler_again_where_the_way_has_changed() -> None:
    theta = nn.Parameter(numbers(0, (5,), torch.float32))
    optimizer: Any = Adam([theta], fused=True)
    take_steps(optimizer, [theta], range(2))
    optimizer.param_groups[0]["fused"] = False
    before = theta.detach().clone()
    optimizer.found_inf = torch.tensor([1.0])
    take_steps(optimizer, [theta], range(2, 3))
    assert torch.equal(theta, before)
    assert optimizer.state[theta]["step"] == 2


@interpreted
def test_triton_divides_a_gradient_that_lies_in_another_order() -> None:
    theta = nn.Parameter(numbers(0, (4, 5), torch.float32))
    optimizer: Any = Adam([theta], fused=True)
    gradient = numbers(1, (5, 4), torch.float32)
    theta.grad = gradient.clone().T
    optimizer.grad_scale = torch.tensor(8.0)
    optimizer.step()
    assert torch.equal(theta.grad, gradient.T / 8)
    torch.testing.assert_close(
        optimizer.state[theta]["exp_avg"], 0.1 * gradient.T / 8, rtol=1e-6, atol=0
    )


@interpreted
def test_triton_is_told_what_has_changed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    ready = ByTriton._ready

    def watched(self: ByTriton, values: Any) -> Tensor:
        sent.append(values)
        return ready(self, values)

    monkeypatch.setattr(ByTriton, "_ready", watched)
    theta = nn.Parameter(numbers(0, (5,), torch.float32))
    optimizer = Adam([theta], fused=True)
    take_steps(optimizer, [theta], range(1))
    sent.clear()
    gradient = theta.grad
    optimizer.step()
    assert not sent
    theta.grad = numbers(1, (5,), torch.float32)
    optimizer.step()
    assert [values.tolist() for values in sent] == [[theta.grad.data_ptr()]]
    sent.clear()
    theta.grad = gradient
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert [values.shape for values in sent] == [(1,), (9, 1)]


@interpreted
def test_triton_is_tried_by_a_step_that_ends_well() -> None:
    by_triton._step_one_number(torch.device("cpu"))


@interpreted
def test_triton_step_is_no_part_of_a_cuda_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theta = nn.Parameter(numbers(0, (5,), torch.float32))
    optimizer = Adam([theta], fused=True)
    take_steps(optimizer, [theta], range(2))
    before = theta.detach().clone()
    for module in (base, fused):
        monkeypatch.setattr(module, "graph_is_captured", lambda: True)
    with pytest.raises(RuntimeError, match="capturable=True"):
        optimizer.step()
    assert torch.equal(theta, before)
    monkeypatch.undo()
    take_steps(optimizer, [theta], range(2, 3))
    assert optimizer.state[theta]["step"] == 3


@interpreted
def test_triton_sends_from_the_cpu_whatever_the_default_device_is() -> None:
    theta = nn.Parameter(numbers(0, (5,), torch.float32))
    optimizer = Adam([theta], fused=True)
    for step in range(2):
        set_gradients([theta], step)
        with torch.device("meta"):
            optimizer.step()
    assert optimizer.state[theta]["step"] == 2


class Compiled:
    """A kernel that is compiled for what it is called with, and not launched."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.code = ""

    def __getitem__(self, grid: Any) -> Any:
        def compiled(*arguments: Any, **options: Any) -> None:
            done = self.kernel.run(*arguments, grid=grid, warmup=True, **options)
            self.code = done.asm["ptx"]

        return compiled


@pytest.fixture
def compute_capability_80(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Have the kernels compiled for a GPU that is not there."""
    backends = importlib.import_module("triton.backends.compiler")
    driver = importlib.import_module("triton.runtime").driver
    driver.set_active(
        SimpleNamespace(
            get_current_target=lambda: backends.GPUTarget("cuda", 80, 32),
            get_current_device=lambda: 0,
            get_current_stream=lambda _device: 0,
        )
    )
    kernels = triton_kernels()
    for name in ("numbers_of_adam", "adam", "sum_of_squares"):
        monkeypatch.setattr(kernels, name, Compiled(getattr(kernels, name)))
    monkeypatch.setattr(fused, "is_for_gpu", lambda _batch: True)
    yield kernels
    with suppress(RuntimeError):  # there is no GPU
        driver.reset_active()


@compiled
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    ("dtype", "instructions"),
    [
        (torch.float32, ["sqrt.rn.f32", "div.rn.f32"]),
        (torch.complex64, ["sqrt.rn.f32", "div.rn.f32"]),
        (torch.bfloat16, ["sqrt.rn.f32", "div.rn.f32", "cvt.rn.bf16"]),
        (torch.float16, ["sqrt.rn.f32", "div.rn.f32", "cvt.rn.f16"]),
        (torch.float64, ["sqrt.rn.f64", "div.rn.f64"]),
    ],
    ids=lambda value: str(value) if isinstance(value, torch.dtype) else "",
)
def test_kernel_for_a_gpu_reads_wide_and_rounds_to_the_nearest(
    dtype: torch.dtype,
    instructions: list[str],
    scaled: bool,
    compute_capability_80: Any,
) -> None:
    kernels = compute_capability_80
    parameters = [nn.Parameter(torch.ones(3, dtype=dtype))]
    optimizer: Any = Adam(parameters, fused=True, amsgrad=scaled)
    if scaled:
        optimizer.param_groups[0]["max_grad_norm"] = 1.0
        optimizer.grad_scale = torch.tensor(2.0)
        optimizer.found_inf = torch.tensor([0.0])
    take_steps(optimizer, parameters, range(2))
    code = kernels.adam.code.replace(".ftz", "")
    assert all(instruction in code for instruction in instructions)
    # A block that is full is read 16 bytes at a time.
    real = dtype.to_real()
    stored, moment = real.itemsize, max(real.itemsize, 4)
    a_thread_has = kernels.BLOCK // (32 * kernels.WARPS)
    size = a_thread_has * (2 * stored + (3 if scaled else 2) * moment)
    assert len(re.findall(r"ld\.global\.v[24]", code)) == size // 16
    # Products are rounded before they are added, as in the step for the CPU.
    assert "fma" not in code
    assert kernels.numbers_of_adam.code
    assert bool(kernels.sum_of_squares.code) == scaled
