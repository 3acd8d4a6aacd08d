"""The types of the arrays that the package takes and returns."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Float64Array"]

# Floats of any precision: what a rule returns has the precision of its gradient.
Array: TypeAlias = NDArray[np.floating[Any]]
Float64Array: TypeAlias = NDArray[np.float64]
