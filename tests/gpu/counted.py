"""Launches of kernels, counted."""

from __future__ import annotations

from typing import Any


class Counted:
    """A kernel whose launches are counted."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.launches = 0

    def __getitem__(self, grid: Any) -> Any:
        self.launches += 1
        return self.kernel[grid]
