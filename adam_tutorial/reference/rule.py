"""What all update rules share: the checks of their arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import check_decay_rate, check_not_negative
from adam_tutorial._types import Array

__all__ = ["as_float", "rule", "takes_theta"]

P = ParamSpec("P")
R = TypeVar("R")

DECAY_RATES = frozenset({"beta", "beta1", "beta2", "rho"})


def rule(function: Callable[P, R]) -> Callable[P, R]:
    """Check what a rule is given before it computes, so that its lines are formulas only.

    Numbers must be finite and not negative; those called ``beta``, ``beta1``, ``beta2``
    or ``rho`` must be in [0, 1). A state is None or a named tuple, made for gradients
    of the same shape.

    Parameters
    ----------
    function : function
        Takes ``(state, gradient, **hyperparameters)``, returns ``(state, update)``.

    Returns
    -------
    function
        Raises ValueError, naming argument and value, for what does not fit, and
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
    # The first two are the state and the gradient.
    known = frozenset(list(inspect.signature(function).parameters)[2:])

    @functools.wraps(function)
    def checked(state: Any, gradient: ArrayLike, **hyperparameters: Any) -> Any:
        shape = np.shape(gradient)
        if state is not None and not hasattr(state, "_fields"):
            raise TypeError(
                f"state must be None or what {function.__name__} returned, "
                f"got a {type(state).__name__}"
            )
        for name, value in () if state is None else state._asdict().items():
            # NumPy would stretch one to the other in silence. Counters have no shape.
            if hasattr(value, "shape") and value.shape != shape:
                raise ValueError(
                    f"state.{name} has the shape {value.shape}, but the gradient has"
                    f" {shape}"
                )
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


def _checked(name: str, value: Any) -> Any:
    """Return the value as a Python number: a NumPy one would turn float32 into float64."""
    if isinstance(value, bool | str) or name == "theta":
        return value
    if name in DECAY_RATES:
        check_decay_rate(name, value)
    else:
        check_not_negative(name, value)
    return float(value)


def takes_theta(rule: Callable[..., Any]) -> bool:
    """Return whether a rule needs the parameters, as one with weight decay does."""
    return "theta" in inspect.signature(rule).parameters


def as_float(values: ArrayLike) -> Array:
    """Return an array of floats: those given, or float64 for integers.

    Raises
    ------
    TypeError
        The values are complex. The papers define no rule for them; PyTorch treats the
        two parts as two coordinates, Optax lets them share one second moment.
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
