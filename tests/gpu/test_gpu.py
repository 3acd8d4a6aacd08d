"""The optimizers on a GPU.

Written for :mod:`unittest`, so that ``tests/gpu/run.py`` can run them on a machine that
has PyTorch and nothing to test with. On 29 November 2026 they were run on an NVIDIA
H200, with PyTorch 2.11 and Triton 3.6; on no other GPU, and never on two. The tests of
the default, of tensors with gaps, of CUDA graphs and of compiling are newer.
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
PLAIN: dict[str, Any] = {"foreach": False, "fused": False}
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


def with_gradients(parameters: list[nn.Parameter], seed: int) -> list[nn.Parameter]:
    set_gradients(parameters, seed)
    return parameters


def take_steps(optimizer: Any, parameters: Sequence[Tensor], seeds: range) -> None:
    for seed in seeds:
        set_gradients(parameters, seed)
        optimizer.step()


def accepted(optimizer: Any, settings: dict[str, Any]) -> bool:
    """Return whether an optimizer has these settings."""
    return all(name in optimizer.__signature__.parameters for name in settings)


def plain_of(kind: Any) -> dict[str, Any]:
    """Return what asks an optimizer for the plain way."""
    return {name: value for name, value in PLAIN.items() if accepted(kind, {name: 0})}


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
            plain = kind(first, lr=0.01, **plain_of(kind), **options)
            other = kind(second, lr=0.01, **backend, **options)
            take_steps(plain, first, range(1, 7))
            take_steps(other, second, range(1, 7))
            assert_close(second, first)
            for one, two in zip(first, second, strict=True):
                for name, value in plain.state[one].items():
                    found = other.state[two][name].to(value.device)
                    assert_close([found], [value])

    @needs_triton
    def test_default_is_the_kernel_where_it_is_not_asked_for_anything_else(
        self,
    ) -> None:
        small = {"state_dtype": torch.bfloat16}  # for which there is no kernel
        cases: tuple[tuple[Any, dict[str, Any], str], ...] = (
            (optim.Adam, {}, "fused by Triton"),
            (optim.AdamW, {}, "fused by Triton"),
            (optim.Adam, {"foreach": True}, "foreach"),
            (optim.Adam, PLAIN, "plain"),
            (optim.Adam, {"capturable": True}, "plain"),
            (optim.Adam, {"differentiable": True}, "plain"),
            (optim.Adam, small, "foreach"),
            (optim.NAdam, {}, "foreach"),
        )
        for kind, settings, way in cases:
            with self.subTest(kind=kind.__name__, **settings):
                parameters = new_parameters()
                optimizer = kind(parameters, **settings)
                if not settings.get("differentiable"):
                    take_steps(optimizer, parameters, range(1, 4))
                assert optimizer.path().startswith(f"{way}: 6 parameters")
                is_native = way.startswith("fused")
                assert (optimizer._fused is not None) == is_native

    @needs_triton
    def test_tensors_with_gaps_are_stepped_beside_those_of_the_kernel(self) -> None:
        rooms = [torch.ones(4, 6, device=DEVICE) for _ in range(2)]
        first, second = (
            [nn.Parameter(room[::2, ::2]), *new_parameters()] for room in rooms
        )
        plain, default = Adam(first, **PLAIN), Adam(second)
        take_steps(plain, first, range(1, 5))
        take_steps(default, second, range(1, 5))
        assert_close([rooms[1], *second], [rooms[0], *first])
        assert default.path().startswith("fused by Triton: 6 parameters; foreach: 1")

    @needs_triton
    def test_default_step_leaves_it_to_the_scaler_to_divide(self) -> None:
        first, second = new_parameters(), new_parameters()
        for optimizer, parameters in (
            (Adam(first, **PLAIN), first),
            (Adam(second), second),
        ):
            scaler = torch.amp.GradScaler(DEVICE, init_scale=256.0)
            for seed in range(1, 6):
                set_gradients(parameters, seed)
                scaler.scale(torch.ones((), device=DEVICE))
                for parameter in parameters:
                    parameter.grad.mul_(256)  # type: ignore[union-attr]
                if seed == 3:
                    parameters[0].grad[0] = torch.inf  # type: ignore[index]
                scaler.step(optimizer)
                scaler.update()
            assert scaler.get_scale() == 128
            assert {int(entry["step"]) for entry in optimizer.state.values()} == {4}
        assert_close(second, first)

    def test_step_in_a_cuda_graph_is_refused_unless_it_is_capturable(self) -> None:
        for settings in (*BACKENDS, PLAIN):
            with self.subTest(**settings):
                parameters = new_parameters()
                optimizer = Adam(parameters, **settings)
                take_steps(optimizer, parameters, range(1, 4))
                before = [parameter.detach().clone() for parameter in parameters]
                refusal = ""
                with torch.cuda.graph(torch.cuda.CUDAGraph()):
                    try:
                        optimizer.step()
                    except RuntimeError as error:
                        refusal = str(error)
                assert "capturable=True" in refusal, refusal
                assert_close(parameters, before)
                take_steps(optimizer, parameters, range(4, 5))
                assert {int(e["step"]) for e in optimizer.state.values()} == {4}

    def test_capturable_step_is_repeated_by_a_cuda_graph(self) -> None:
        first, second = new_parameters(), new_parameters()
        plain, recorded = Adam(first, **PLAIN), Adam(second, capturable=True)
        set_gradients(second, 1)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            recorded.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            recorded.step()
        for seed in range(2, 6):
            for parameter, source in zip(
                second, with_gradients(new_parameters(), seed), strict=True
            ):
                parameter.grad.copy_(source.grad)  # type: ignore[union-attr,arg-type]
            graph.replay()
        take_steps(plain, first, range(1, 6))
        assert_close(second, first)
        assert {int(entry["step"]) for entry in recorded.state.values()} == {5}

    def test_compiled_step_is_the_plain_one_and_the_kernel_goes_on_after_it(
        self,
    ) -> None:
        # Not by Inductor, which compiles for long: what matters is what is traced.
        choices: tuple[dict[str, Any], ...] = ({}, {"capturable": True})
        for settings in choices:
            with self.subTest(**settings):
                torch.compiler.reset()
                first, second = new_parameters(), new_parameters()
                plain, compiled = Adam(first, **PLAIN), Adam(second, **settings)
                take_steps(plain, first, range(1, 6))
                take_steps(compiled, second, range(1, 3))
                step = torch.compile(compiled.step, backend="aot_eager")
                for seed in (3, 4):
                    set_gradients(second, seed)
                    step()
                take_steps(compiled, second, range(5, 6))
                assert_close(second, first)
                assert {int(e["step"]) for e in compiled.state.values()} == {5}

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
                # Lists of four tensors of this size have two temporaries at once.
                in_lists = backend.get("foreach") or not triton_is_installed()
                assert more <= (12 * 4 * elements if in_lists else 2**20)

    @needs_triton
    def test_run_goes_on_by_another_backend(self) -> None:
        first, second = new_parameters(), new_parameters()
        plain, other = Adam(first, **PLAIN), Adam(second, fused=True)
        take_steps(plain, first, range(1, 10))
        take_steps(other, second, range(1, 4))
        assert other.state[second[0]]["step"].is_cuda
        other.param_groups[0] |= {"fused": None, "foreach": True}
        take_steps(other, second, range(4, 7))
        # On the CPU again: the count is read at each step.
        assert not other.state[second[0]]["step"].is_cuda
        last = Adam(second, fused=True)
        last.load_state_dict(other.state_dict())
        last.param_groups[0] |= {"fused": True, "foreach": None}
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
