"""The equations of states in fewer bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial.optim import Adafactor
from adam_tutorial.optim.low_precision import Dither, encode


@pytest.mark.equation("small-stuck")
@given(st.integers(0, 127), st.integers(-30, 30), st.floats(0.05, 0.99))
def test_average_in_bfloat16_stays_where_its_decay_is_less_than_half_a_gap(
    digits: int, power: int, part: float
) -> None:
    v = torch.tensor((1 + digits / 128) * 2.0**power, dtype=torch.bfloat16)
    assert (1 - part * 2**-9) * v == v
    # From there on, some number moves: the one just above a power of two.
    above = torch.tensor(129 / 128, dtype=torch.bfloat16)
    assert (1 - 1.02 * 2**-8) * above < above


@pytest.mark.equation("small-stochastic")
@given(st.floats(1.0, 2.0), st.integers(0, 1000))
def test_mean_of_numbers_rounded_at_random_is_the_number(x: float, seed: int) -> None:
    count = 40_000
    stored = {"v": torch.zeros(count, dtype=torch.bfloat16)}
    number = torch.full((count,), x)
    encode(stored, "v", number, Dither(seed, 1, 0), signed=False)
    found = stored["v"].double()
    gap = 2.0**-7
    low = torch.floor(number.double() / gap) * gap
    assert ((found == low) | (found == low + gap)).all()
    # Four standard errors of a share of 40,000.
    assert abs(found.mean() - number[0]) < 4 * gap * 0.5 / count**0.5


@pytest.mark.equation("small-factored")
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_factored_v_has_the_sums_of_v_and_is_exact_for_rank_one(
    rows: int, columns: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    v = draw.random((rows, columns)) + 0.01
    of_rows, of_columns = v.sum(axis=1), v.sum(axis=0)
    factored = np.outer(of_rows, of_columns) / v.sum()
    np.testing.assert_allclose(factored.sum(axis=1), of_rows)
    np.testing.assert_allclose(factored.sum(axis=0), of_columns)
    product = np.outer(of_rows, of_columns)
    again = np.outer(product.sum(axis=1), product.sum(axis=0)) / product.sum()
    np.testing.assert_allclose(again, product)


@pytest.mark.equation("small-factored")
def test_adafactor_divides_by_the_root_of_the_factored_v() -> None:
    gradient = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
    theta = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = Adafactor([theta], lr=1.0, weight_decay=0.0, d=1e9, eps=(1e-30, 1.0))
    theta.grad = gradient
    optimizer.step()
    v = gradient.double().square()
    factored = v.sum(1, keepdim=True) * v.sum(0, keepdim=True) / v.sum()
    step = (1 - theta.detach()).double()
    expected = gradient / factored.sqrt()
    torch.testing.assert_close(step / step[0, 0], expected / expected[0, 0])
