"""One native call for all parameters of an optimizer, in one pass over the memory.

With Numba (the extra ``fast``), :mod:`~adam_tutorial.optim.backends.kernels` compiles
the call. Without it, PyTorch's own fused step is called where it computes the same.
On a GPU, :mod:`~adam_tutorial.optim.backends.triton_kernels` has the call (the extra
``gpu``; PyTorch for CUDA brings Triton along).
"""

from __future__ import annotations

import functools
import importlib.util
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from adam_tutorial.optim.backends.by_triton import (
    ByTriton,
    graph_is_captured,
    triton_is_installed,
    why_not_by_default,
)
from adam_tutorial.optim.backends.gathered import (
    Batch,
    Gathered,
    is_dense,
    overlapping,
)
from adam_tutorial.optim.backends.interrupts import uninterrupted
from adam_tutorial.optim.backends.threads import share
from adam_tutorial.optim.hyperparameters import as_float
from adam_tutorial.optim.low_precision import real_numbers
from adam_tutorial.optim.state import Slot, relaid, stored_as

__all__ = ["Fused", "by_whom", "gather", "ways", "why_not", "why_not_group"]

# Below so many elements a second thread is not worth waking.
ALONE = 2**17
# Threads take multiples of this, so that no two write to one line of the cache.
GRAIN = 2**10

# The row of the settings that multiplies the gradient.
FACTOR = 6

# For half precision, NumPy's types of the same size by which the kernels know it.
FORMATS: dict[torch.dtype, Any] = {
    torch.float64: np.float64,
    torch.complex128: np.float64,
    torch.float32: np.float32,
    torch.complex64: np.float32,
    torch.bfloat16: np.uint16,
    torch.float16: np.int16,
}
# PyTorch's fused step wants moments in the type of the parameter.
FORMATS_OF_TORCH = (torch.float64, torch.float32)

SHARED = "parameters that share memory with another one"
# What a schedule may change from step to step; a change of anything else begins anew.
NUMBERS = ("lr", "betas", "eps", "weight_decay")


class Optimizer(Protocol):
    """What is needed of an optimizer."""

    param_groups: list[dict[str, Any]]
    state: defaultdict[Tensor, Any]
    hyperparameters: ClassVar[Mapping[str, Any]]
    kernel: ClassVar[str | None]
    rounding_seed: int

    def decouples(self, settings: Mapping[str, Any]) -> bool:
        """Return True if weight decay shrinks the parameter, False for a penalty."""
        ...

    def _check_settings(self, group: Mapping[str, Any], index: int) -> None:
        """Raise if a group has a setting with which no step can be taken."""
        ...

    def _slots_in_use(
        self, parameter: Tensor, settings: Mapping[str, Any]
    ) -> Sequence[Slot]:
        """Return what is stored for a parameter, beside the number of its steps."""
        ...


@functools.cache
def _numba_is_installed() -> bool:
    # Looked for, not imported: that takes a third of a second, and the first step may
    # be far away.
    return importlib.util.find_spec("numba") is not None


def by_whom(group: Mapping[str, Any]) -> str:
    """Return who compiled the native call of a group."""
    if any(parameter.device.type == "cuda" for parameter in group["params"]):
        return "Triton"
    return "Numba" if _numba_is_installed() else "PyTorch"


def why_not_group(optimizer: Optimizer, group: Mapping[str, Any]) -> str:
    """Return what keeps a whole group from a native call; nothing, if nothing does."""
    if optimizer.kernel is None:
        return f"no kernel for {type(optimizer).__name__}"
    for flag in ("capturable", "differentiable"):
        if group.get(flag):
            return f"{flag}=True"
    fused, foreach = group.get("fused"), group.get("foreach")
    if fused or (fused is None and foreach is None):
        return ""
    return f"fused={fused}" if foreach is None else f"foreach={foreach}"


