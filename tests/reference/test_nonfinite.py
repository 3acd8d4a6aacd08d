"""What a rule does with a gradient that is not a number, and with single precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adam_tutorial import reference


@pytest.mark.parametrize("maximum_of", ["v", "v_hat"])
def test_gradient_that_is_nan_stays_in_the_maximum_of_amsgrad(maximum_of: str) -> None:
    state, _ = reference.amsgrad(None, [1.0, 1.0], maximum_of=maximum_of)
    state, _ = reference.amsgrad(state, [np.nan, 1.0], maximum_of=maximum_of)
    assert np.isnan(state.v_max).tolist() == [True, False]
    state, update = reference.amsgrad(state, [1.0, 1.0], maximum_of=maximum_of)
    assert np.isnan(state.v_max).tolist() == [True, False]
    assert np.isnan(update).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_have_the_precision_of_the_first_one(dtype: type) -> None:
    start: Any = np.ones(2, dtype)
    points = reference.trajectory(reference.adam, lambda x: 2 * x, start, 3, lr=0.1)
    assert points.dtype == dtype
