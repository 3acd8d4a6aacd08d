"""Law P26: NAdam without momentum."""

from __future__ import annotations

from hypothesis import given

from tests.laws.implementations import REFERENCE, Array, Implementation
from tests.laws.law import (
    beta2s,
    both,
    breaks,
    close,
    tables,
)


@both
@breaks(distort_update=lambda t, u, _theta: u * (1 + t * 1e-6))
@given(tables, beta2s)
def test_p26_nadam_without_momentum_is_adam_without_momentum(
    implementation: Implementation, g: Array, beta2: float
) -> None:
    first = implementation.follow(g, "nadam", beta1=0.0, beta2=beta2, lr=0.1)
    second = REFERENCE.follow(g, "adam", beta1=0.0, beta2=beta2, lr=0.1)
    close(first.theta, second.theta, rtol=1e-12)
