"""Compare two programs that were tried on the same examples, from the same seeds.

The score of a program on an example, trained from a seed, is a number such as 1 for a
right answer and 0 for a wrong one, or a loss. Two programs share most of their luck: an
example that is hard for one is hard for the other. So what counts is the difference of
their scores, example by example and seed by seed. Its error is often far smaller than
that of either mean (Dietterich 1998; Miller 2024).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from adam_tutorial._types import Float64Array

__all__ = [
    "Paired",
    "is_difference",
    "paired_difference",
    "ranking",
    "right_answers",
]

RANKING_SEEDS = 10
# The normal distribution is above it with probability 0.001.
RANKING_ERRORS = 3.09


@dataclass(frozen=True)
class Paired:
    """The difference of two programs' mean scores, and how far luck may move it.

    Attributes
    ----------
    difference : float
        Mean score of the first program minus that of the second.
    error : float
        Standard error of the difference, over examples and seeds.
    error_of_seeds, error_of_examples : float
        Standard errors over seeds alone, for these examples; and over examples alone,
        for these seeds.
    margin : float
        Half the width of the 95 % interval: ``error`` times the quantile of Student's
        distribution. With three seeds that disagree it is far more than twice
        ``error``.
    """

    difference: float
    error: float
    error_of_seeds: float
    error_of_examples: float
    margin: float

    def verb(self, *, lower_is_better: bool = False) -> str:
        """Return what a sentence may say of the first program.

        Parameters
        ----------
        lower_is_better : bool
            True for losses, False for right answers.

        Returns
        -------
        str
            "better", "worse", or "no difference seen at ± x" with the margin as x.

        Examples
        --------
        >>> Paired(0.03, 0.01, 0.01, 0.01, margin=0.02).verb()
        'better'
        >>> Paired(0.03, 0.01, 0.01, 0.01, margin=0.02).verb(lower_is_better=True)
        'worse'
        >>> Paired(0.03, 0.02, 0.02, 0.01, margin=0.04).verb()
        'no difference seen at ± 0.04'
        """
        if abs(self.difference) <= self.margin:
            return f"no difference seen at ± {self.margin:.2g}"
        return "better" if (self.difference < 0) == lower_is_better else "worse"


def paired_difference(first: ArrayLike, second: ArrayLike) -> Paired:
    """Compare two programs by their scores on the same examples, for the same seeds.

    Parameters
    ----------
    first, second : array_like, shape (seeds, examples)
        Score of each program for each seed and example, at least two of both. Row and
        column stand for the same seed and the same example in both arrays.

    Returns
    -------
    Paired
        The difference, its standard error, and the 95 % margin.

    Raises
    ------
    ValueError
        The shapes differ, there are fewer than two seeds or examples, or a score is not
        finite.

    Notes
    -----
    The differences form a table, ``d[s, i] = mean + of_seed[s] + of_example[i] +
    rest[s, i]``. Those of one seed share that seed's luck, those of one example share
    that example's. The variance of the means of the seeds, divided by their number,
    estimates what seeds and the rest contribute to the variance of the mean; that of
    the means of the examples, divided by theirs, what examples and the rest contribute.
    Their sum counts the rest twice, so it is subtracted once; but the result is never
    less than either part. It is the error over other seeds *and* other examples of the
    same kind.

    The margin takes Satterthwaite's degrees of freedom: a difference that depends on
    the seeds needs more seeds, however many examples there are.

    References
    ----------
    Dietterich (1998), "Approximate statistical tests for comparing supervised
    classification learning algorithms", for pairs; Miller (2024), "Adding error bars to
    evals", for pairs of scores; Searle, Casella, McCulloch (1992), "Variance
    components", for tables with two random factors; Cameron, Gelbach, Miller (2011),
    "Robust inference with multiway clustering", for the sum.

    Examples
    --------
    >>> first, second = [[1, 1, 0, 1], [1, 1, 1, 1]], [[1, 0, 0, 1], [1, 0, 0, 0]]
    >>> found = paired_difference(first, second)
    >>> found.difference, round(found.error, 3), found.verb()
    (0.5, 0.289, 'no difference seen at ± 1.7')
    """
    a, b = (np.asarray(scores, dtype=float) for scores in (first, second))
    if a.shape != b.shape or a.ndim != 2 or min(a.shape) < 2:
        raise ValueError(
            "first and second must have the same shape (seeds, examples), at least"
            f" (2, 2), got {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("all scores must be finite: a run that diverged has no mean")
    d = a - b
    seeds, examples = d.shape
    by_seed, by_example, mean = d.mean(axis=1), d.mean(axis=0), d.mean()
    rest = d - by_seed[:, None] - by_example + mean
    # (variance of the mean, degrees of freedom) of the three parts.
    of_seeds = by_seed.var(ddof=1) / seeds
    of_examples = by_example.var(ddof=1) / examples
    freedom = (seeds - 1, examples - 1, (seeds - 1) * (examples - 1))
    of_both = (rest**2).sum() / freedom[2] / d.size
    parts = np.array([of_seeds, of_examples, of_both])
    variance = max(of_seeds + of_examples - of_both, of_seeds, of_examples)
    error = math.sqrt(variance)
    margin = 0.0
    if variance > 0:
        nu = variance**2 / (parts**2 / np.array(freedom)).sum()
        margin = float(stats.t.ppf(0.975, nu)) * error
    return Paired(
        difference=float(mean),
        error=error,
        error_of_seeds=math.sqrt(of_seeds),
        error_of_examples=math.sqrt(of_examples),
        margin=margin,
    )


def right_answers(predictions: Sequence[str], labels: ArrayLike) -> Float64Array:
    """Return 1 for each right and 0 for each wrong answer of stored predictions.

    Parameters
    ----------
    predictions : sequence of str
        One string for each seed, with one digit for each example, as the experiments
        store them.
    labels : array_like of int, shape (examples,)
        The right answers.

    Returns
    -------
    ndarray, shape (seeds, examples)
        Scores for :func:`paired_difference`.

    Raises
    ------
    ValueError
        A string has another length than ``labels``.

    Examples
    --------
    >>> right_answers(["012", "022"], [0, 1, 2])
    array([[1., 1., 1.],
           [1., 0., 1.]])
    """
    wanted = np.asarray(labels)
    if any(len(row) != len(wanted) for row in predictions):
        raise ValueError(
            f"each string must have one digit for each of {len(wanted)} labels, got"
            f" {sorted({len(row) for row in predictions})}"
        )
    answers = np.array([[int(digit) for digit in row] for row in predictions])
    scores: Float64Array = np.equal(answers, wanted).astype(np.float64)
    return scores


def is_difference(first: ArrayLike, second: ArrayLike) -> bool:
    """Say whether a ranking may call two programs different.

    It may if both were run from the same seeds, ten or more of them, and the mean of
    the differences is at least 3.09 standard errors from zero: ``mean * sqrt(n) >= 3.09
    * s``. A ranking makes many comparisons, so it must ask for more than one alone. Two
    equal programs pass with ten seeds once in about 77 times, with very many once in
    500, if the differences are normal.

    Parameters
    ----------
    first, second : array_like, shape (seeds,)
        One score for each seed, in the same order.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    a, b = (np.asarray(scores, dtype=float) for scores in (first, second))
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            f"first and second must have the same shape (seeds,), got {a.shape} and"
            f" {b.shape}"
        )
    if len(a) < RANKING_SEEDS:
        return False
    d = a - b
    distance = abs(d.mean()) * math.sqrt(len(d))
    return bool(distance > 0 and distance >= RANKING_ERRORS * d.std(ddof=1))


def ranking(
    scores: Mapping[str, ArrayLike], *, lower_is_better: bool = False
) -> list[list[str]]:
    """Rank programs by their mean scores; those that may be equal share a place.

    A place begins with the best program that has none yet. All others that
    :func:`is_difference` does not tell from it share the place.

    Parameters
    ----------
    scores : mapping of str to array_like, shape (seeds,)
        One score for each seed, in the same order for all.
    lower_is_better : bool
        True for losses, False for right answers.

    Returns
    -------
    list of list of str
        The names on each place, the best first.

    Examples
    --------
    >>> up = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99]
    >>> ranking({"a": up, "b": [x - 0.1 for x in up], "c": up[::-1]})
    [['a', 'c'], ['b']]
    """
    means = {name: np.asarray(found, float).mean() for name, found in scores.items()}
    left = sorted(means, key=lambda name: means[name], reverse=not lower_is_better)
    places = []
    while left:
        leader = scores[left[0]]
        place = [name for name in left if not is_difference(leader, scores[name])]
        places.append(place)
        left = [name for name in left if name not in place]
    return places
