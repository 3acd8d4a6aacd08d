"""A plugin of pytest: the native step is Triton's, in its interpreter, on the CPU.

It needs the variable TRITON_INTERPRET=1 before Triton is imported.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch

from adam_tutorial.optim.backends import fused
from adam_tutorial.optim.backends.gathered import Batch


def is_taken(batch: Batch) -> bool:
    """Return whether Triton has a kernel for a batch: not for moments in fewer bits."""
    moments = [tensor for tensors in batch.stored.values() for tensor in tensors]
    return all(moment.element_size() >= 4 for moment in moments)


def pytest_configure() -> None:
    """Send batches to Triton, and have its interpreter compute as a GPU does."""
    interpreter: Any = importlib.import_module("triton.runtime.interpreter")
    language = interpreter.tl
    exactly = interpreter._convert_float

    def converted(values: Any, given: Any, wanted: Any, rounding: Any) -> Any:
        # A GPU rounds to the nearest; the interpreter cuts the bits off.
        if (given, wanted) != (language.float32, language.bfloat16):
            return exactly(values, given, wanted, rounding)
        numbers = torch.from_numpy(np.ascontiguousarray(values)).bfloat16()
        return numbers.view(torch.uint16).numpy()

    interpreter._convert_float = converted
    fused.is_for_gpu = is_taken
    # Zero divided by zero is NaN on a GPU, as in torch, and nothing to warn of.
    np.seterr(all="ignore")
