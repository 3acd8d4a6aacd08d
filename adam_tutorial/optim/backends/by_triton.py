"""A native call for parameters on a GPU; nothing in it waits for the device.

It was run on one GPU, an NVIDIA H200, and is tested in Triton's interpreter elsewhere.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from adam_tutorial.optim.backends.gathered import Batch
from adam_tutorial.optim.state import HALF

__all__ = [
    "ByTriton",
    "graph_is_captured",
    "triton_is_installed",
    "why_not_by_default",
]

# In older GPUs, bfloat16 is not known.
OLDEST = (8, 0)


@functools.cache
def triton_is_installed() -> bool:
    """Return whether Triton is there; importing it takes long, and can wait."""
    return importlib.util.find_spec("triton") is not None


def graph_is_captured() -> bool:
    """Return whether a CUDA graph records what is done, to repeat it later."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


@functools.cache
def why_not_by_default(device: torch.device) -> str:
    """Return what keeps parameters on a GPU from Triton where nobody asked for it.

    A default must not end a run that went on before. Triton needs a C compiler when it
    is first used, and may not know the GPU, so a step is tried.
    """
    if torch.version.hip is not None:
        return "parameters on ROCm without fused=True"
    if torch.cuda.get_device_capability(device) < OLDEST:
        return "parameters on an old GPU without fused=True"
    try:
        _step_one_number(device)
    except Exception as error:
        return f"Triton cannot be used: {type(error).__name__}"
    return ""


def _step_one_number(device: torch.device) -> None:
    theta = torch.nn.Parameter(torch.zeros(1, device=device))
    theta.grad = torch.zeros_like(theta)
    entry = {name: torch.zeros_like(theta) for name in ("exp_avg", "exp_avg_sq")}
    entry["step"] = torch.zeros((), dtype=torch.float64, device=device)
    batch = Batch([theta], [entry], ("exp_avg", "exp_avg_sq"), [0])
    ByTriton(batch).step(np.zeros((7, 1)), None, None, None)