def why_not(
    parameter: Tensor, gradient: Tensor | None, group: Mapping[str, Any]
) -> str:
    """Return what keeps a parameter from a native call; nothing, if it can be taken."""
    for tensor in (parameter,) if gradient is None else (parameter, gradient):
        if type(tensor) not in (Tensor, torch.nn.Parameter, torch.nn.Buffer):
            return f"tensors of class {type(tensor).__name__}"
    device = parameter.device.type
    if device not in ("cpu", "cuda"):
        return f"parameters on {device}"
    if device == "cuda" and not triton_is_installed():
        return "parameters on cuda without Triton (pip install triton)"
    if device == "cuda" and not group.get("fused"):
        why = why_not_by_default(parameter.device)
        if why:
            return why
    formats: Collection[torch.dtype] = (
        FORMATS if device == "cuda" or _numba_is_installed() else FORMATS_OF_TORCH
    )
    if parameter.dtype not in formats:
        return f"{parameter.dtype} without Numba (pip install numba)"
    if parameter.layout != torch.strided or not is_dense(parameter):
        return "parameters with gaps between their elements"
    state_dtype = group.get("state_dtype")
    if state_dtype is not None:
        if device == "cuda":
            return "parameters on cuda with a state_dtype"
        if FORMATS[parameter.dtype] is np.float64:
            return f"{parameter.dtype} with a state_dtype"
        if state_dtype != torch.float32 and not _numba_is_installed():
            return f"{state_dtype} without Numba (pip install numba)"
    if gradient is None:
        return ""
    if gradient.dtype != parameter.dtype:
        return "gradients of another type than the parameter's"
    return "" if gradient.layout == torch.strided else "gradients that are not dense"


def ways(optimizer: Optimizer, group: Mapping[str, Any]) -> dict[str, int]:
    """Return how many parameters of a group each reason keeps from a native call.

    Those that are taken are counted under the empty reason.
    """
    reason = why_not_group(optimizer, group)
    shared = overlapping([p for p in group["params"] if _has_memory(p, group)])
    counts: dict[str, int] = {}
    for parameter in group["params"]:
        why = reason or why_not(parameter, parameter.grad, group)
        if not why and id(parameter) in shared:
            why = SHARED
        counts[why] = counts.get(why, 0) + 1
    return counts


def _has_memory(parameter: Tensor, group: Mapping[str, Any]) -> bool:
    return not why_not(parameter, None, group)


def gather(optimizer: Optimizer) -> Fused | None:
    """Return the native call for those parameters that can be stepped by one.

    Parameters
    ----------
    optimizer : Optimizer
        Whose parameters with a gradient have a state.
    """
    kinds: dict[Any, list[tuple[Tensor, int]]] = {}
    taken: list[Tensor] = []
    for index, group in enumerate(optimizer.param_groups):
        if why_not_group(optimizer, group):
            continue
        state_dtype = group.get("state_dtype")
        for parameter in group["params"]:
            if parameter.grad is None or why_not(parameter, parameter.grad, group):
                continue
            slots = optimizer._slots_in_use(parameter, group)
            stored = [stored_as(slot, parameter, state_dtype) for slot in slots]
            names = tuple(held.name for form in stored for held in form)
            entry = optimizer.state[parameter]
            if not all(type(entry[name]) is Tensor for name in names):
                continue
            for slot, (held, *_) in zip(slots, stored, strict=True):
                if not _is_laid_out_as(parameter, entry[held.name]):
                    entry |= relaid(slot, entry, parameter, state_dtype)
            # On a GPU the kernel counts, since it alone knows whether a step is taken.
            entry["step"] = entry["step"].to(parameter.device, non_blocking=True)
            dtypes = tuple(entry[name].dtype for name in names)
            kind = (parameter.device, parameter.dtype, dtypes, names)
            kinds.setdefault(kind, []).append((parameter, index))
            taken += [parameter, *(entry[name] for name in names)]
    shared = overlapping(taken)
    batches = []
    for (*_, names), members in kinds.items():
        kept = [(p, index) for p, index in members if id(p) not in shared]
        if kept:
            parameters = [parameter for parameter, _ in kept]
            entries = [optimizer.state[parameter] for parameter in parameters]
            places = [index for _, index in kept]
            batches.append(Batch(parameters, entries, names, places))
    return Fused(optimizer, batches) if batches else None


