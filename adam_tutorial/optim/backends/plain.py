"""One tensor at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from adam_tutorial.optim.backends.prepared import Prepared, apply_rule, finish

if TYPE_CHECKING:
    from adam_tutorial.optim.base import BaseOptimizer

__all__ = ["step"]


def step(
    optimizer: BaseOptimizer,
    parameters: Iterable[Prepared],
    settings: Mapping[str, Any],
) -> None:
    """Move each parameter by itself."""
    for parameter in parameters:
        apply_rule(optimizer, parameter.theta, parameter.g, parameter.state, settings)
        finish(parameter)
