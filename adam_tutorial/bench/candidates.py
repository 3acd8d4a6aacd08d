"""What is measured: each candidate turns a task into a step that can be repeated.

Libraries are imported when their turn comes. A candidate that cannot be built or cannot
take its first step, for whatever reason, is left out with that reason.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adam_tutorial import optim
from adam_tutorial.bench.in_numpy import blocked, in_place, loop, textbook
from adam_tutorial.bench.machine import cpus
from adam_tutorial.bench.stream import stream
from adam_tutorial.bench.workloads import Workload

__all__ = ["CANDIDATES", "Candidate", "Task"]

Step = Callable[[], object]


@dataclass(frozen=True)
class Task:
    """A workload, and how it is to be stepped.

    Parameters
    ----------
    workload : Workload
    threads : int
    device : {"cpu", "cuda"}
    max_grad_norm : float, optional
        The step begins with clipping the norm of all gradients to this.
    """

    workload: Workload
    threads: int = 1
    device: str = "cpu"
    max_grad_norm: float | None = None

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return new parameters with gradients, the same numbers every time."""
        random = torch.Generator(self.device).manual_seed(0)
        dtype = getattr(torch, self.workload.dtype)

        def numbers(shape: tuple[int, ...]) -> Tensor:
            return torch.randn(shape, generator=random, dtype=dtype, device=self.device)

        parameters = []
        for shape in self.workload.shapes:
            parameter = torch.nn.Parameter(numbers(shape))
            parameter.grad = numbers(shape)
            parameters.append(parameter)
        return parameters


@dataclass(frozen=True)
class Candidate:
    """Something whose step is measured.

    Parameters
    ----------
    about : str
        What it is, for the help.
    build : function
        Takes a task, returns a step. Raises if it cannot do that task.
    devices : tuple of str
    clips : bool
        Whether it can clip gradients.
    default : bool
        Whether it is measured unless the user chooses.
    """

    about: str
    build: Callable[[Task], Step]
    devices: tuple[str, ...] = ("cpu", "cuda")
    clips: bool = True
    default: bool = True


def _stepping(make: Callable[[list[Any]], Any]) -> Callable[[Task], Step]:
    """Return how an optimizer of PyTorch's kind is built; clipping comes before it."""

    def build(task: Task) -> Step:
        parameters = task.parameters()
        step: Step = make(parameters).step
        limit = task.max_grad_norm
        if limit is None:
            return step

        def clip_and_step() -> None:
            torch.nn.utils.clip_grad_norm_(parameters, limit)
            step()

        return clip_and_step

    return build


def _ours(**settings: Any) -> Callable[[Task], Step]:
    """Return how this package's Adam is built, which clips in its own step."""

    def build(task: Task) -> Step:
        given = dict(settings)
        if task.max_grad_norm is not None:
            given["max_grad_norm"] = task.max_grad_norm
        return optim.Adam(task.parameters(), **given).step

    return build


def _torch(**settings: Any) -> Callable[[Task], Step]:
    return _stepping(lambda parameters: torch.optim.Adam(parameters, **settings))


def _from(module: str, kind: str, **settings: Any) -> Callable[[Task], Step]:
    def make(parameters: list[Any]) -> Any:
        return getattr(importlib.import_module(module), kind)(parameters, **settings)

    return _stepping(make)


def _torch_compiled(task: Task) -> Step:
    # What was compiled for other tensors would count towards the limit of recompiling.
    torch.compiler.reset()
    step = _torch()(task)
    return torch.compile(lambda: step())  # the documented form: a function that steps


def _stream(task: Task) -> Step:
    return stream(task.workload.bytes, task.threads)


