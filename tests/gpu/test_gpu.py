"""The optimizers on a GPU.

Written for :mod:`unittest`, so that ``tests/gpu/run.py`` can run them on a machine that
has PyTorch and nothing to test with. They were never run on a GPU so far.
"""

from __future__ import annotations

import importlib
import unittest
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from adam_tutorial import optim
from adam_tutorial.optim import Adam
from adam_tutorial.optim.backends.by_triton import triton_is_installed
from tests.gpu.counted import Counted

DEVICE = "cuda"
PLAIN: dict[str, Any] = {"foreach": False}
BACKENDS: list[dict[str, Any]] = [
    {},
    {"foreach": True},
    *([{"fused": True}] if triton_is_installed() else []),
]
OPTIMIZERS = [getattr(optim, name) for name in optim.__all__]
SHAPES = ((5, 3), (), (0,), (2048,), (3, 2049), (2, 3, 4, 5))
OPTIONS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1, "maximize": True},
    {"amsgrad": True, "max_grad_norm": 0.5},
    {"decoupled_weight_decay": True, "weight_decay": 0.1},
]


def new_parameters(
    dtype: torch.dtype = torch.float32, shapes: Sequence[Sequence[int]] = SHAPES
) -> list[nn.Parameter]:
    """Return the same parameters at each call; the last one is not contiguous."""
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
        for shape in shapes
    ]
    parameters = [nn.Parameter(tensor.to(DEVICE, dtype)) for tensor in tensors]
    if parameters[-1].ndim > 1:
        parameters[-1].data = parameters[-1].data.transpose(0, 1)
    return parameters


