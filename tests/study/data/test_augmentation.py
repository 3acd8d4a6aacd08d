from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adam_tutorial.study.data import (
    PAD,
    UNKNOWN,
    Images,
    drop_words,
    mirror_and_shift,
    rescale,
    shear_and_zoom,
)

SIDE = 28


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def squares(count: int, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Images of one white square of 12x12 pixels in the centre."""
    images = torch.zeros(count, 1, SIDE, SIDE, dtype=dtype)
    images[:, :, 8:20, 8:20] = 1
    return images


def drawn_amounts(count: int, amount: float, seed: int = 0) -> Tensor:
    """Return width, height and shear of each image, as the function draws them."""
    drawn = torch.rand((count, 3), generator=seeded(seed), dtype=torch.float64)
    return (2 * drawn - 1) * amount


# Rescaling


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_grey_levels_become_numbers_from_zero_to_one_of_the_default_type(
    dtype: torch.dtype,
) -> None:
    torch.set_default_dtype(dtype)
    pixels = np.array([[[0, 51], [102, 255]]], dtype=np.uint8)
    scaled = rescale(pixels)
    assert scaled.shape == (1, 1, 2, 2)
    assert scaled.dtype == dtype
    torch.testing.assert_close(scaled, torch.tensor([[[[0, 0.2], [0.4, 1]]]]))


def test_rescaling_leaves_the_pixels_as_they_are(digits: Images) -> None:
    before = digits.pixels[:10].copy()
    scaled = rescale(digits.pixels[:10])
    scaled.zero_()
    assert (digits.pixels[:10] == before).all()


# Shear and zoom


def test_amount_zero_changes_nothing() -> None:
    images = torch.rand(5, 2, SIDE, SIDE, generator=seeded(1), dtype=torch.float64)
    torch.testing.assert_close(shear_and_zoom(images, seeded(), amount=0), images)


@given(
    st.integers(0, 2**32),
    st.floats(0, 0.9),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_shape_type_and_range_stay(
    seed: int, amount: float, dtype: torch.dtype
) -> None:
    images = torch.rand(3, 2, 8, 8, generator=seeded(seed), dtype=dtype)
    changed = shear_and_zoom(images, seeded(seed), amount)
    assert changed.shape == images.shape
    assert changed.dtype == dtype
    assert 0 <= changed.min() <= changed.max() <= images.max() + 1e-6


def test_each_image_gets_its_own_change() -> None:
    changed = shear_and_zoom(squares(20), seeded())
    for first in range(20):
        for second in range(first):
            assert not torch.allclose(changed[first], changed[second])


def test_same_seed_gives_the_same_change_and_another_seed_another() -> None:
    images = squares(4)
    assert torch.equal(
        shear_and_zoom(images, seeded(7)), shear_and_zoom(images, seeded(7))
    )
    assert not torch.allclose(
        shear_and_zoom(images, seeded(7)), shear_and_zoom(images, seeded(8))
    )


def test_second_call_continues_the_draws_of_the_first() -> None:
    generator = seeded()
    parts = [
        shear_and_zoom(squares(3), generator),
        shear_and_zoom(squares(2), generator),
    ]
    assert torch.equal(torch.cat(parts), shear_and_zoom(squares(5), seeded()))


def test_global_random_state_is_not_used() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    shear_and_zoom(squares(2), seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_are_the_same_in_single_and_double_precision() -> None:
    single, double = seeded(), seeded()
    changed = shear_and_zoom(squares(10, dtype=torch.float32), single)
    torch.testing.assert_close(
        changed.double(), shear_and_zoom(squares(10), double), rtol=0, atol=1e-5
    )
    assert torch.equal(single.get_state(), double.get_state())


def test_larger_draws_of_width_make_an_image_wider() -> None:
    amounts = drawn_amounts(50, 0.3)
    changed = shear_and_zoom(squares(50), seeded(), amount=0.3)
    # The two middle rows: the shear moves them by a fraction of a pixel, and to no
    # other width.
    widths = changed[:, 0, 13:15].sum(dim=(1, 2)) / 2
    torch.testing.assert_close(widths, 12 * (1 + amounts[:, 0]), rtol=0, atol=0.25)


def test_larger_draws_of_height_make_an_image_taller() -> None:
    amounts = drawn_amounts(50, 0.3)
    changed = shear_and_zoom(squares(50), seeded(), amount=0.3)
    heights = changed[:, 0].amax(dim=2).sum(dim=1)
    torch.testing.assert_close(heights, 12 * (1 + amounts[:, 1]), rtol=0, atol=0.25)


def test_each_pixel_comes_from_where_zoom_and_shear_say() -> None:
    # Two channels that hold each pixel's own coordinates: interpolation is exact for
    # them, so the result says where each of its pixels was read.
    place = (torch.arange(SIDE, dtype=torch.float64) - 13.5) / 14
    y, x = torch.meshgrid(place, place, indexing="ij")
    width, height, shear = drawn_amounts(20, 0.3)[:, :, None, None].unbind(dim=1)
    changed = shear_and_zoom(
        torch.stack([x, y]).repeat(20, 1, 1, 1), seeded(), amount=0.3
    )
    expected = torch.stack([x / (1 + width) + shear * y, y / (1 + height)], dim=1)
    inside = slice(8, 20)
    torch.testing.assert_close(
        changed[..., inside, inside],
        expected[..., inside, inside],
        rtol=1e-12,
        atol=1e-12,
    )


def test_centre_stays_where_it_is() -> None:
    changed = shear_and_zoom(squares(20), seeded(), amount=0.3)[:, 0]
    place = torch.arange(SIDE, dtype=torch.float64)
    for dimension in (1, 2):
        mass = changed.sum(dim=dimension)
        centre = (mass * place).sum(dim=1) / mass.sum(dim=1)
        torch.testing.assert_close(
            centre, torch.full_like(centre, 13.5), rtol=0, atol=1e-9
        )


def test_what_comes_in_from_outside_is_background() -> None:
    white = torch.ones(30, 1, SIDE, SIDE, dtype=torch.float64)
    changed = shear_and_zoom(white, seeded(), amount=0.4)
    shrunk = drawn_amounts(30, 0.4)[:, 1] < -0.2
    assert shrunk.any()
    assert not changed[shrunk][:, :, 0].any()


def test_images_given_are_not_changed() -> None:
    images = squares(3)
    shear_and_zoom(images, seeded())
    assert torch.equal(images, squares(3))


@pytest.mark.parametrize("amount", [-0.1, 1.0, math.nan])
def test_amount_outside_its_range_is_refused(amount: float) -> None:
    with pytest.raises(
        ValueError, match=rf"amount must be in \[0, 1\), got {amount!r}"
    ):
        shear_and_zoom(squares(1), seeded(), amount)


# Mirror and shift


def test_half_of_the_images_are_mirrored_and_nothing_else_without_a_shift() -> None:
    images = torch.rand(2000, 2, 3, 5, generator=seeded(1))
    changed = mirror_and_shift(images, seeded(), shift=0)
    same = (changed == images).flatten(1).all(dim=1)
    turned = (changed == images.flip(3)).flatten(1).all(dim=1)
    assert (same ^ turned).all()
    assert turned.double().mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_move_by_every_whole_shift_equally_often(dtype: torch.dtype) -> None:
    # One pixel in the middle of five: the mirror leaves it where it is.
    images = torch.zeros(5000, 2, 5, 5, dtype=dtype)
    images[:, :, 2, 2] = 1
    changed = mirror_and_shift(images, seeded(), shift=2)
    assert changed.dtype == dtype
    assert torch.equal(changed.sum(dim=(2, 3)), torch.ones(5000, 2, dtype=dtype))
    assert torch.equal(changed[:, 0], changed[:, 1])
    frequency = changed[:, 0].double().mean(dim=0)
    torch.testing.assert_close(
        frequency, torch.full((5, 5), 0.04, dtype=torch.float64), rtol=0, atol=0.012
    )


def test_what_leaves_the_image_is_lost_and_zero_comes_in() -> None:
    changed = mirror_and_shift(torch.ones(500, 1, 4, 4), seeded(), shift=1)
    area = changed.sum(dim=(1, 2, 3)).unique().tolist()
    assert area == [9, 12, 16]


def test_shift_changes_neither_the_mirrored_ones_nor_the_generator() -> None:
    images = torch.zeros(50, 1, 7, 7)
    images[:, :, 3, 2], images[:, :, 3, 4] = 1, 2
    one, two = seeded(), seeded()
    still = mirror_and_shift(images, one, shift=0)
    moved = mirror_and_shift(images, two, shift=2)
    assert torch.equal(one.get_state(), two.get_state())

    def turned(batch: Tensor) -> list[bool]:
        columns = batch.sum(dim=(1, 2))
        return [row[row > 0].tolist() == [2, 1] for row in columns]

    assert turned(still) == turned(moved)
    assert 10 < sum(turned(still)) < 40


def test_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift must be at least 0, got -1"):
        mirror_and_shift(torch.zeros(1, 1, 4, 4), seeded(), shift=-1)


# Dropped words


def sentences(words: int = 1000) -> Tensor:
    tokens = torch.arange(2, 2 + words).repeat(5, 1)
    tokens[:, words // 2 :] = PAD
    return tokens


def test_dropped_words_become_unknown_and_padding_stays() -> None:
    tokens = sentences()
    dropped = drop_words(tokens, seeded(), share=0.5)
    assert torch.equal(dropped == PAD, tokens == PAD)
    kept = dropped == tokens
    assert (dropped[~kept] == UNKNOWN).all()
    assert not torch.equal(dropped, tokens)
    assert dropped.dtype == torch.int64


@pytest.mark.parametrize("share", [0.1, 0.2, 0.7])
def test_share_of_dropped_words_is_the_one_asked_for(share: float) -> None:
    tokens = sentences()
    dropped = drop_words(tokens, seeded(), share=share)
    assert (dropped == UNKNOWN).sum().item() / 2500 == pytest.approx(share, abs=0.03)


def test_share_zero_drops_no_word_and_share_one_drops_all() -> None:
    tokens = sentences()
    assert torch.equal(drop_words(tokens, seeded(), share=0), tokens)
    assert (drop_words(tokens, seeded(), share=1)[tokens != PAD] == UNKNOWN).all()


def test_each_sentence_loses_other_words() -> None:
    dropped = drop_words(sentences(), seeded())
    assert not torch.equal(dropped[0], dropped[1])


def test_same_seed_drops_the_same_words() -> None:
    assert torch.equal(
        drop_words(sentences(), seeded(3)), drop_words(sentences(), seeded(3))
    )
    assert not torch.equal(
        drop_words(sentences(), seeded(3)), drop_words(sentences(), seeded(4))
    )


def test_sentences_given_are_not_changed() -> None:
    tokens = sentences()
    drop_words(tokens, seeded(), share=1)
    assert torch.equal(tokens, sentences())


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=rf"share must be in \[0, 1\], got {share!r}"):
        drop_words(sentences(), seeded(), share)