def _is_laid_out_as(parameter: Tensor, stored: Tensor) -> bool:
    """Return whether a moment is in the parameter's order in memory."""
    like = parameter if stored.is_complex() else real_numbers(parameter)
    return stored.layout == torch.strided and stored.stride() == like.stride()


def is_for_gpu(batch: Batch) -> bool:
    """Return whether a batch is stepped by Triton."""
    return batch.parameters[0].device.type == "cuda"


class Fused:
    """A native call for batches of parameters.

    Parameters
    ----------
    optimizer : Optimizer
        Whose rule is Adam's.
    batches : sequence of Batch
        Those of its parameters that it is for.
    """

    def __init__(self, optimizer: Optimizer, batches: Sequence[Batch]) -> None:
        groups = optimizer.param_groups
        self.parameters = [p for batch in batches for p in batch.parameters]
        self._gathered = Gathered(groups, optimizer.state, batches)
        with_gradient = sum(
            parameter.grad is not None
            for group in groups
            for parameter in group["params"]
        )
        self.is_complete = len(self.parameters) == with_gradient
        self._calls = [_call_for(batch) for batch in batches if not is_for_gpu(batch)]
        self._launches = [ByTriton(batch) for batch in batches if is_for_gpu(batch)]
        self._fixed = [
            name for name in optimizer.hyperparameters if name not in NUMBERS
        ]
        self._choices = self._chosen(groups)
        self._numbers: list[tuple[Any, ...] | None] = [None] * len(groups)
        self._settings = np.empty((7, len(groups)))
        self._read_numbers(optimizer)

    def is_current(self, optimizer: Optimizer) -> bool:
        """Return whether all parameters can be stepped by addresses that are known.

        Raises
        ------
        ValueError
            A number was set with which no step can be taken.
        """
        groups = optimizer.param_groups
        if self._launches and graph_is_captured():
            return False  # a graph would repeat this step, whatever changes
        if not (
            self.is_complete
            and self._gathered.is_current(groups, optimizer.state)
            and self._chosen(groups) == self._choices
        ):
            return False
        self._read_numbers(optimizer)
        return True

    @property
    def is_on_device(self) -> bool:
        """Whether a GPU takes the whole step, and nothing needs to wait for it."""
        return self.is_complete and not self._calls

    def norm(self) -> Tensor:
        """Return the norm of all gradients together, in float64."""
        total = torch.tensor(
            sum(call.square_norm() for call in self._calls),
            dtype=torch.float64,
            device="cpu",
        )
        for launch in self._launches:
            square = launch.square_norm()
            total = square + total.to(square.device, non_blocking=True)
        return total.sqrt()

    def step(
        self,
        factor: Tensor | None,
        scale: Tensor | None,
        found_inf: Tensor | None,
        rounding_seed: int,
    ) -> None:
        """Move all parameters.

        Parameters
        ----------
        factor : Tensor or None
            What the gradients are multiplied by, to clip them.
        scale : Tensor or None
            What the gradients have been multiplied by, in mixed precision. They are
            divided by it in place.
        found_inf : Tensor or None
            If it is not zero, parameters on a GPU stay as they are; those on the CPU
            are moved in any case.
        rounding_seed : int
            Of the random numbers by which moments of few bits are rounded.
        """
        settings = self._settings
        # Reading either waits for its device.
        if self._calls and (factor is not None or scale is not None):
            settings = settings.copy()
            settings[FACTOR] *= 1.0 if factor is None else float(factor)
            settings[FACTOR] /= 1.0 if scale is None else float(scale)
        if len(self._calls) == 1 and not self._launches and self._calls[0].is_alone:
            self._calls[0].step(settings, rounding_seed)
        else:
            with uninterrupted():
                for call in self._calls:
                    call.step(settings, rounding_seed)
                for launch in self._launches:
                    launch.step(self._settings, factor, scale, found_inf)
        # Autograd refuses a backward pass through what has been overwritten, if told.
        increment_version(self.parameters)
        if scale is not None:
            # A kernel on a GPU has divided its gradients, if it took the step.
            with torch.no_grad():
                for call in self._calls:
                    gradients: list[Any] = [p.grad for p in call.batch.parameters]
                    torch._foreach_div_(gradients, scale)
        for batch in self._gathered.batches:
            batch.let_go()

    def _chosen(self, groups: Sequence[Mapping[str, Any]]) -> list[Any]:
        return [[group.get(name) for name in self._fixed] for group in groups]

    def _read_numbers(self, optimizer: Optimizer) -> None:
        """Bring the settings up to date, after checking what has changed."""
        groups = optimizer.param_groups
        found = [tuple(map(group.get, NUMBERS)) for group in groups]
        changed = [
            index
            for index, numbers in enumerate(found)
            if numbers != self._numbers[index] or _has_tensor(numbers)
        ]
        for index in changed:
            optimizer._check_settings(groups[index], index)
        for index in changed:
            self._settings[:, index] = _row(optimizer, groups[index])
            self._numbers[index] = found[index]