def set_gradients(parameters: Sequence[Tensor], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = (noise + 0.2).to(DEVICE, parameter.dtype)


def take_steps(optimizer: Any, parameters: Sequence[Tensor], seeds: range) -> None:
    for seed in seeds:
        set_gradients(parameters, seed)
        optimizer.step()


def accepted(optimizer: Any, settings: dict[str, Any]) -> bool:
    """Return whether an optimizer has these settings."""
    return all(name in optimizer.__signature__.parameters for name in settings)


def assert_close(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        digits = 32 * torch.finfo(other.dtype).eps
        torch.testing.assert_close(one, other, rtol=digits, atol=digits)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise where a program waits for the device."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


needs_triton = unittest.skipUnless(triton_is_installed(), "Triton is not installed")


@unittest.skipUnless(torch.cuda.is_available(), "there is no CUDA device")
class OnGPU(unittest.TestCase):
    """Steps on the first GPU."""

    def test_backend_computes_what_the_plain_one_does(self) -> None:
        dtypes = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
        for kind in OPTIMIZERS:
            for backend in BACKENDS:
                for options in OPTIONS:
                    if not accepted(kind, {**backend, **options}):
                        continue
                    for dtype in (*dtypes, torch.complex64):
                        if dtype in kind.dtypes:
                            self.compare(kind, backend, options, dtype)

    def compare(
        self, kind: Any, backend: Any, options: Any, dtype: torch.dtype
    ) -> None:
        with self.subTest(kind=kind.__name__, dtype=dtype, **backend, **options):
            first, second = new_parameters(dtype), new_parameters(dtype)
            plain = kind(first, lr=0.01, **PLAIN, **options)
            other = kind(second, lr=0.01, **backend, **options)
            take_steps(plain, first, range(1, 7))
            take_steps(other, second, range(1, 7))
            assert_close(second, first)
            for one, two in zip(first, second, strict=True):
                for name, value in plain.state[one].items():
                    found = other.state[two][name].to(value.device)
                    assert_close([found], [value])

    @needs_triton
    def test_thousand_small_tensors_take_one_launch(self) -> None:
        kernels = importlib.import_module("adam_tutorial.optim.backends.triton_kernels")
        parameters = new_parameters(shapes=[(64,)] * 1000)
        optimizer = Adam(parameters, fused=True)
        take_steps(optimizer, parameters, range(1, 3))
        with mock.patch.object(kernels, "adam", Counted(kernels.adam)) as counted:
            take_steps(optimizer, parameters, range(3, 4))
        assert counted.launches == 1
        assert all(int(optimizer.state[p]["step"]) == 3 for p in parameters)

    def test_step_does_not_wait_for_the_device(self) -> None:
        for kind in OPTIMIZERS:
            for settings in (
                *BACKENDS,
                *({**b, "max_grad_norm": 1.0} for b in BACKENDS),
            ):
                if not (kind.elementwise and accepted(kind, settings)):
                    continue
                with self.subTest(kind=kind.__name__, **settings):
                    parameters = new_parameters()
                    optimizer = kind(parameters, **settings)
                    take_steps(optimizer, parameters, range(1, 8))
                    set_gradients(parameters, 8)
                    with no_waiting():
                        optimizer.step()

    @needs_triton
    def test_scaled_step_does_not_wait_and_leaves_out_what_overflows(self) -> None:
        parameters = new_parameters(torch.float16)
        optimizer = Adam(parameters, lr=0.1, fused=True)
        scaler = torch.amp.GradScaler(DEVICE, init_scale=256.0)
        for seed in range(1, 6):
            set_gradients(parameters, seed)
            scaler.scale(torch.ones((), device=DEVICE))
            if seed == 4:
                parameters[0].grad[0] = torch.inf  # type: ignore[index]
            before = [parameter.detach().clone() for parameter in parameters]
            if seed == 1:
                scaler.step(optimizer)
            else:
                with no_waiting():
                    scaler.step(optimizer)
            moved = [
                not torch.equal(one, other)
                for one, other in zip(before, parameters, strict=True)
                if one.numel()
            ]
            assert all(moved) if seed != 4 else not any(moved)
            scaler.update()
        assert scaler.get_scale() == 128
        counts = {int(entry["step"]) for entry in optimizer.state.values()}
        assert counts == {4}

    @needs_triton
    def test_scaled_step_equals_the_one_with_gradients_that_were_divided(self) -> None:
        first, second = new_parameters(), new_parameters()
        plain, native = Adam(first, **PLAIN), Adam(second, fused=True)
        scaler = torch.amp.GradScaler(DEVICE, init_scale=256.0)
        for seed in range(1, 6):
            for optimizer, parameters in ((plain, first), (native, second)):
                set_gradients(parameters, seed)
                scaler.scale(torch.ones((), device=DEVICE))
                for parameter in parameters:
                    parameter.grad.mul_(256)  # type: ignore[union-attr]
                scaler.step(optimizer)
            for one, other in zip(first, second, strict=True):
                assert torch.equal(one.grad, other.grad)  # type: ignore[arg-type]
            scaler.update()
        assert_close(second, first)

    def test_moments_of_half_precision_are_float32(self) -> None:
        for backend in BACKENDS:
            with self.subTest(**backend):
                parameters = new_parameters(torch.bfloat16)
                optimizer = Adam(parameters, **backend)
                take_steps(optimizer, parameters, range(1, 3))
                for entry in optimizer.state.values():
                    assert entry["exp_avg"].dtype == torch.float32
                    assert entry["exp_avg_sq"].dtype == torch.float32

    def test_clipped_step_equals_clipping_before_the_step(self) -> None:
        for backend in BACKENDS:
            with self.subTest(**backend):
                first, second = new_parameters(), new_parameters()
                plain = Adam(first, **PLAIN)
                other = Adam(second, max_grad_norm=1.0, **backend)
                for seed in range(1, 5):
                    set_gradients(first, seed)
                    norm = nn.utils.clip_grad_norm_(first, 1.0)
                    plain.step()
                    take_steps(other, second, range(seed, seed + 1))
                    torch.testing.assert_close(other.gradient_norm.float(), norm)
                assert_close(second, first)

    def test_step_needs_little_memory(self) -> None:
        elements = 2**22
        for backend in BACKENDS:
            with self.subTest(**backend):
                parameters = new_parameters(shapes=[(elements,)] * 16)
                optimizer = Adam(parameters, **backend)
                take_steps(optimizer, parameters, range(1, 3))
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                optimizer.step()
                more = torch.cuda.max_memory_allocated() - before
                # Lists of four tensors of this size have three temporaries at once.
                assert more <= (2**20 if backend.get("fused") else 16 * 4 * elements)

    @needs_triton
    def test_run_goes_on_by_another_backend(self) -> None:
        first, second = new_parameters(), new_parameters()
        plain, other = Adam(first, **PLAIN), Adam(second, fused=True)
        take_steps(plain, first, range(1, 10))
        take_steps(other, second, range(1, 4))
        assert other.state[second[0]]["step"].is_cuda
        other.param_groups[0]["fused"] = None
        take_steps(other, second, range(4, 7))
        # On the CPU again: the count is read at each step.
        assert not other.state[second[0]]["step"].is_cuda
        last = Adam(second, fused=True)
        last.load_state_dict(other.state_dict())
        last.param_groups[0]["fused"] = True
        take_steps(last, second, range(7, 10))
        assert last.state[second[0]]["step"].is_cuda
        assert_close(second, first)

    @unittest.skipUnless(torch.cuda.device_count() > 1, "there is one GPU")
    def test_step_on_two_gpus_is_clipped_by_one_norm(self) -> None:
        for backend in BACKENDS:
            with self.subTest(**backend):
                first, second = new_parameters(), new_parameters()
                for parameter in second[::2]:
                    parameter.data = parameter.data.to("cuda:1")
                plain = Adam(first, max_grad_norm=0.5, **PLAIN)
                other = Adam(second, max_grad_norm=0.5, **backend)
                for seed in range(1, 5):
                    set_gradients(first, seed)
                    for one, two in zip(first, second, strict=True):
                        two.grad = one.grad.to(two.device)  # type: ignore[union-attr]
                    plain.step()
                    other.step()
                assert_close([parameter.to(DEVICE) for parameter in second], first)
