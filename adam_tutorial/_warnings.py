"""Warnings at the line of the program that is meant by them."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]

# What lies between a program and us: hooks, profilers, schedulers, the compiler.
BETWEEN = ("adam_tutorial.", "torch.")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called this package.

    Its depth is not the same in two calls: subclasses, hooks and the compiler add some
    functions. Python shows a warning once for each line, so a wrong one also hides what
    another line has to be told.

    Parameters
    ----------
    message : str
    category : type of Warning
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(BETWEEN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
