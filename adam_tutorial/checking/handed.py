"""What people hand in, as a program: a function, a rule, an optimizer, its class."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, Protocol

from adam_tutorial.checking.programs import FunctionProgram, Step, from_rule
from adam_tutorial.checking.torch_programs import TorchProgram, from_torch, of_instance

__all__ = ["Program", "as_program"]

# What the first arguments of a step, and of an optimizer of PyTorch, are called.
PARAMETERS = frozenset({"params", "parameters", "theta", "w", "weights", "x"})
GRADIENTS = frozenset({"g", "grad", "grads", "gradient", "gradients", "dw"})
# Their optimizers call their settings differently, and have no step of an array.
OTHERS = frozenset({"jax", "keras", "optax", "tensorflow"})


class Program(Protocol):
    """Makes steps, and says which settings it takes."""

    takes: set[str]

    def __call__(self, **settings: float) -> Step:
        """Return a new step."""


def as_program(handed: Any) -> Program:
    """Return what was handed in as a program.

    Raises
    ------
    TypeError
        It is nothing that makes steps.
    """
    if hasattr(handed, "takes"):
        adapted: Program = handed
        return adapted
    torch = sys.modules.get("torch")  # what needs it has loaded it
    if torch and isinstance(handed, torch.optim.Optimizer):
        return of_instance(handed)
    if {_library(handed), _library(type(handed))} & OTHERS:
        raise TypeError(
            f"make must be a function of lr, beta1, beta2 and eps that returns a step;"
            f" wrap {_described(handed)} in one"
        )
    if not callable(handed):
        raise TypeError(
            "make must be a function, a rule of reference, an optimizer of PyTorch or"
            f" its class, got {_described(handed)}"
        )
    made = handed.func if isinstance(handed, functools.partial) else handed
    if torch and inspect.isclass(made) and issubclass(made, torch.optim.Optimizer):
        return from_torch(handed)
    names = _names(handed)
    if names[:1] == ["state"] and len(names) > 1:
        return from_rule(handed)
    if len(names) > 1 and names[0] in PARAMETERS and names[1] in GRADIENTS:
        raise TypeError(
            "make must return a step; it looks like the step itself. Hand in a function"
            " of lr, beta1, beta2 and eps that returns it"
        )
    if torch and names and names[0] in ("params", "parameters"):
        return TorchProgram(handed, {})
    return FunctionProgram(handed)


def _library(thing: Any) -> str:
    return str(getattr(thing, "__module__", "")).partition(".")[0]


def _names(handed: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(handed).parameters)
    except (TypeError, ValueError):  # a builtin that does not say what it takes
        raise TypeError(
            f"make must be a function whose arguments can be read, got"
            f" {_described(handed)}"
        ) from None


def _described(handed: Any) -> str:
    name = getattr(handed, "__qualname__", None)
    if name is not None:
        return f"{handed.__module__}.{name}"
    text = repr(handed)
    return text if len(text) < 60 else f"an object of class {type(handed).__name__}"
