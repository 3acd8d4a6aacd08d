from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from adam_tutorial.study.paired import (
    Paired,
    is_difference,
    paired_difference,
    ranking,
    right_answers,
)


def scores(
    rng: np.random.Generator,
    seeds: int,
    examples: int,
    of_seed: float,
    of_example: float,
    rest: float,
) -> np.ndarray:
    return (
        of_seed * rng.standard_normal((seeds, 1))
        + of_example * rng.standard_normal((1, examples))
        + rest * rng.standard_normal((seeds, examples))
    )


@pytest.mark.equation("paired-error")
@pytest.mark.parametrize(
    ("of_seed", "of_example", "rest", "seeds", "examples"),
    [(0.0, 1.0, 1.0, 3, 100), (0.2, 1.0, 1.0, 4, 50), (0.3, 0.0, 1.0, 10, 30)],
)
def test_error_is_how_far_the_difference_varies_over_seeds_and_examples(
    of_seed: float, of_example: float, rest: float, seeds: int, examples: int
) -> None:
    rng = np.random.default_rng(0)
    found = [
        paired_difference(
            scores(rng, seeds, examples, of_seed, of_example, rest),
            np.zeros((seeds, examples)),
        )
        for _ in range(2000)
    ]
    truth = of_seed**2 / seeds + of_example**2 / examples
    truth += rest**2 / (seeds * examples)
    assert np.var([one.difference for one in found]) == pytest.approx(truth, rel=0.1)
    # Never below either part, so a little above on average.
    assert np.mean([one.error**2 for one in found]) == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize(
    ("of_seed", "of_example", "rest", "seeds", "examples"),
    [(1.0, 0.0, 0.0, 3, 100), (0.0, 1.0, 0.0, 3, 100), (0.1, 1.0, 1.0, 3, 200)],
)
def test_margin_holds_the_truth_in_19_of_20_cases(
    of_seed: float, of_example: float, rest: float, seeds: int, examples: int
) -> None:
    rng = np.random.default_rng(1)
    missed = [
        paired_difference(
            scores(rng, seeds, examples, of_seed, of_example, rest),
            np.zeros((seeds, examples)),
        ).verb()
        in ("better", "worse")
        for _ in range(2000)
    ]
    assert 0.02 < np.mean(missed) < 0.085


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 40))
def test_error_written_out(seed: int, seeds: int, examples: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 2, (2, seeds, examples))
    found = paired_difference(first, second)
    d = first - second
    of_seeds = np.var(d.mean(axis=1), ddof=1) / seeds
    of_examples = np.var(d.mean(axis=0), ddof=1) / examples
    rest = [
        (d[s, i] - d[s].mean() - d[:, i].mean() + d.mean()) ** 2
        for s in range(seeds)
        for i in range(examples)
    ]
    of_both = sum(rest) / ((seeds - 1) * (examples - 1)) / (seeds * examples)
    variance = max(of_seeds + of_examples - of_both, of_seeds, of_examples)
    assert found.difference == pytest.approx(d.mean(), abs=1e-12)
    assert found.error == pytest.approx(math.sqrt(variance), abs=1e-12)
    assert found.error_of_seeds == pytest.approx(math.sqrt(of_seeds), abs=1e-12)
    assert found.error_of_examples == pytest.approx(math.sqrt(of_examples), abs=1e-12)


def test_seeds_that_repeat_each_other_count_once() -> None:
    once = np.random.default_rng(2).standard_normal(50)
    found = paired_difference(np.tile(once, (4, 1)), np.zeros((4, 50)))
    assert found.error == pytest.approx(once.std(ddof=1) / math.sqrt(50))
    assert found.error_of_seeds == pytest.approx(0, abs=1e-12)
    margin = stats.t.ppf(0.975, 49) * found.error
    assert found.margin == pytest.approx(margin, rel=1e-6)


def test_three_seeds_that_disagree_need_more_than_four_standard_errors() -> None:
    found = paired_difference(
        np.array([[1.0], [2], [3]]).repeat(9, axis=1), [[0] * 9] * 3
    )
    assert found.difference == 2
    assert found.error == pytest.approx(1 / math.sqrt(3))
    assert found.margin == pytest.approx(4.303 * found.error, rel=1e-3)
    assert found.verb() == "no difference seen at ± 2.5"


