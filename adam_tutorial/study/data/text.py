"""Text: sentences from film reviews, a tokeniser, a vocabulary, padding."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adam_tutorial._arguments import check_at_least
from adam_tutorial.study.data.fetch import read
from adam_tutorial.study.data.sources import RATINGS, REVIEWS, Source

__all__ = [
    "PAD",
    "UNKNOWN",
    "Reviews",
    "Vocabulary",
    "load_ratings",
    "load_reviews",
    "tokenize",
]

PAD = 0
UNKNOWN = 1
SPECIAL = ("<pad>", "<unknown>")

# A word (letters of any script, with inner apostrophes), a number, or a mark of mood.
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[!?]")


@dataclass(frozen=True)
class Reviews:
    """Film reviews, or sentences of them, with their ratings.

    Attributes
    ----------
    texts : tuple of str
        One review or sentence each.
    ratings : ndarray of float64, shape (n,)
        Of a sentence, the mean of what people gave it, from -4 (very negative) to +4
        (very positive). Of a review at IMDB, its stars, from 1 to 10.
    labels : ndarray of int64, shape (n,)
        1 where the rating is positive (7 stars or more), else 0.
    source : Source
        Where the data comes from.
    """

    texts: tuple[str, ...]
    ratings: NDArray[np.float64]
    labels: NDArray[np.int64]
    source: Source


def load_reviews(
    *,
    minimum_rating: float = 0.5,
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> Reviews:
    """Load rated sentences from film reviews, **positive ones mostly first**.

    Shuffle before you split: :func:`adam_tutorial.study.data.split` does. White space
    is normalised, doubled single quotes become double quotes, and repeated sentences
    are dropped.

    Parameters
    ----------
    minimum_rating : float
        Keep sentences with ``abs(rating) >= minimum_rating``; people disagree about the
        others. 0 keeps all 10,603, the default 10,070.
    folder : path, optional
        Read ``movieReviewSnippets_GroundTruth.txt`` from this folder only.
    download : bool
        Whether to fetch the file if it is in none of the known places.

    Raises
    ------
    ValueError
        ``minimum_rating`` is not in [0, 4).
    DatasetError
        The file is missing, altered, or cannot be fetched.
    """
    if not 0 <= minimum_rating < 4:
        raise ValueError(f"minimum_rating must be in [0, 4), got {minimum_rating!r}")
    rows: dict[str, float] = {}
    for _, rating, text in _lines(REVIEWS, folder, download):
        rows.setdefault(_normalised(text), float(rating))
    kept = [
        (text, rating) for text, rating in rows.items() if abs(rating) >= minimum_rating
    ]
    ratings = np.array([rating for _, rating in kept])
    return Reviews(
        texts=tuple(text for text, _ in kept),
        ratings=ratings,
        labels=(ratings > 0).astype(np.int64),
        source=REVIEWS,
    )


def load_ratings(
    *, folder: str | os.PathLike[str] | None = None, download: bool = True
) -> dict[str, NDArray[np.int64]]:
    """Load what each person gave each sentence of :func:`load_reviews`.

    Parameters
    ----------
    folder : path, optional
        Read both files of the ratings from this folder only.
    download : bool
        Whether to fetch a file if it is in none of the known places.

    Returns
    -------
    dict of str to ndarray of int64
        For each sentence the ratings, 15 to 29 of them, from -4 to +4. Their mean is
        the rating that :func:`load_reviews` gives.

    Raises
    ------
    DatasetError
        A file is missing, altered, or cannot be fetched.
    """
    given = {
        number: np.array(json.loads(ratings), dtype=np.int64)
        for number, *_, ratings in _lines(RATINGS, folder, download)
    }
    rows: dict[str, NDArray[np.int64]] = {}
    for number, _, text in _lines(REVIEWS, folder, download):
        rows.setdefault(_normalised(text), given[number])
    return rows


def tokenize(text: str) -> list[str]:
    """Split a text into lower-case words, numbers, and the marks ``!`` and ``?``.

    Examples
    --------
    >>> tokenize("It's Oscar-worthy: 2 hours, no yawn!")
    ["it's", 'oscar', 'worthy', '2', 'hours', 'no', 'yawn', '!']
    """
    return _TOKEN.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def _lines(
    source: Source, folder: str | os.PathLike[str] | None, download: bool
) -> list[list[str]]:
    """Return the columns of each line; the last may contain tabs."""
    content = read(source, folder=folder, download=download).decode("utf-8")
    columns = 2 if source.filename == REVIEWS.filename else 3
    return [line.split("\t", columns) for line in content.splitlines()]


def _normalised(text: str) -> str:
    return " ".join(text.replace("''", '"').split())


class Vocabulary:
    """Number the words of a training set, the most frequent first.

    Number 0 is padding and 1 stands for every word that is not in the vocabulary.

    Parameters
    ----------
    documents : iterable of sequences of str
        Tokenised **training** texts. Words of the test texts must not be counted: in
        real use they are unknown too.
    minimum_count : int
        Rarer words are left out.

    Raises
    ------
    ValueError
        ``minimum_count`` is less than 1.
    """

    def __init__(
        self, documents: Iterable[Sequence[str]], *, minimum_count: int = 1
    ) -> None:
        check_at_least("minimum_count", minimum_count, 1)
        counts = Counter(token for document in documents for token in document)
        # These have their numbers already, should a document contain them.
        for special in SPECIAL:
            counts.pop(special, None)
        # By count, then by spelling: numbers do not depend on the order of documents.
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [(word, count) for word, count in ranked if count >= minimum_count]
        self.words: tuple[str, ...] = (*SPECIAL, *(word for word, _ in kept))
        self.counts: NDArray[np.int64] = np.array([0, 0, *(count for _, count in kept)])
        self._number = {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(
        self, documents: Iterable[Sequence[str]], *, length: int
    ) -> NDArray[np.int64]:
        """Turn tokenised texts into rows of ``length`` numbers.

        Longer texts are cut off, shorter ones are filled up with 0 (padding).

        Returns
        -------
        ndarray of int64, shape (number of documents, length)

        Raises
        ------
        ValueError
            ``length`` is less than 1.
        """
        check_at_least("length", length, 1)
        rows = [
            [self._number.get(token, UNKNOWN) for token in document[:length]]
            for document in documents
        ]
        table = np.full((len(rows), length), PAD, dtype=np.int64)
        for filled, row in zip(table, rows, strict=True):
            filled[: len(row)] = row
        return table
