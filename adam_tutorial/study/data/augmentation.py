"""Augmentation: random changes to training examples, different in every epoch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adam_tutorial._arguments import check_at_least, check_in
from adam_tutorial.study.data.text import PAD, UNKNOWN

__all__ = ["drop_words", "mirror_and_shift", "rescale", "shear_and_zoom"]


def rescale(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn grey levels 0 ... 255 into numbers 0 ... 1 of torch's default type.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, 28, 28)

    Returns
    -------
    Tensor, shape (n, 1, 28, 28)
    """
    return torch.from_numpy(pixels).to(torch.get_default_dtype()).div(255).unsqueeze(1)


def shear_and_zoom(
    images: Tensor, generator: torch.Generator, amount: float = 0.2
) -> Tensor:
    """Shear and zoom each image by its own random amount, about its centre.

    Parameters
    ----------
    images : Tensor, shape (n, channels, height, width)
    generator : torch.Generator
        Source of the random amounts.
    amount : float
        Width and height are scaled by factors in [1 - amount, 1 + amount], drawn
        separately; the horizontal shear (shift per unit of height) is in [-amount,
        amount].

    Returns
    -------
    Tensor, same shape and type
        What was outside the image is 0.

    Raises
    ------
    ValueError
        ``amount`` is not in [0, 1).
    """
    check_in("[0, 1)", "amount", amount)
    # Always float64, so that the draws are the same for images of either type.
    drawn = torch.rand((len(images), 3), generator=generator, dtype=torch.float64)
    width, height, shear = (2 * drawn - 1).mul(amount).to(images.dtype).unbind(dim=1)
    # The map goes from points of the result to points of the original, hence 1 / x.
    maps = torch.zeros(len(images), 2, 3, dtype=images.dtype)
    maps[:, 0, 0] = 1 / (1 + width)
    maps[:, 1, 1] = 1 / (1 + height)
    maps[:, 0, 1] = shear
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def mirror_and_shift(
    images: Tensor, generator: torch.Generator, shift: int = 2
) -> Tensor:
    """Mirror half of the images, left for right, and move each by whole pixels.

    Parameters
    ----------
    images : Tensor, shape (n, channels, height, width)
    generator : torch.Generator
        Source of the random choices.
    shift : int
        The largest move; across and down are drawn separately from -shift ... shift.

    Returns
    -------
    Tensor, same shape and type
        What was outside the image is 0.

    Raises
    ------
    ValueError
        ``shift`` is negative.
    """
    check_at_least("shift", shift, 0)
    count, _, height, width = images.shape
    # Drawn for any shift, so that it changes nothing else.
    drawn = torch.rand((count, 3), generator=generator, dtype=torch.float64)
    mirrored = (drawn[:, 0] < 0.5)[:, None, None, None]
    turned = torch.where(mirrored, images.flip(3), images)
    corners = ((2 * shift + 1) * drawn[:, 1:]).long()
    rows = (corners[:, :1] + torch.arange(height))[:, None, :, None]
    columns = (corners[:, 1:] + torch.arange(width))[:, None, None, :]
    channels = torch.arange(images.shape[1])[:, None, None]
    padded = functional.pad(turned, (shift,) * 4)
    return padded[torch.arange(count)[:, None, None, None], channels, rows, columns]


def drop_words(
    tokens: Tensor, generator: torch.Generator, share: float = 0.2
) -> Tensor:
    """Replace a random share of the words by the unknown word; padding stays.

    Parameters
    ----------
    tokens : Tensor of int64, shape (n, length)
    generator : torch.Generator
        Source of the random choice.
    share : float
        Probability for each word, in [0, 1].

    Returns
    -------
    Tensor, same shape and type

    Raises
    ------
    ValueError
        ``share`` is not in [0, 1].
    """
    check_in("[0, 1]", "share", share)
    drawn = torch.rand(tokens.shape, generator=generator, dtype=torch.float64)
    return tokens.masked_fill((drawn < share) & (tokens != PAD), UNKNOWN)
