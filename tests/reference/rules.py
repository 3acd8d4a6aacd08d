"""The rules by name, for tests of what they all share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adam_tutorial import reference
from adam_tutorial._types import Array
from adam_tutorial.reference.rule import takes_theta

Rule = Callable[..., tuple[Any, Array]]

NAMES = (
    *("gradient_descent", "momentum", "adagrad", "rmsprop", "adadelta"),
    *("adam", "adam_efficient", "adam_regret", "adamax", "amsgrad", "nadam", "radam"),
    *("adam_l2", "adamw", "adabelief", "lion"),
)
WITH_THETA = [name for name in NAMES if takes_theta(getattr(reference, name))]


def with_theta(name: str) -> Rule:
    """Return the rule; one that takes the parameters gets ones if it is given none."""
    rule: Rule = getattr(reference, name)
    if name not in WITH_THETA:
        return rule
    return lambda state, g, **given: rule(
        state, g, **{"theta": np.ones(np.shape(g)), **given}
    )


RULES: dict[str, Rule] = {name: with_theta(name) for name in NAMES}
