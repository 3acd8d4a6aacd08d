"""The data of the Adam paper's experiments, or smaller data that stand in for them.

By default: 4,000 digits for MNIST, sentences from film reviews for the reviews of IMDB,
and 5,000 pictures of Fashion-MNIST for CIFAR-10. With the environment variable
``ADAM_TUTORIAL_PAPER_DATA``, which names a folder with the files that are published,
the original data: ``train-images-idx3-ubyte.gz``, ``train-labels-idx1-ubyte.gz`` and
both files ``t10k-`` of MNIST, ``aclImdb_v1.tar.gz``, and ``cifar-10-binary.tar.gz``.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adam_tutorial.study.data import (
    PAD,
    Vocabulary,
    load_digits,
    load_fashion_mnist,
    load_imdb,
    load_reviews,
    rescale,
    split,
    tokenize,
)
from adam_tutorial.study.data.images import parse_idx
from adam_tutorial.study.training import Examples

__all__ = ["bags_of_words", "digits", "pictures", "whitener"]

Parts = dict[str, Examples]

VARIABLE = "ADAM_TUTORIAL_PAPER_DATA"
FOLDER = os.environ.get(VARIABLE)

WORDS = 10_000
DIGITS = {"train": 4000, "test": 1000}
SENTENCES = {"train": 8056, "test": 2014}
PICTURES = {"train": 5000, "test": 2000}
# Added to the variances by which pictures are divided: directions in which they hardly
# differ are not blown up. Pixels lie between 0 and 1.
RIDGE = 0.01
CIFAR_ROW = 1 + 3 * 32 * 32


@cache
def digits() -> Parts:
    """Return the digits: pixels of shape (n, 1, 28, 28) between 0 and 1, and labels."""
    if FOLDER:
        return {part: _mnist(Path(FOLDER), name) for part, name in _NAMES.items()}
    found = load_digits()
    return {
        part: (rescale(found.pixels[rows]), torch.from_numpy(found.labels[rows]))
        for part, rows in split(found.labels, DIGITS, seed=0).items()
    }


@cache
def bags_of_words() -> Parts:
    """Return the reviews: the numbers of a text's words, each once, and labels.

    Words are numbered from 1, the most frequent of the training texts first; those
    beyond number 10,000 are left out. Rows are filled up with 0.
    """
    if FOLDER:
        texts = dict(zip(("train", "test"), load_imdb(folder=FOLDER), strict=True))
        documents = {part: some.texts for part, some in texts.items()}
        labels = {part: some.labels for part, some in texts.items()}
    else:
        reviews = load_reviews()
        parts = split(reviews.labels, SENTENCES, seed=0)
        documents = {
            part: tuple(reviews.texts[row] for row in rows)
            for part, rows in parts.items()
        }
        labels = {part: reviews.labels[rows] for part, rows in parts.items()}
    words = {
        part: [tokenize(text) for text in some] for part, some in documents.items()
    }
    ranked = Vocabulary(words["train"]).words[2 : 2 + WORDS]
    numbers = {word: number for number, word in enumerate(ranked, start=1)}
    return {
        part: (_rows(some, numbers), torch.from_numpy(labels[part]))
        for part, some in words.items()
    }


@cache
def pictures() -> Parts:
    """Return the pictures, whitened, of shape (n, channels, height, width), and labels.

    Raises
    ------
    DatasetUnavailable
        Fashion-MNIST is not on this machine.
    """
    if FOLDER:
        parts = _cifar(Path(FOLDER))
    else:
        known, unseen = load_fashion_mnist()
        parts = {
            part: (
                rescale(some.pixels[: PICTURES[part]]),
                torch.from_numpy(some.labels[: PICTURES[part]]),
            )
            for part, some in (("train", known), ("test", unseen))
        }
    mean, matrix = whitener(parts["train"][0])
    return {
        part: (((some.flatten(1) - mean) @ matrix).reshape(some.shape), labels)
        for part, (some, labels) in parts.items()
    }


def whitener(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return what makes pixels uncorrelated, each with a variance of about 1.

    Parameters
    ----------
    images : Tensor, shape (n, ...)
        Of which mean and covariance are taken.

    Returns
    -------
    mean, matrix : Tensor of shape (d,), Tensor of shape (d, d)
        The whitened pixels are ``(pixels - mean) @ matrix``. The matrix is symmetric,
        so that a pixel stays where it was (ZCA).
    """
    pixels = images.flatten(1).double()
    mean = pixels.mean(dim=0)
    values, vectors = torch.linalg.eigh((pixels - mean).T.cov(correction=0))
    matrix = (vectors / (values.clamp(min=0) + RIDGE).sqrt()) @ vectors.T
    return mean.to(images.dtype), matrix.to(images.dtype)


def _rows(documents: list[list[str]], numbers: dict[str, int]) -> Tensor:
    found = [
        torch.tensor(sorted({numbers[word] for word in words if word in numbers}))
        for words in documents
    ]
    return torch.nn.utils.rnn.pad_sequence(
        [row.long() for row in found], batch_first=True, padding_value=PAD
    )


_NAMES = {"train": "train", "test": "t10k"}


def _mnist(folder: Path, name: str) -> Examples:
    def read(kind: str) -> NDArray[np.uint8]:
        file = folder / f"{name}-{kind}-ubyte.gz"
        return parse_idx(gzip.decompress(file.read_bytes()), file.name)

    labels = read("labels-idx1").astype(np.int64)
    return rescale(read("images-idx3")), torch.from_numpy(labels)


def _cifar(folder: Path) -> Parts:
    batches: dict[str, list[NDArray[np.uint8]]] = {"train": [], "test": []}
    with tarfile.open(folder / "cifar-10-binary.tar.gz") as tar:
        # Nothing is written to the disk.
        for member in sorted(tar.getmembers(), key=lambda one: one.name):
            if member.name.endswith("_batch.bin") or "data_batch_" in member.name:
                handle = tar.extractfile(member)
                assert handle is not None
                rows = np.frombuffer(handle.read(), np.uint8).reshape(-1, CIFAR_ROW)
                part = "train" if "data_batch_" in member.name else "test"
                batches[part].append(rows)
    found = {part: np.concatenate(some) for part, some in batches.items()}
    dtype = torch.get_default_dtype()
    return {
        part: (
            torch.from_numpy(rows[:, 1:].copy()).to(dtype).reshape(-1, 3, 32, 32) / 255,
            torch.from_numpy(rows[:, 0].astype(np.int64)),
        )
        for part, rows in found.items()
    }
