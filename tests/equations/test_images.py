"""The equations of image classification.

Each test computes both sides independently: one with the package, the other written out
here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial.study.data import shear_and_zoom


@pytest.mark.equation("shear-zoom")
@given(st.integers(0, 10_000))
def test_each_point_comes_from_the_place_that_shear_and_zoom_say(seed: int) -> None:
    # On a picture whose grey level is linear in x and y, interpolation is exact, so
    # that the level tells the place from which it was taken.
    axis = (torch.arange(28, dtype=torch.float64) + 0.5) / 14 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pictures = torch.stack([x, y]).unsqueeze(0)
    changed = shear_and_zoom(pictures, torch.Generator().manual_seed(seed))[0]
    drawn = torch.rand(
        (1, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    w, h, s = (0.2 * (2 * drawn - 1))[0]
    from_x, from_y = x / (1 + w) + s * y, y / (1 + h)
    inside = (from_x.abs() < 0.96) & (from_y.abs() < 0.96)
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(changed[0][inside], from_x[inside])
    torch.testing.assert_close(changed[1][inside], from_y[inside])


@pytest.mark.equation("standard-error")
@pytest.mark.parametrize(("a", "n"), [(0.97, 1000), (0.5, 200)])
def test_measured_accuracy_varies_by_the_standard_error(a: float, n: int) -> None:
    measured = np.random.default_rng(0).binomial(n, a, size=200_000) / n
    assert measured.std() == pytest.approx(np.sqrt(a * (1 - a) / n), rel=0.01)