def _optax(task: Task) -> Step:
    jax: Any = importlib.import_module("jax")
    optax: Any = importlib.import_module("optax")
    cpu = _jax_cpu(jax, task.threads)

    def arrays(tensors: list[Tensor]) -> list[Any]:
        # NumPy has no bfloat16.
        numbers = [tensor.detach().float().numpy() for tensor in tensors]
        return [jax.device_put(x, cpu).astype(task.workload.dtype) for x in numbers]

    parameters = task.parameters()
    held = arrays(list(parameters))
    gradients = arrays([p.grad for p in parameters if p.grad is not None])
    rule = optax.adam(1e-3)
    if task.max_grad_norm is not None:
        rule = optax.chain(optax.clip_by_global_norm(task.max_grad_norm), rule)
    state = rule.init(held)

    def update(held: Any, state: Any, gradients: Any) -> Any:
        updates, state = rule.update(gradients, state, held)
        return optax.apply_updates(held, updates), state

    compiled = jax.jit(update, donate_argnums=(0, 1))

    def step() -> None:
        nonlocal held, state
        held, state = jax.block_until_ready(compiled(held, state, gradients))

    return step


def _jax_cpu(jax: Any, threads: int) -> Any:
    """Return a CPU device of JAX that uses so many threads.

    JAX makes as many as the thread may use CPUs that first asks for devices.
    """
    if not hasattr(os, "sched_setaffinity"):
        if threads != cpus():
            raise RuntimeError(
                f"JAX uses all {cpus()} CPUs, and no fewer, on this system"
            )
        return jax.devices("cpu")[0]
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:threads])
    try:
        importlib.import_module("jax.extend.backend").clear_backends()
        return jax.devices("cpu")[0]
    finally:
        os.sched_setaffinity(0, allowed)


_CPU = ("cpu",)


def _without_torch(about: str, build: Callable[[list[Any]], Step]) -> Candidate:
    return Candidate(
        about,
        lambda task: build(task.parameters()),
        devices=_CPU,
        clips=False,
        default=False,
    )


CANDIDATES: dict[str, Candidate] = {
    "torch-fused": Candidate("torch.optim.Adam(fused=True)", _torch(fused=True)),
    "torch": Candidate("torch.optim.Adam as it comes: a loop on a CPU", _torch()),
    "torch-foreach": Candidate("torch.optim.Adam(foreach=True)", _torch(foreach=True)),
    "torch-compiled": Candidate(
        "torch.optim.Adam, its step compiled; needs a C++ compiler",
        _torch_compiled,
        default=False,
    ),
    "ours": Candidate("adam_tutorial.optim.Adam as it comes", _ours()),
    "ours-plain": Candidate(
        "the same, one tensor at a time", _ours(foreach=False, fused=False)
    ),
    "ours-foreach": Candidate("the same with foreach=True", _ours(foreach=True)),
    "ours-fused": Candidate("the same with fused=True", _ours(fused=True)),
    "ours-bf16": Candidate(
        "the same with moments in bfloat16", _ours(state_dtype=torch.bfloat16)
    ),
    "ours-8bit": Candidate(
        "the same with moments of 8 bits", _ours(state_dtype=torch.uint8)
    ),
    "bitsandbytes": Candidate(
        "bitsandbytes.optim.Adam32bit", _from("bitsandbytes.optim", "Adam32bit")
    ),
    "bitsandbytes-8bit": Candidate(
        "bitsandbytes.optim.Adam8bit", _from("bitsandbytes.optim", "Adam8bit")
    ),
    "torchao-8bit": Candidate(
        "torchao.optim.Adam8bit", _from("torchao.optim", "Adam8bit")
    ),
    "deepspeed": Candidate(
        "DeepSpeedCPUAdam; compiles its kernel when it is first used",
        _from("deepspeed.ops.adam", "DeepSpeedCPUAdam", adamw_mode=False),
        devices=_CPU,
    ),
    "optax": Candidate("optax.adam, compiled by jax.jit", _optax, devices=_CPU),
    "stream": Candidate(
        "the limit: the same bytes and next to no arithmetic; needs numba",
        _stream,
        devices=_CPU,
        clips=False,
    ),
    "numpy-textbook": _without_torch("adam_tutorial.reference.adam", textbook),
    "numpy-inplace": _without_torch(
        "reference.adam_blocked with one block, the whole array", in_place
    ),
    "numpy-blocked": _without_torch(
        "reference.adam_blocked, in blocks that stay in the cache", blocked
    ),
    "python": _without_torch(
        "a loop in Python over lists of floats; for small workloads", loop
    ),
}
