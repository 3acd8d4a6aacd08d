"""How single numbers are stored in 16 or 8 bits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adam_tutorial.optim import low_precision
from adam_tutorial.optim.low_precision import (
    BLOCK,
    Dither,
    code_of,
    decoded,
    encode,
    key_of,
    scale_of,
)
from tests.optim.steps import numbers

# The format, whether it is signed, and how far apart two neighbours can be.
FORMATS = {
    "bfloat16": (torch.bfloat16, True, 2**-7),
    "signed codes": (torch.uint8, True, 2**-2),
    "unsigned codes": (torch.uint8, False, 2**-3),
}
each_format = pytest.mark.parametrize("form", FORMATS)
each_code = pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
LARGEST = torch.finfo(torch.float32).max
TINIEST = 2.0**-149


def stored(value: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return a state with an entry "x" for such numbers, all of them zero."""
    if dtype != torch.uint8:
        return {"x": torch.zeros_like(value, dtype=dtype)}
    return {
        code_of("x"): torch.zeros_like(value, dtype=torch.uint8),
        scale_of("x"): torch.zeros(-(-value.numel() // BLOCK)),
    }


def through(
    value: Tensor,
    dither: Dither | None = None,
    *,
    dtype: torch.dtype = torch.uint8,
    signed: bool = True,
) -> Tensor:
    """Store numbers and read them back."""
    entry = stored(value, dtype)
    encode(entry, "x", value, dither, signed=signed)
    return decoded(entry, "x", torch.float32, signed=signed)


def of_many_sizes(
    seed: int, count: int = 1000, *, signed: bool, binades: float = 30
) -> Tensor:
    """Return numbers that are spread evenly over some powers of two."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.exp2(-binades * torch.rand(count, generator=generator))
    sign = torch.randint(0, 2, (count,), generator=generator) * 2 - 1
    return size * sign if signed else size


# One number


@each_format
@given(seed=st.integers(0, 10**6), power=st.integers(-90, 100))
def test_error_is_less_than_a_level_and_half_of_it_to_the_nearest(
    form: str, seed: int, power: int
) -> None:
    dtype, signed, level = FORMATS[form]
    # Block-wise, since the range is that below the largest of a block.
    value = of_many_sizes(seed, BLOCK, signed=signed) * 2.0**power
    nearest = through(value, dtype=dtype, signed=signed)
    assert ((nearest - value).abs() <= value.abs() * level / 2).all()
    for entry in (0, 1):
        found = through(value, Dither(seed, 1, entry), dtype=dtype, signed=signed)
        assert ((found - value).abs() < value.abs() * level).all()
    assert not torch.equal(found, nearest)


@each_format
def test_number_is_rounded_to_one_of_its_two_neighbours(form: str) -> None:
    dtype, signed, _ = FORMATS[form]
    value = of_many_sizes(0, signed=signed)
    found = torch.stack(
        [
            through(value, Dither(0, t, 0), dtype=dtype, signed=signed)
            for t in range(200)
        ]
    )
    low, high = found.amin(dim=0), found.amax(dim=0)
    assert ((found == low) | (found == high)).all()
    # The others are so close to a level that none of the draws left it.
    both = low < high
    assert ((low <= value) & (value <= high))[both].all()
    assert both.float().mean() > 0.9


@each_format
def test_what_was_read_back_is_stored_again_without_change(form: str) -> None:
    dtype, signed, _ = FORMATS[form]
    value = of_many_sizes(1, signed=signed)
    found = through(value, Dither(0, 1, 0), dtype=dtype, signed=signed)
    for t in range(2, 5):
        again = through(found, Dither(0, t, 1), dtype=dtype, signed=signed)
        assert torch.equal(again, found)
    assert torch.equal(through(found, dtype=dtype, signed=signed), found)


@each_format
@pytest.mark.parametrize("entry", [0, 1, 2])
def test_expected_result_of_rounding_is_the_number_itself(
    form: str, entry: int
) -> None:
    dtype, signed, level = FORMATS[form]
    value, draws = of_many_sizes(2, signed=signed, binades=25), 2000
    total = torch.zeros(len(value), dtype=torch.float64)
    for t in range(draws):
        total += through(value, Dither(7, t, entry), dtype=dtype, signed=signed)
    error = (total / draws - value) / value
    # One draw errs by half a level at most, as the standard deviation of a coin.
    deviation = level / 2 / math.sqrt(draws)
    assert error.abs().max() < 5 * deviation
    assert error.mean().abs() < 4 * deviation / math.sqrt(len(value))


@each_format
def test_zeros_stay_zeros_whatever_is_beside_them(form: str) -> None:
    dtype, signed, _ = FORMATS[form]
    for largest in (0.0, TINIEST, 1.0, LARGEST, math.inf, math.nan):
        value = torch.zeros(BLOCK + 3)
        value[5] = largest
        for dither in (None, Dither(0, 1, 0), Dither(0, 2, 1)):
            found = through(value, dither, dtype=dtype, signed=signed)
            zeros = torch.cat([found[:5], found[6:]])
            assert torch.equal(zeros, torch.zeros_like(zeros))


def test_negative_zero_is_stored_as_zero() -> None:
    found = through(torch.tensor([-0.0, 1.0, -1.0]))
    assert found.tolist() == [0, 1, -1]
    assert not found[0].signbit()


# A block


@each_code
def test_range_below_the_largest_of_a_block_is_more_than_nine_decades(
    signed: bool,
) -> None:
    value = torch.tensor([1.0, 1e-9, 4e-10])
    found = through(value, signed=signed)
    assert torch.allclose(found, value, rtol=2**-3, atol=0)


def test_smaller_numbers_vanish_with_a_sign_and_without_one_become_the_least() -> None:
    value = torch.tensor([1.0, 1e-10, 1e-38])
    for dither in (None, Dither(0, 1, 0)):
        assert through(value, dither).tolist() == [1, 0, 0]
        least = through(value, dither, signed=False)
        assert least[1] == least[2]
        assert 2e-10 < least[1] < 3e-10


@each_code
def test_largest_of_a_block_may_be_anywhere_among_the_sizes_of_float32(
    signed: bool,
) -> None:
    for power in (-149, -140, -127, -126, -100, 0, 100, 126):
        value = of_many_sizes(power + 200, BLOCK, signed=signed) * 2.0**power
        found = through(value, signed=signed)
        # Below 2**-126 the digits of float32 itself run out.
        allowed = value.abs() / 8 + (2.0**-129 if power < -95 else 0)
        assert ((found - value).abs() <= allowed).all(), power


@each_code
def test_outlier_takes_the_digits_of_its_own_block_only(signed: bool) -> None:
    value = of_many_sizes(3, 4 * BLOCK, signed=signed, binades=10)
    alone = through(value, signed=signed)
    value[BLOCK + 7] = 1e30
    found = through(value, signed=signed)
    for block in (0, 2, 3):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        assert torch.equal(found[part], alone[part])
    beside = torch.cat([found[BLOCK : BLOCK + 7], found[BLOCK + 8 : 2 * BLOCK]])
    # Too large for the others: no code of a square is too small to divide by.
    assert (beside == 0).all() if signed else (beside > 1e20).all()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
@each_code
def test_tensor_of_any_size_has_a_scale_for_every_256_elements_begun(
    signed: bool, count: int
) -> None:
    value = of_many_sizes(4, count, signed=signed, binades=20)
    entry = stored(value, torch.uint8)
    encode(entry, "x", value, None, signed=signed)
    scale = entry[scale_of("x")]
    for place, block in enumerate(value.split(BLOCK) if count else []):
        largest = block.abs().max()
        assert largest <= scale[place] < largest * 1.25
        assert torch.equal(
            through(block.clone(), signed=signed),
            decoded(entry, "x", torch.float32, signed=signed)[
                place * BLOCK : (place + 1) * BLOCK
            ],
        )


def test_blocks_follow_the_order_in_memory_and_not_that_of_the_dimensions() -> None:
    rows = numbers(0, (64, 100), torch.float32)
    rows[0] *= 1e20  # of a column each, in the transposed tensor
    straight, turned = rows.clone(), rows.T.contiguous().T
    assert turned.stride() == (1, 64)
    assert through(straight)[8:].abs().min() > 0
    assert (through(turned)[8:] == 0).float().mean() > 0.9
    assert through(turned).stride() == (1, 64)


# Not finite


@each_format
def test_nan_and_infinity_are_stored_as_they_are(form: str) -> None:
    dtype, signed, _ = FORMATS[form]
    value = torch.tensor([1.0, math.nan, math.inf, 2.0])
    # All bits are set in this one: a carry would make it zero.
    value = torch.cat([value, torch.tensor([-1], dtype=torch.int32).view(value.dtype)])
    if signed:
        value[3] = -math.inf
    for t in range(20):
        found = through(value, Dither(0, t, 1), dtype=dtype, signed=signed)
        assert found[1].isnan()
        assert found[2] == math.inf
        assert found[4].isnan()
        if signed:
            assert found[3] == -math.inf
        assert found[0].isfinite()


@each_format
def test_no_finite_number_becomes_infinite(form: str) -> None:
    dtype, signed, level = FORMATS[form]
    value = torch.tensor([LARGEST, LARGEST / 1.01, 1.0, 1e38])
    if signed:
        value[1] *= -1
    for dither in (None, *(Dither(0, t, 0) for t in range(20))):
        found = through(value, dither, dtype=dtype, signed=signed)
        assert found.isfinite().all()
        assert torch.allclose(found[:2], value[:2], rtol=level, atol=0)


# Random bits


def test_random_bits_are_uniform_in_place_and_time() -> None:
    for entry, dropped in ((0, 21), (1, 20), (0, 16), (1, 16), (2, 20)):
        draws = torch.stack(
            [
                Dither(0, t, entry).bits(0, torch.empty(500), dropped)
                for t in range(1, 501)
            ]
        )
        assert draws.min() >= 0
        assert draws.max() < 2**dropped
        share = draws.double() / 2**dropped
        for dim in (0, 1):
            mean = share.mean(dim=dim)
            assert (mean - 0.5).abs().max() < 5 * math.sqrt(1 / 12 / 500)
        counts = torch.histc(share.float(), 64, 0, 1)
        expected = 500 * 500 / 64
        statistic = ((counts - expected).square() / expected).sum()
        assert statistic < 63 + 4 * math.sqrt(2 * 63)


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.double(), other.double()]))[0, 1])


def test_random_bits_of_entries_steps_and_seeds_have_nothing_in_common() -> None:
    def bits(seed: int, t: int, entry: int, dropped: int = 16) -> Tensor:
        return Dither(seed, t, entry).bits(0, torch.empty(20_000), dropped)

    first = bits(0, 1, 0)
    for other in (
        bits(0, 1, 1),
        bits(0, 1, 2),
        bits(0, 2, 0),
        bits(1, 1, 0),
        bits(0, 1, 0).roll(1),
        bits(0, 1, 1, 20),
        bits(-1, 1, 0),
        bits(0, 2**32 + 1, 1),
    ):
        assert abs(correlation(first, other)) < 5 / math.sqrt(20_000)
    assert torch.equal(first, bits(0, 1, 0))


def test_random_bits_are_the_published_hash_of_seed_step_and_place() -> None:
    def mixed(x: int) -> int:
        x ^= x >> 16
        x = x * 0x21F0AAAD % 2**32
        x ^= x >> 15
        x = x * 0x735A2D97 % 2**32
        return x ^ x >> 15

    seed, t, place = 12345, 678, 90
    key = mixed((mixed((mixed(seed) + t) % 2**32) + 1) % 2**32)
    assert key_of(seed, t, 1) == key
    assert int(key_of(seed, torch.tensor(float(t)), 1)) == key
    x = (place * 0x61C88647 + key) % 2**32
    x = (x ^ x >> 16) * 0x21F0AAAD % 2**32
    (low,) = Dither(seed, t, 2).bits(place, torch.empty(1), 20).tolist()
    (high,) = Dither(seed, t, 3).bits(place, torch.empty(1), 20).tolist()
    assert low == x % 2**20
    assert high == x >> 12


@each_format
def test_result_does_not_depend_on_the_pieces_that_are_worked_on(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtype, signed, _ = FORMATS[form]
    value = of_many_sizes(5, 3000, signed=signed)
    whole = through(value, Dither(0, 3, 1), dtype=dtype, signed=signed)
    monkeypatch.setattr(low_precision, "PIECE", 2 * BLOCK)
    pieces = through(value, Dither(0, 3, 1), dtype=dtype, signed=signed)
    assert torch.equal(pieces, whole)


# Why at random


def decayed(dtype: torch.dtype, beta: float, steps: int, *, at_random: bool) -> float:
    """Return the mean of averages that get no gradient any more, which began at 1."""
    entry = stored(torch.empty(2000), dtype)
    encode(entry, "x", torch.ones(2000), None, signed=dtype != torch.uint8)
    for t in range(steps):
        value = decoded(entry, "x", torch.float32, signed=dtype != torch.uint8) * beta
        dither = Dither(0, t, 1) if at_random else None
        encode(entry, "x", value, dither, signed=dtype != torch.uint8)
    return float(decoded(entry, "x", torch.float32, signed=dtype != torch.uint8).mean())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.uint8], ids=str)
def test_average_of_squares_decays_at_its_rate_and_to_the_nearest_not_at_all(
    dtype: torch.dtype,
) -> None:
    assert decayed(dtype, 0.999, 1000, at_random=False) == 1
    found = decayed(dtype, 0.999, 1000, at_random=True)
    assert found == pytest.approx(0.999**1000, rel=0.03)
