"""The error that every refused file raises."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CheckpointError"]


class CheckpointError(ValueError):
    """A file or folder cannot be used as a checkpoint.

    Attributes
    ----------
    path : Path
        The file or folder.
    reason : str
        What is wrong with it.
    """

    path: Path
    reason: str

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
