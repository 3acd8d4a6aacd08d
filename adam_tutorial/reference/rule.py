"""What all update rules share: the checks of their arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import (
    check_decay_rate,
    check_not_negative,
    check_not_positive,
)
from adam_tutorial._types import Array

__all__ = ["as_float", "rule", "takes_theta"]

P = ParamSpec("P")
R = TypeVar("R")

DECAY_RATES = frozenset({"beta", "beta1", "beta2", "rho"})
EXPONENTS = frozenset({"beta2_decay"})


def rule(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a rule, so that the rule itself is only formulas.

    Numbers must be finite and not negative; those called ``beta``, ``beta1``, ``beta2``
    or ``rho`` must be in [0, 1), and ``beta2_decay`` must not be positive. A state is
    None or a named tuple whose arrays have the shape of the gradient. If they have
    other shapes, the tuple has a method ``shapes`` that takes the gradient's shape and
    returns theirs by name, None for an array that is not used.

    Parameters
    ----------
    function : function
        Takes ``(state, gradient, **hyperparameters)``, returns ``(state, update)``.

    Returns
    -------
    function
        It raises ValueError, naming argument and value, for what does not fit, and
        TypeError for a state that no rule has returned.

    Examples
    --------
    >>> @rule
    ... def sign_descent(state, gradient, *, lr=0.01):
    ...     return state, -lr * np.sign(gradient)
    >>> sign_descent(None, [2.0, -3.0], lr=0.1)
    (None, array([-0.1,  0.1]))
    >>> sign_descent(None, [2.0, -3.0], lr=-0.1)
    Traceback (most recent call last):
    ValueError: lr must be finite and not negative, got -0.1
    """
    known = _settings(function)

    @functools.wraps(function)
    def checked(state: Any, gradient: ArrayLike, **hyperparameters: Any) -> Any:
        shape = np.shape(gradient)
        if state is not None and not hasattr(state, "_fields"):
            raise TypeError(
                f"state must be None or what {function.__name__} returned, "
                f"got a {type(state).__name__}"
            )
        if state is not None:
            _check_shapes(state, shape)
        given = {
            name: _checked(name, value) if name in known else value
            for name, value in hyperparameters.items()
        }
        if "theta" in given:
            given["theta"] = np.asarray(given["theta"], dtype=as_float(gradient).dtype)
            if given["theta"].shape != shape:
                raise ValueError(
                    f"theta has the shape {given['theta'].shape}, but the gradient has"
                    f" {shape}"
                )
        return function(state, gradient, **given)  # type: ignore[arg-type]

    return cast(Callable[P, R], checked)


def _check_shapes(state: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError where NumPy would broadcast an array of the state."""
    found = {
        name: getattr(value, "shape", None) for name, value in state._asdict().items()
    }
    # A counter has no shape.
    needed = {name: shape for name in found if found[name] is not None}
    if hasattr(state, "shapes"):
        needed = state.shapes(shape)
    for name in needed:
        if found[name] != needed[name]:
            raise ValueError(
                f"state.{name} has the shape {found[name]}, but the gradient has"
                f" {shape}"
                + (f" and needs {needed[name]}" if needed[name] != shape else "")
            )


def _checked(name: str, value: Any) -> Any:
    """Return a Python number: a NumPy one would turn float32 into float64."""
    if isinstance(value, bool | str) or name == "theta":
        return value
    if isinstance(value, tuple):
        return tuple(part if part is None else _checked(name, part) for part in value)
    if name in DECAY_RATES:
        check_decay_rate(name, value)
    elif name in EXPONENTS:
        check_not_positive(name, value)
    else:
        check_not_negative(name, value)
    return float(value)


def takes_theta(rule: Callable[..., Any]) -> bool:
    """Return whether a rule needs the parameters, for weight decay say."""
    return "theta" in _settings(rule)


def _settings(rule: Callable[..., Any]) -> frozenset[str]:
    """Return the names of what a rule takes after its state and its gradient."""
    return frozenset(list(inspect.signature(rule).parameters)[2:])


def as_float(values: ArrayLike) -> Array:
    """Convert to an array of floats; integers become float64.

    Raises
    ------
    TypeError
        The values are complex. The papers do not cover them: PyTorch treats the two
        parts as two coordinates, Optax gives them one second moment.
    """
    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.complexfloating):
        raise TypeError(
            f"values must be real, got {array.dtype}; give real and imaginary parts as"
            " coordinates"
        )
    return (
        array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    )
