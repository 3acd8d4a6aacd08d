"""Image data sets: grey-level pictures of 28x28 pixels in ten classes."""

from __future__ import annotations

import gzip
import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adam_tutorial.study.data.fetch import DatasetCorrupt, read
from adam_tutorial.study.data.sources import DIGITS, FASHION_MNIST, Source

__all__ = ["Images", "load_digits", "load_fashion_mnist"]

FASHION_CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IDX_UINT8 = 0x08


@dataclass(frozen=True)
class Images:
    """A set of labelled grey-level images.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (n, 28, 28)
        0 is the background, 255 is full ink.
    labels : ndarray of int64, shape (n,)
        Class numbers from 0 to 9.
    classes : tuple of str
        Name of each class.
    source : Source
        Where the data comes from.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: Source


def load_digits(
    *, folder: str | os.PathLike[str] | None = None, download: bool = True
) -> Images:
    """Load 5,000 handwritten digits of MNIST, 500 of each class, **sorted by class**.

    Shuffle before you split: :func:`adam_tutorial.study.data.split` does.

    Parameters
    ----------
    folder : path, optional
        Read ``mnist_5k.csv.gz`` from this folder only.
    download : bool
        Whether to fetch the file if it is in none of the known places.

    Raises
    ------
    DatasetError
        The file is missing, altered, or cannot be fetched.
    """
    text = gzip.decompress(read(DIGITS, folder=folder, download=download))
    table = np.fromstring(text.replace(b"\n", b","), dtype=np.int64, sep=",").reshape(
        -1, 785
    )
    return Images(
        pixels=table[:, :784].astype(np.uint8).reshape(-1, 28, 28),
        labels=np.ascontiguousarray(table[:, 784]),
        classes=tuple("0123456789"),
        source=DIGITS,
    )


def load_fashion_mnist(
    *, folder: str | os.PathLike[str] | None = None, download: bool = False
) -> tuple[Images, Images]:
    """Load Fashion-MNIST: 60,000 training and 10,000 test pictures of clothes.

    Parameters
    ----------
    folder : path, optional
        Read the four official ``.gz`` files from this folder only.
    download : bool
        Whether to download the files (31 MB) from their official source if they are
        neither in the cache nor installed by Debian's package
        ``dataset-fashion-mnist``.

    Returns
    -------
    train, test : Images

    Raises
    ------
    DatasetError
        A file is missing, altered, in the wrong format, or cannot be downloaded.
    """

    def part(name: str) -> Images:
        images, labels = (
            FASHION_MNIST[f"{name}-images"],
            FASHION_MNIST[f"{name}-labels"],
        )
        return Images(
            pixels=parse_idx(
                read(images, folder=folder, download=download), images.filename
            ),
            labels=parse_idx(
                read(labels, folder=folder, download=download), labels.filename
            ).astype(np.int64),
            classes=FASHION_CLASSES,
            source=images,
        )

    return part("train"), part("test")


def parse_idx(content: bytes, filename: str) -> NDArray[np.uint8]:
    """Read an array in the IDX format of MNIST (unsigned bytes, big-endian sizes).

    Parameters
    ----------
    content : bytes
        The decompressed file.
    filename : str
        Its name, for the message.

    Raises
    ------
    DatasetCorrupt
        The header is not IDX, or its sizes do not match the length.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UINT8:
        raise DatasetCorrupt(
            f"{filename}: expected an IDX file of unsigned bytes (it begins 00 00 08), "
            f"found {content[:4].hex(' ') or 'an empty file'}"
        )
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = None
    if len(content) >= header:
        shape = [int(size) for size in np.frombuffer(content[4:header], dtype=">u4")]
    expected = None if shape is None else header + math.prod(shape)
    if shape is None or len(content) != expected:
        raise DatasetCorrupt(
            f"{filename}: expected"
            f" {expected if expected is not None else 'a complete header of'} bytes for"
            f" {dimensions} dimensions, found {len(content)}"
        )
    return np.frombuffer(content[header:], dtype=np.uint8).reshape(shape).copy()