def _has_tensor(numbers: tuple[Any, ...]) -> bool:
    lr, betas, *others = numbers
    return any(isinstance(number, Tensor) for number in (lr, *betas, *others))


def _row(optimizer: Optimizer, group: Mapping[str, Any]) -> tuple[float, ...]:
    """Return a group's numbers in the order of the kernels' settings."""
    lr, betas, eps, weight_decay = (group[name] for name in NUMBERS)
    beta1, beta2 = betas
    decay = as_float(weight_decay)
    penalty, shrinkage = (0.0, decay) if optimizer.decouples(group) else (decay, 0.0)
    sign = -1.0 if group["maximize"] else 1.0
    return (*map(as_float, (lr, beta1, beta2, eps)), penalty, shrinkage, sign)


class ByNumba:
    """A batch that a kernel of this package steps.

    Parameters
    ----------
    batch : Batch
        What is stepped.
    """

    def __init__(self, batch: Batch) -> None:
        kernels = importlib.import_module("adam_tutorial.optim.backends.kernels")
        self._kernels = kernels
        self.batch = batch
        parameters = batch.parameters
        sizes = [p.numel() * (2 if p.is_complex() else 1) for p in parameters]
        ends = np.cumsum(sizes)
        self._size = int(ends[-1])
        self._table = np.empty((kernels.ROWS, len(sizes)), np.int64)
        self._table[kernels.FIRST] = ends - sizes
        self._table[kernels.SIZE] = sizes
        self._table[kernels.PARAMETER] = batch.addresses
        for name, addresses in batch.stored_addresses.items():
            self._table[kernels.ROW_OF[name]] = addresses
        chunks = -(-np.array(sizes) // kernels.CHUNK)
        self._table[kernels.CHUNKS] = np.cumsum(chunks) - chunks
        self._sums = np.empty(chunks.sum())
        self._amsgrad = any(name.startswith("max_exp_avg_sq") for name in batch.stored)
        self._groups = np.array(batch.groups)
        self._stored = np.empty(0, FORMATS[parameters[0].dtype])
        is_double = self._stored.dtype == np.float64
        arithmetic = np.float64 if is_double else np.float32
        self._numbers = np.empty((kernels.NUMBERS, len(sizes)), arithmetic)

    @property
    def is_alone(self) -> bool:
        """Whether one call moves all, without help from other threads."""
        return self._size < ALONE or torch.get_num_threads() == 1

    def square_norm(self) -> float:
        """Return the sum of the squares of all gradients."""
        self._table[self._kernels.GRADIENT] = self.batch.gradient_addresses()

        def add(first: int, last: int) -> None:
            self._kernels.sum_of_squares(
                self._table, self._sums, first, last, self._stored
            )

        share(add, _borders(len(self._sums), 1, alone=self.is_alone))
        return float(self._sums.sum())

    def step(self, settings: Any, seed: int) -> None:
        kernels = self._kernels
        self._table[kernels.GRADIENT] = self.batch.gradient_addresses()
        table, numbers, more = self._table, self._numbers, (self._stored, self._amsgrad)
        if self.is_alone:
            kernels.count_and_move_adam(table, settings, self._groups, numbers, *more)
            return

        def move(first: int, last: int) -> None:
            kernels.adam(table, numbers, first, last, *more)

        kernels.count_adam(table, settings, self._groups, numbers)
        share(move, _borders(self._size, GRAIN, alone=False))


class InFewerBits(ByNumba):
    """A batch whose moments are stored in 16 or 8 bits.

    Parameters
    ----------
    batch : Batch
        What is stepped.
    """

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        kernels = importlib.import_module("adam_tutorial.optim.backends.kernels_small")
        self._small = kernels
        blocks = -(-self._table[self._kernels.SIZE] // kernels.BLOCK)
        self._table[self._kernels.BLOCKS] = np.cumsum(blocks) - blocks
        self._keys = np.empty((kernels.KEYS, len(blocks)), np.uint32)
        self._in_blocks = "exp_avg_code" in batch.stored
        self._units = int(blocks.sum()) if self._in_blocks else self._size

    def step(self, settings: Any, seed: int) -> None:
        small, table, numbers = self._small, self._table, self._numbers
        table[self._kernels.GRADIENT] = self.batch.gradient_addresses()

        seed &= 0xFFFFFFFF
        begin = table, settings, self._groups, numbers, seed, self._keys
        kind = self._stored, self._amsgrad, self._in_blocks
        if self.is_alone:
            small.count_and_move(*begin, self._units, *kind)
            return

        def move(first: int, last: int) -> None:
            small.move(table, numbers, self._keys, first, last, *kind)

        small.count(*begin)
        grain = GRAIN // small.BLOCK if self._in_blocks else GRAIN
        share(move, _borders(self._units, grain, alone=False))


class ByTorch:
    """A batch that PyTorch's fused step takes: without Numba, in float32 and float64.

    Its results differ from the plain step's by rounding alone. What it does wrong, it
    does not do here: it takes all tensors for contiguous (these have one order in
    memory), and tells autograd nothing (this package does).

    Parameters
    ----------
    batch : Batch
        What is stepped.
    """

    is_alone = False

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._groups = np.array(batch.groups)
        self._one = torch.tensor(1.0, dtype=torch.float64)

    def square_norm(self) -> float:
        """Return the sum of the squares of all gradients."""
        norms = torch._foreach_norm(self.batch.gradients)
        return float(torch.stack(norms).double().square().sum())

    def step(self, settings: Any, seed: int) -> None:
        batch = self.batch
        counts = batch.stored["step"]
        torch._foreach_add_(counts, self._one)
        numbers_of = list(zip(batch.groups, map(float, counts), strict=True))
        for group, t in dict.fromkeys(numbers_of):
            chosen = [numbers == (group, t) for numbers in numbers_of]
            lr, beta1, beta2, eps, penalty, decay, factor = settings[:, group].tolist()
            lists = [
                list(compress(tensors, chosen))
                for tensors in (
                    batch.parameters,
                    batch.gradients,
                    batch.stored["exp_avg"],
                    batch.stored["exp_avg_sq"],
                    batch.stored.get("max_exp_avg_sq", []),
                )
            ]
            if abs(factor) != 1:
                lists[1] = list(torch._foreach_mul(lists[1], abs(factor)))
            step: Any = torch._fused_adamw_ if decay else torch._fused_adam_
            step(
                *lists,
                # One for all: PyTorch's own loop counts each by itself, in float32.
                [torch.tensor(t, dtype=torch.float32)] * len(lists[0]),
                lr=lr,
                beta1=beta1,
                beta2=beta2,
                weight_decay=decay or penalty,
                eps=eps,
                amsgrad="max_exp_avg_sq" in batch.stored,
                maximize=factor < 0,
            )


def _call_for(batch: Batch) -> ByNumba | ByTorch:
    if not _numba_is_installed():
        return ByTorch(batch)
    types = {tensor.dtype for tensors in batch.stored.values() for tensor in tensors}
    small = types & {torch.uint8, torch.bfloat16}
    return InFewerBits(batch) if small else ByNumba(batch)


def _borders(size: int, grain: int, *, alone: bool) -> list[int]:
    """Return where the shares of the threads begin and end."""
    threads = 1 if alone else torch.get_num_threads()
    inner = np.linspace(0, size / grain, threads + 1)[1:-1].astype(int) * grain
    return [0, *inner.tolist(), size]
