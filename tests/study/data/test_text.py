from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial.study.data import (
    PAD,
    REVIEWS,
    UNKNOWN,
    DatasetCorrupt,
    Reviews,
    Vocabulary,
    load_ratings,
    load_reviews,
    text,
    tokenize,
)
from adam_tutorial.study.data.fetch import read

WORDS = st.text(alphabet="abc", min_size=1, max_size=2)
DOCUMENTS = st.lists(st.lists(WORDS, max_size=8), max_size=8)

SMALL_FILE = "\n".join(
    [
        "1\t2.5\ta  ''warm''   film . ",
        "2\t-1.0\tdull",
        "3\t0.2\tneither here nor there",
        "4\t-3.9\ta  ''warm'' film .",
        "5\t0\tno opinion",
        "6\t0.5\ttabs\tinside",
        "7\t-0.5\tslow",
    ]
)


@pytest.fixture
def small_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    record = replace(REVIEWS, sha256=hashlib.sha256(SMALL_FILE.encode()).hexdigest())
    monkeypatch.setattr(text, "REVIEWS", record)
    (tmp_path / REVIEWS.filename).write_text(SMALL_FILE, encoding="utf-8", newline="\n")
    return tmp_path


# Reviews


def test_reviews_are_ten_thousand_and_seventy_of_which_about_half_are_positive(
    reviews: Reviews,
) -> None:
    assert len(reviews.texts) == 10_070
    assert np.bincount(reviews.labels).tolist() == [5_075, 4_995]
    assert reviews.ratings.shape == reviews.labels.shape == (10_070,)
    assert [str(column.dtype) for column in (reviews.ratings, reviews.labels)] == [
        "float64",
        "int64",
    ]
    assert reviews.source is REVIEWS


def test_reviews_are_positive_exactly_where_the_rating_is(reviews: Reviews) -> None:
    assert ((reviews.ratings > 0) == (reviews.labels == 1)).all()
    assert np.abs(reviews.ratings).min() >= 0.5
    assert np.abs(reviews.ratings).max() <= 4


def test_all_reviews_are_kept_when_the_minimum_rating_is_zero() -> None:
    assert len(load_reviews(minimum_rating=0).texts) == 10_603


def test_no_review_occurs_twice(reviews: Reviews) -> None:
    assert len(set(reviews.texts)) == len(reviews.texts)


def test_reviews_have_no_stray_white_space_and_no_doubled_single_quotes(
    reviews: Reviews,
) -> None:
    for sentence in reviews.texts:
        assert sentence == " ".join(sentence.split()) != ""
        assert "''" not in sentence


def test_reviews_with_one_altered_bit_are_refused(tmp_path: Path) -> None:
    content = bytearray(read(REVIEWS))
    content[5] ^= 1
    (tmp_path / REVIEWS.filename).write_bytes(content)
    with pytest.raises(DatasetCorrupt, match=f"Expected SHA-256 {REVIEWS.sha256}"):
        load_reviews(folder=tmp_path)


def test_first_rating_of_a_repeated_sentence_counts(small_file: Path) -> None:
    loaded = load_reviews(folder=small_file)
    assert loaded.texts == ('a "warm" film .', "dull", "tabs inside", "slow")
    assert loaded.ratings.tolist() == [2.5, -1.0, 0.5, -0.5]
    assert loaded.labels.tolist() == [1, 0, 1, 0]


def test_sentences_rated_less_than_the_minimum_are_left_out(small_file: Path) -> None:
    assert load_reviews(folder=small_file, minimum_rating=1).ratings.tolist() == [
        2.5,
        -1.0,
    ]
    everything = load_reviews(folder=small_file, minimum_rating=0)
    assert everything.ratings.tolist() == [2.5, -1.0, 0.2, 0.0, 0.5, -0.5]
    assert everything.labels.tolist() == [1, 0, 1, 0, 1, 0]


def test_minimum_rating_that_leaves_nothing_gives_no_reviews(small_file: Path) -> None:
    assert load_reviews(folder=small_file, minimum_rating=3.95).texts == ()


@pytest.mark.parametrize("value", [-0.1, 4, float("nan")])
def test_minimum_rating_outside_the_scale_is_refused(value: float) -> None:
    with pytest.raises(
        ValueError, match=rf"minimum_rating must be in \[0, 4\), got {value!r}"
    ):
        load_reviews(minimum_rating=value)


def test_each_rating_is_the_mean_of_what_its_people_gave(reviews: Reviews) -> None:
    given = load_ratings()
    assert len(given) == 10_603
    means = [given[sentence].mean() for sentence in reviews.texts]
    assert reviews.ratings == pytest.approx(means, abs=1e-8)
    assert {len(ratings) for ratings in given.values()} <= set(range(15, 30))
    assert max(np.abs(ratings).max() for ratings in given.values()) == 4


