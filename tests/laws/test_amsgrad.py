"""Law P24: the denominator of AMSGrad."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.implementations import Array, Implementation
from tests.laws.law import (
    beta1s,
    beta2s,
    both,
    breaks,
    tables,
)


@both
@breaks(override={"rule": "adam"})
@given(tables, beta1s, beta2s)
def test_p24_denominator_of_amsgrad_never_falls(
    implementation: Implementation, g: Array, beta1: float, beta2: float
) -> None:
    table = np.concatenate([g, 1e-6 * g])
    run = implementation.follow(table, "amsgrad", beta1=beta1, beta2=beta2)
    assert np.all(np.diff(run.v_max, axis=0) >= 0)
    assert np.all(run.v_max >= run.v)


@both
@breaks(distort_gradient=lambda t, g: g / t**3)
@given(st.floats(1, 2), beta1s, beta2s, st.integers(2, 30))
def test_p24_amsgrad_is_adam_while_v_does_not_fall(
    implementation: Implementation, ratio: float, beta1: float, beta2: float, t: int
) -> None:
    g = ratio ** np.arange(t)
    betas: dict[str, Any] = {"beta1": beta1, "beta2": beta2}
    np.testing.assert_array_equal(
        implementation.follow(g, "amsgrad", **betas).theta,
        implementation.follow(g, "adam", **betas).theta,
    )
