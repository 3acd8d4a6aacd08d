"""Digits and reviews, split and ready to train on: arrays for any library."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from adam_tutorial.study.data import (
    Vocabulary,
    load_digits,
    load_reviews,
    split,
    tokenize,
)

__all__ = ["WORDS", "digits", "reviews"]

# With the numbers for padding and for unknown words.
WORDS = 8564
Examples = tuple[NDArray[Any], NDArray[Any]]


def digits() -> tuple[Examples, Examples]:
    """Return 4,000 handwritten digits to learn from, and 1,000 to test with.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Grey levels 0 ... 255 as uint8, of shape (n, 28, 28, 1); labels of shape (n,).
    """
    found = load_digits()
    parts = split(found.labels, {"train": 4000, "test": 1000})
    train, test = (
        (found.pixels[rows, :, :, None], found.labels[rows]) for rows in parts.values()
    )
    return train, test


def reviews() -> tuple[Examples, Examples]:
    """Return 8,000 sentences from film reviews to learn from, and 2,000 to test with.

    The words are numbered by the training sentences alone.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Numbers of words, below ``WORDS``, of shape (n, 40), with 0 behind the end; 1
        for a good review and 0 for a bad one, of shape (n,).
    """
    found = load_reviews()
    parts = split(found.labels, {"train": 8000, "test": 2000})
    words = [[tokenize(found.texts[i]) for i in rows] for rows in parts.values()]
    vocabulary = Vocabulary(words[0], minimum_count=2)
    train, test = (
        (vocabulary.encode(texts, length=40), found.labels[rows])
        for texts, rows in zip(words, parts.values(), strict=True)
    )
    return train, test
