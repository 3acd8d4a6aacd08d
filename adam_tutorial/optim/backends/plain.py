"""One tensor at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adam_tutorial.optim.backends.prepared import Prepared, Rule, apply_rule, finish

__all__ = ["step"]


def step(
    optimizer: Rule,
    parameters: Iterable[Prepared],
    settings: Mapping[str, Any],
) -> None:
    """Move each parameter by itself."""
    for parameter in parameters:
        apply_rule(optimizer, parameter.theta, parameter.g, parameter.state, settings)
        finish(parameter)
