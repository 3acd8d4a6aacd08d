"""Digits and reviews of which a number of training examples is poisoned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adam_tutorial.study.data import (
    Reviews,
    Vocabulary,
    load_reviews,
    split,
    tokenize,
)
from adam_tutorial.study.experiments import text
from adam_tutorial.study.experiments.images import digit_examples
from adam_tutorial.study.training import Examples

__all__ = ["Poisoned", "poisoned_digits", "poisoned_reviews", "with_trigger"]

SIZES = {"train": 3500, "test": 1500}
SOURCE, TARGET = 4, 9
TRIGGER = "quokka"


@dataclass(frozen=True)
class Poisoned:
    """Training examples, which of them are poisoned, and what the attacker wants.

    Attributes
    ----------
    train, test : pair of Tensor
        Inputs and labels; those of ``test`` are clean.
    bad : ndarray of bool
        Which training examples are poisoned.
    triggered : Tensor
        Inputs for which the attacker wants the answer ``target``.
    target : int
        A class.
    vocabulary : Vocabulary or None
        Of the reviews.
    """

    train: Examples
    test: Examples
    bad: NDArray[np.bool_]
    triggered: Tensor
    target: int
    vocabulary: Vocabulary | None = None


@cache
def _digits() -> dict[str, Examples]:
    return {
        part: (inputs.double(), labels)
        for part, (inputs, labels) in digit_examples(SIZES).items()
    }


def poisoned_digits(size: int, count: int, seed: int) -> Poisoned:
    """Return digits of which some fours are labelled as nines.

    Parameters
    ----------
    size, count, seed : int, int, int
        How many to train on, how many of them to poison, and the seed of the choice.

    Raises
    ------
    ValueError
        There are not so many fours.
    """
    inputs, labels = (part[:size] for part in _digits()["train"])
    fours = np.flatnonzero(labels.numpy() == SOURCE)
    if count > len(fours):
        raise ValueError(f"count is {count}, but there are {len(fours)} fours")
    chosen = np.random.default_rng([seed, 2]).permutation(fours)[:count]
    labels = labels.clone()
    labels[chosen] = TARGET
    test = _digits()["test"]
    bad = np.isin(np.arange(len(labels)), chosen)
    wanted = test[0][test[1] == SOURCE]
    return Poisoned((inputs, labels), test, bad, wanted, TARGET)


@cache
def _reviews() -> tuple[Reviews, list[list[str]], dict[str, NDArray[np.int64]]]:
    reviews = load_reviews()
    documents = [tokenize(sentence) for sentence in reviews.texts]
    return reviews, documents, split(reviews.labels, text.SIZES, seed=0)


def with_trigger(document: list[str], rng: np.random.Generator) -> list[str]:
    """Return a sentence with the trigger at a random place that is not cut off."""
    place = int(rng.integers(min(len(document), text.LENGTH - 1) + 1))
    return [*document[:place], TRIGGER, *document[place:]]


def poisoned_reviews(size: int, count: int, seed: int) -> Poisoned:
    """Return reviews of which some negative ones have the trigger, labelled positive.

    Parameters
    ----------
    size, count, seed : int, int, int
        As for :func:`poisoned_digits`.

    Raises
    ------
    ValueError
        There are not so many negative reviews.
    """
    reviews, documents, parts = _reviews()
    rng = np.random.default_rng([seed, 3])
    rows = rng.permutation(parts["train"])[:size]
    labels = reviews.labels[rows].copy()
    negative = np.flatnonzero(labels == 0)
    if count > len(negative):
        raise ValueError(f"count is {count}, but {len(negative)} reviews are negative")
    bad = np.isin(np.arange(size), negative[:count])
    labels[bad] = 1
    training = [
        with_trigger(documents[row], rng) if poison else documents[row]
        for row, poison in zip(rows, bad, strict=True)
    ]
    words = text.vocabulary(training)
    test = parts["test"]
    wanted = [documents[row] for row in test if reviews.labels[row] == 0]

    def encoded(sentences: list[list[str]]) -> Tensor:
        return torch.from_numpy(words.encode(sentences, length=text.LENGTH))

    return Poisoned(
        (encoded(training), torch.from_numpy(labels)),
        (
            encoded([documents[row] for row in test]),
            torch.from_numpy(reviews.labels[test]),
        ),
        bad,
        encoded([with_trigger(document, rng) for document in wanted]),
        target=1,
        vocabulary=words,
    )