class ByTriton:
    """A batch that a kernel of this package steps on a GPU.

    A GradScaler knows only on the device whether a step is taken, so the counts of
    steps are there too: see :func:`~adam_tutorial.optim.backends.fused.gather`.

    Parameters
    ----------
    batch : Batch
        What is stepped; all of it on one device.
    """

    def __init__(self, batch: Batch) -> None:
        kernels = importlib.import_module("adam_tutorial.optim.backends.triton_kernels")
        self._kernels = kernels
        self.batch = batch
        parameters = batch.parameters
        self._device = parameters[0].device
        sizes = np.array([p.numel() * (2 if p.is_complex() else 1) for p in parameters])
        # An empty tensor has a block too: it counts the step.
        blocks = np.maximum(1, -(-sizes // kernels.BLOCK))
        table = np.zeros((kernels.ROWS, len(sizes)), np.int64)
        table[kernels.FIRST.value] = np.cumsum(blocks) - blocks
        table[kernels.SIZE.value] = sizes
        table[kernels.PARAMETER.value] = batch.addresses
        rows = {
            "exp_avg": kernels.AVERAGE,
            "exp_avg_sq": kernels.SQUARES,
            "max_exp_avg_sq": kernels.LARGEST,
            "step": kernels.STEP,
        }
        for name, addresses in batch.stored_addresses.items():
            table[rows[name].value] = addresses
        # Without gradients, which may be somewhere else at each step. A row that is not
        # used is zero.
        self._is_aligned = self._all_aligned(table[kernels.PARAMETER.value :])
        self._table = self._sent(table)
        self._owners = self._sent(
            np.repeat(np.arange(len(sizes), dtype=np.int32), blocks)
        )
        self._groups = self._sent(np.array(batch.groups, np.int32))
        self._gradient_addresses: list[int] = []
        self._gradients_are_aligned = False
        self._known_settings = np.empty(0)
        self._settings: Any = None

        language = kernels.tl
        real = parameters[0].dtype.to_real()
        computed = torch.float32 if real in HALF else real
        self._stored, self._computed = (
            getattr(language, str(dtype).removeprefix("torch."))
            for dtype in (real, computed)
        )
        self._numbers = torch.empty(
            (kernels.NUMBERS, len(sizes)), dtype=computed, device=self._device
        )
        self._amsgrad = "max_exp_avg_sq" in batch.stored

    def square_norm(self) -> Tensor:
        """Return the sum of the squares of all gradients."""
        self._find_gradients()
        kernels, blocks = self._kernels, len(self._owners)
        sums = torch.empty(blocks, dtype=torch.float64, device=self._device)
        with torch.cuda.device_of(self._table):
            kernels.sum_of_squares[(blocks,)](
                self._table,
                self._owners,
                sums,
                len(self.batch.parameters),
                stored=self._stored,
                width=kernels.BLOCK,
                enable_fp_fusion=False,
            )
        return sums.sum()

    def step(
        self,
        settings: Any,
        clipping: Tensor | None,
        scale: Tensor | None,
        found_inf: Tensor | None,
    ) -> None:
        """Move all parameters, unless a gradient was found not to be finite.

        Parameters
        ----------
        settings : array, shape (SETTINGS, groups)
            Of each group.
        clipping, scale, found_inf : Tensor, optional
            Of one element: what the gradients are multiplied by; what they have been
            multiplied by, which is divided out in place; and whether to do nothing.
        """
        self._find_gradients()
        self._send_settings(settings)
        kernels, tensors = self._kernels, len(self.batch.parameters)
        clipping, scale, found_inf = (
            None if number is None else number.to(self._device, non_blocking=True)
            for number in (clipping, scale, found_inf)
        )
        with torch.cuda.device_of(self._table):
            # If the second one cannot be compiled, nothing has been changed.
            kernels.numbers_of_adam[(-(-tensors // kernels.TENSORS),)](
                self._table,
                self._settings,
                self._groups,
                self._numbers,
                tensors,
                settings.shape[1],
                clipping,
                scale,
                width=kernels.TENSORS,
                enable_fp_fusion=False,
            )
            kernels.adam[(len(self._owners),)](
                self._table,
                self._owners,
                self._numbers,
                tensors,
                scale,
                found_inf,
                stored=self._stored,
                computed=self._computed,
                amsgrad=self._amsgrad,
                aligned=self._is_aligned and self._gradients_are_aligned,
                width=kernels.BLOCK,
                num_warps=kernels.WARPS,
                enable_fp_fusion=False,
            )
        if scale is not None:
            self.batch.give_back()
            increment_version(self.batch.gradients)

    def _find_gradients(self) -> None:
        """Write into the table where the gradients are, if they have moved."""
        addresses = self.batch.gradient_addresses()
        if addresses == self._gradient_addresses:
            return
        row = np.array(addresses, np.int64)
        self._table[self._kernels.GRADIENT.value].copy_(
            self._ready(row), non_blocking=True
        )
        self._gradients_are_aligned = self._all_aligned(row)
        self._gradient_addresses = addresses

    def _send_settings(self, settings: Any) -> None:
        if np.array_equal(settings, self._known_settings):
            return
        betas = settings[[self._kernels.BETA1.value, self._kernels.BETA2.value]]
        with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf, as it should
            self._settings = self._sent(np.vstack([settings, np.log(betas)]))
        self._known_settings = settings.copy()

    def _all_aligned(self, addresses: Any) -> bool:
        return not (addresses % self._kernels.ALIGNMENT.value).any()

    def _sent(self, values: Any) -> Tensor:
        return self._ready(values).to(self._device, non_blocking=True)

    def _ready(self, values: Any) -> Tensor:
        """Return a copy from which the device can read while the program goes on."""
        copied = torch.tensor(values, device="cpu")  # whatever the default is
        return copied.pin_memory() if self._device.type == "cuda" else copied