def test_luck_that_both_share_does_not_count() -> None:
    rng = np.random.default_rng(3)
    shared = scores(rng, 3, 200, of_seed=5, of_example=5, rest=5)
    found = paired_difference(shared + 0.01, shared)
    assert found.difference == pytest.approx(0.01)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.verb() == "better"


def test_exchanging_the_programs_exchanges_the_verbs() -> None:
    rng = np.random.default_rng(4)
    good, bad = rng.random((2, 3, 400)) < [[[0.9]], [[0.7]]]
    there, back = paired_difference(good, bad), paired_difference(bad, good)
    assert there.difference == -back.difference
    assert there.margin == back.margin
    assert (there.verb(), back.verb()) == ("better", "worse")
    assert there.verb(lower_is_better=True) == "worse"
    assert back.verb(lower_is_better=True) == "better"


def test_equal_programs_show_no_difference() -> None:
    same = [[0, 1, 1], [1, 1, 0]]
    assert paired_difference(same, same) == Paired(0, 0, 0, 0, 0)
    assert paired_difference(same, same).verb() == "no difference seen at ± 0"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([[1, 0]], [[0, 0]]),
        ([[1], [0]], [[0], [0]]),
        ([[1, 0], [0, 0]], [[1, 0, 0], [0, 0, 0]]),
        ([1, 0], [0, 1]),
    ],
)
def test_scores_that_cannot_be_paired_are_refused(
    first: ArrayLike, second: ArrayLike
) -> None:
    with pytest.raises(ValueError, match="the same shape"):
        paired_difference(first, second)


def test_a_run_that_diverged_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        paired_difference([[math.inf, 0.0], [0.0, 0.0]], [[0, 0], [0, 0]])


def test_stored_predictions_become_right_answers() -> None:
    found = right_answers(["0123", "0000"], [0, 1, 2, 0])
    np.testing.assert_array_equal(found, [[1, 1, 1, 0], [1, 0, 0, 1]])
    with pytest.raises(ValueError, match=r"each of 2 labels, got \[2, 3\]"):
        right_answers(["01", "011"], [0, 1])


def test_a_ranking_needs_ten_seeds_and_3_09_errors() -> None:
    rng = np.random.default_rng(5)
    d = rng.standard_normal(10)
    d -= d.mean()
    needed = 3.09 * d.std(ddof=1) / math.sqrt(10)
    zero = np.zeros(10)
    assert is_difference(d + 1.0001 * needed, zero)
    assert is_difference(zero, d + 1.0001 * needed)
    assert not is_difference(d + 0.9999 * needed, zero)
    assert not is_difference(d[:9] + 100, zero[:9])
    assert not is_difference(zero, zero)
    assert is_difference(zero + 1, zero)
    with pytest.raises(ValueError, match="the same shape"):
        is_difference(d, zero[:9])


def test_equal_programs_of_ten_seeds_pass_once_in_77_times() -> None:
    assert 2 * stats.t.sf(3.09, 9) == pytest.approx(1 / 77, rel=0.01)
    assert 2 * stats.norm.sf(3.09) == pytest.approx(1 / 500, rel=0.01)
    rng = np.random.default_rng(6)
    passed = [is_difference(*rng.standard_normal((2, 10))) for _ in range(4000)]
    assert np.mean(passed) == pytest.approx(1 / 77, abs=0.005)


def test_programs_that_cannot_be_told_apart_share_a_place() -> None:
    rng = np.random.default_rng(7)
    luck = 0.02 * rng.standard_normal((4, 10))
    losses = {
        "far": luck[0] + 2,
        "best": luck[1] + 1,
        "nearly": luck[2] + 1.01,
        "middle": luck[3] + 1.5,
    }
    assert ranking(losses, lower_is_better=True) == [
        ["best", "nearly"],
        ["middle"],
        ["far"],
    ]
    few = {name: found[:9] for name, found in losses.items()}
    assert ranking(few) == [["far", "middle", "nearly", "best"]]
    assert ranking(losses)[0] == ["far"]
