"""A plugin of pytest: the native step is Triton's, in its interpreter, on the CPU.

It needs the variable TRITON_INTERPRET=1 before Triton is imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from triton.runtime import interpreter

from adam_tutorial.optim.backends import fused

fused.is_for_gpu = lambda batch: True
# A zero divided by zero is NaN, on a GPU as in torch, and nothing to warn of.
np.seterr(all="ignore")

exactly = interpreter._convert_float


def rounded(values: Any, given: Any, wanted: Any, rounding: Any) -> Any:
    """Round bfloat16 to the nearest, as GPUs do; the interpreter cuts the bits off."""
    language = interpreter.tl
    if (given, wanted) != (language.float32, language.bfloat16):
        return exactly(values, given, wanted, rounding)
    numbers = torch.from_numpy(np.ascontiguousarray(values)).bfloat16()
    return numbers.view(torch.uint16).numpy()


interpreter._convert_float = rounded
