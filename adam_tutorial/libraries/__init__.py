"""What other libraries compute: their conventions, their settings, their optimizers."""

from adam_tutorial.libraries.epsilon import (
    eps_at,
    eps_hat_at,
    eps_hat_lag,
    largest_eps_hat_lag,
)
from adam_tutorial.libraries.paths import LIBRARIES, find, follow, gap
from adam_tutorial.libraries.table import Convention, conventions
from adam_tutorial.libraries.translation import Translation, translate

__all__ = [
    "LIBRARIES",
    "Convention",
    "Translation",
    "conventions",
    "eps_at",
    "eps_hat_at",
    "eps_hat_lag",
    "find",
    "follow",
    "gap",
    "largest_eps_hat_lag",
    "translate",
]
