"""What all update rules share: the checks of their arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial._arguments import as_numbers, check_setting
from adam_tutorial._types import Array

__all__ = ["as_float", "rule", "takes_theta"]

P = ParamSpec("P")
R = TypeVar("R")


def rule(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a rule, so that the rule itself is only formulas.

    Numbers must be finite and not negative; those called ``beta``, ``beta1``, ``beta2``
    or ``rho`` must be in [0, 1), and ``beta2_decay`` must not be positive. A state is
    None or a named tuple, of the type that the signature names, whose arrays have the
    shape of the gradient. If they have other shapes, the tuple has a method ``shapes``
    that takes the gradient's shape and returns theirs by name, None for an array that
    is not used.

    Parameters
    ----------
    function : function
        Takes ``(state, gradient, **hyperparameters)``, returns ``(state, update)``.

    Returns
    -------
    function
        It raises ValueError, naming argument and value, for what does not fit, and
        TypeError for what is not a number or not a state of this rule.

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
    defaults = _settings(function)
    called = list(inspect.signature(function).parameters)[1]
    types = _state_types(function)

    @functools.wraps(function)
    def checked(state: Any, gradient: ArrayLike, **hyperparameters: Any) -> Any:
        g = as_float(gradient, called)
        if state is not None:
            if not hasattr(state, "_fields") or not isinstance(state, types or tuple):
                raise TypeError(
                    f"state must be None or what {function.__name__} returned, "
                    f"got a {type(state).__name__}"
                )
            _check_shapes(state, g.shape)
        given = {
            name: _checked(name, value, defaults[name]) if name in defaults else value
            for name, value in hyperparameters.items()
        }
        if "theta" in given:
            given["theta"] = as_float(given["theta"], "theta").astype(g.dtype)
            if given["theta"].shape != g.shape:
                raise ValueError(
                    f"theta has the shape {given['theta'].shape}, but the gradient has"
                    f" {g.shape}"
                )
        return function(state, gradient, **given)  # type: ignore[arg-type]

    return cast(Callable[P, R], checked)


def _state_types(function: Callable[..., Any]) -> tuple[type, ...]:
    """Return what a rule's state may be, besides None, if its signature tells.

    Another rule's state may have as many arrays, with other meanings: AdaMax's u would
    be read as Adam's v.
    """
    annotation = next(iter(inspect.signature(function).parameters.values())).annotation
    if annotation == "None":  # a rule that remembers nothing
        return (type(None),)
    if isinstance(annotation, str):
        # The module's own names are enough: a state is defined beside its rule.
        annotation = function.__globals__.get(annotation.partition(" | ")[0])
    return (annotation,) if isinstance(annotation, type) else ()


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


def _checked(name: str, value: Any, default: Any) -> Any:
    """Return a Python number: a NumPy one would turn float32 into float64."""
    if name == "theta" or isinstance(default, str):
        return value
    if isinstance(default, bool):
        if value not in (False, True):
            raise TypeError(f"{name} must be True or False, got {value!r}")
        return bool(value)
    if isinstance(default, tuple):
        if not isinstance(value, tuple | list) or len(value) != len(default):
            raise TypeError(f"{name} must be {len(default)} numbers, got {value!r}")
        return tuple(
            None if part is None and of_part is None else _checked(name, part, of_part)
            for part, of_part in zip(value, default, strict=True)
        )
    check_setting(name, value)
    return float(value)


def takes_theta(rule: Callable[..., Any]) -> bool:
    """Return whether a rule needs the parameters, for weight decay say."""
    return "theta" in _settings(rule)


def _settings(rule: Callable[..., Any]) -> dict[str, Any]:
    """Return what a rule takes after its state and its gradient, with the defaults."""
    parameters = list(inspect.signature(rule).parameters.values())[2:]
    return {parameter.name: parameter.default for parameter in parameters}


def as_float(values: ArrayLike, name: str = "values") -> Array:
    """Convert to an array of floats; integers become float64.

    Raises
    ------
    TypeError
        The values are not numbers, or are complex.
    """
    array = as_numbers(name, values)
    return (
        array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    )