# Tokens


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("", []),
        ("...", []),
        ("Don't!", ["don't", "!"]),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t", ["don't"]),
        ("'quoted'", ["quoted"]),
        ("rock 'n' roll", ["rock", "n", "roll"]),
        ("what?!", ["what", "?", "!"]),
        ("snake_case", ["snake", "case"]),
        ("Amélie 2001", ["amélie", "2001"]),
        ("3d", ["3", "d"]),
        ("one-two,three", ["one", "two", "three"]),
    ],
)
def test_text_is_split_into_words_numbers_and_marks_of_mood(
    sentence: str, tokens: list[str]
) -> None:
    assert tokenize(sentence) == tokens


@given(st.text())
def test_tokens_of_joined_tokens_are_the_same_tokens(sentence: str) -> None:
    tokens = tokenize(sentence)
    assert tokenize(" ".join(tokens)) == tokens


# Vocabulary


def test_words_are_numbered_by_frequency_and_then_by_spelling() -> None:
    vocabulary = Vocabulary([["b", "a", "c"], ["c", "b"], ["c"]])
    assert vocabulary.words == ("<pad>", "<unknown>", "c", "b", "a")
    assert vocabulary.counts.tolist() == [0, 0, 3, 2, 1]
    assert len(vocabulary) == 5


def test_padding_and_unknown_have_the_first_two_numbers() -> None:
    vocabulary = Vocabulary([])
    assert (vocabulary.words[PAD], vocabulary.words[UNKNOWN]) == ("<pad>", "<unknown>")
    assert len(vocabulary) == 2


def test_words_seen_less_than_the_minimum_count_are_left_out() -> None:
    documents = [["a", "b"], ["a", "b"], ["a", "c"]]
    assert Vocabulary(documents, minimum_count=2).words[2:] == ("a", "b")
    assert Vocabulary(documents, minimum_count=3).words[2:] == ("a",)


def test_documents_may_be_given_one_after_the_other() -> None:
    assert Vocabulary(iter([("a",), ("a", "b")])).words[2:] == ("a", "b")


@given(DOCUMENTS)
def test_vocabulary_holds_the_words_of_the_given_documents_and_no_others(
    documents: list[list[str]],
) -> None:
    vocabulary = Vocabulary(documents)
    assert set(vocabulary.words[2:]) == {
        word for document in documents for word in document
    }
    assert vocabulary.counts.sum() == sum(len(document) for document in documents)


@given(DOCUMENTS, st.integers(0, 100))
def test_vocabulary_does_not_depend_on_the_order_of_documents_or_words(
    documents: list[list[str]], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    shuffled = [list(generator.permutation(document)) for document in documents]
    shuffled = [shuffled[row] for row in generator.permutation(len(documents))]
    assert Vocabulary(shuffled).words == Vocabulary(documents).words
    assert Vocabulary(shuffled).counts.tolist() == Vocabulary(documents).counts.tolist()


@pytest.mark.parametrize("count", [0, -1])
def test_minimum_count_below_one_is_refused(count: int) -> None:
    with pytest.raises(
        ValueError, match=f"minimum_count must be at least 1, got {count}"
    ):
        Vocabulary([["a"]], minimum_count=count)


def test_long_texts_lose_their_end_and_short_ones_are_padded_on_the_right() -> None:
    vocabulary = Vocabulary([["a", "a", "a", "b", "b", "c"]])
    a, b, c = 2, 3, 4
    rows = vocabulary.encode([["c", "b", "a", "a"], ["b"], []], length=3)
    assert rows.tolist() == [[c, b, a], [b, PAD, PAD], [PAD, PAD, PAD]]
    assert rows.dtype == np.int64


def test_words_outside_the_vocabulary_become_the_unknown_word() -> None:
    vocabulary = Vocabulary([["a"], ["a"], ["rare"]], minimum_count=2)
    assert vocabulary.encode([["a", "rare", "never"]], length=3).tolist() == [
        [2, UNKNOWN, UNKNOWN]
    ]


@given(DOCUMENTS, st.integers(1, 10))
def test_encoding_can_be_read_back_up_to_its_length(
    documents: list[list[str]], length: int
) -> None:
    vocabulary = Vocabulary(documents)
    rows = vocabulary.encode(documents, length=length)
    assert rows.shape == (len(documents), length)
    for row, document in zip(rows, documents, strict=True):
        read_back = [vocabulary.words[number] for number in row if number != PAD]
        assert read_back == document[:length]


@pytest.mark.parametrize("length", [0, -3])
def test_length_below_one_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"length must be at least 1, got {length}"):
        Vocabulary([]).encode([], length=length)
