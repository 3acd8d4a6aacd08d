from __future__ import annotations

import numpy as np

from adam_tutorial import reference


def test_variance_of_a_constant_gradient_does_not_become_negative() -> None:
    # Rounding leaves v - mean**2 at -1e-18 here; its root would be NaN.
    updates = reference.walk(
        reference.rmsprop, np.full(2000, 0.1), beta=0.9, centered=True
    ).updates
    assert np.isfinite(updates[-1])


def test_spread_that_rounding_makes_negative_counts_as_zero() -> None:
    state = reference.RMSPropState(v=np.array(1.0), m=np.array(1.5))
    _, update = reference.rmsprop(state, 1.0, lr=1.0, beta=0.5, eps=0.5, centered=True)
    assert float(update) == -2.0
