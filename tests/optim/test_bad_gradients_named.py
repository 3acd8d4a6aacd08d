"""Which parameters are refused or named, where more than one could be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adam_tutorial import optim


def test_first_gradient_that_is_not_finite_is_the_one_that_is_named() -> None:
    parameters = [nn.Parameter(torch.ones(size)) for size in (2, 3, 4)]
    optimizer = optim.Adam(parameters, nonfinite="skip")
    for parameter, value in zip(parameters, (1.0, torch.nan, torch.inf), strict=True):
        parameter.grad = torch.full_like(parameter, value)
    with pytest.warns(RuntimeWarning, match=r"parameter 1 of group 0, of shape \(3,\)"):
        optimizer.step()


def test_dimension_of_one_element_may_have_any_stride() -> None:
    # Such strides are left by views and by loading; no element is there twice.
    theta = torch.ones(3).as_strided((1, 3), (0, 1))
    optimizer = optim.Adam([theta], lr=0.1)
    theta.grad = torch.ones(1, 3)
    optimizer.step()
    assert theta.flatten().tolist() == pytest.approx([0.9] * 3)
