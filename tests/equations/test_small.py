"""The equations of states in fewer bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
