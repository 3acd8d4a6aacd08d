"""What a program is given: settings, gradients, parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adam_tutorial._types import Float64Array

__all__ = [
    "DECAYING",
    "DECAYING_MATRIX",
    "FALLING",
    "FOUR_D",
    "IN_FLOAT16",
    "LARGE",
    "LARGE_MATRIX",
    "MATRIX",
    "NUMBERS",
    "RISING",
    "SMALL",
    "USUAL",
    "ZEROS",
    "Inputs",
]


@dataclass(frozen=True)
class Inputs:
    """Settings, and for each step a gradient and parameters, of one shape."""

    settings: dict[str, float]
    gradients: Float64Array
    thetas: Float64Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameters."""
        return self.gradients.shape[1:]


def _inputs(
    settings: dict[str, float],
    seed: int,
    scale: Any,
    steps: int,
    shape: tuple[int, ...] = (4,),
    *,
    signed: bool = False,
) -> Inputs:
    """Return random inputs; parameters are positive unless ``signed``."""
    generator = np.random.default_rng(seed)
    gradients = scale * generator.standard_normal((steps, *shape))
    low, high = (-1.9, 1.9) if signed else (0.5, 1.5)
    return Inputs(settings, gradients, generator.uniform(low, high, (steps, *shape)))


USUAL = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
# Unusual decay rates expose a program that ignores them.
SETTINGS = {"lr": 0.1, "beta1": 0.8, "beta2": 0.95}
ORDINARY, WITH_EPS = SETTINGS | {"eps": 1e-8}, SETTINGS | {"eps": 1e-3}
# The first gradient is large, so that a maximum shows.
FIRST_IS_LARGE = np.array([8.0] + 9 * [1.0])[:, None]
NUMBERS = _inputs(ORDINARY, 1, FIRST_IS_LARGE * [1.0, 10.0, 0.1, 1.0], 10)
# Gradients that grow make steps longer than a learning rate, and more steps and other
# settings refute what fitted the first ten by chance.
RISING = _inputs(
    {"lr": 0.05, "beta1": 0.7, "beta2": 0.9, "eps": 1e-4},
    5,
    0.05 * 1.2 ** np.arange(40.0)[:, None] * [1.0, 3.0, 0.3, 1.0],
    40,
    signed=True,
)
RISING.gradients[:, :2] = np.abs(RISING.gradients[:, :2])
# What was read off RISING, a threshold or a factor for each step, must fit here too.
FALLING = Inputs(RISING.settings, RISING.gradients[::-1], RISING.thetas[::-1])
# Gradients as small as eps show where eps stands.
SMALL = _inputs(SETTINGS | {"eps": 0.05}, 2, 0.05, 6)
WHERE_NOT_ZERO = np.array(
    [[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
)
# A gradient of 1e-8 distinguishes a hard-coded eps of 1e-8 from none.
ZEROS = _inputs(WITH_EPS, 3, WHERE_NOT_ZERO * [1.0, 1.0, 1e-8, 1.0], 6)

# A program may treat matrices or kernels of a convolution in a way of their own, and
# large tensors too: 8-bit optimizers keep those below 4,096 entries in full precision,
# and factored ones those with a side below 128.
MATRIX = _inputs(ORDINARY, 6, 1.0, 5, (3, 2))
FOUR_D = _inputs(ORDINARY, 7, 1.0, 5, (4, 3, 2, 2))
LARGE = _inputs(ORDINARY, 8, 1.0, 3, (5000,))
LARGE_MATRIX = _inputs(ORDINARY, 9, 1.0, 2, (136, 130))

DECAYS = WITH_EPS | {"weight_decay": 0.3}
DECAYING = _inputs(DECAYS, 4, 1.0, 4)
DECAYING_MATRIX = _inputs(DECAYS, 10, 1.0, 4, (3, 2), signed=True)
# For beta2 = 0.999, (1 - beta2) * g**2 is rounded to zero for gradients below 5.5e-3.
IN_FLOAT16 = {"zero": 0.0, "small": 2e-3, "large": 1.0}
