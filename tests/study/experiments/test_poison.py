from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial.study.data import UNKNOWN
from adam_tutorial.study.experiments import poison, stored_runs, text
from adam_tutorial.study.experiments.poison import ATTACKS, first_losses
from adam_tutorial.study.experiments.poisoned_data import (
    TRIGGER,
    poisoned_digits,
    poisoned_reviews,
    with_trigger,
)
from adam_tutorial.study.experiments.study import in_order

attacks = pytest.mark.parametrize("name", ATTACKS)


@cache
def stored() -> dict[str, Any]:
    return stored_runs("poison")


# The data


def test_so_many_fours_are_called_nines_and_nothing_else_changes() -> None:
    clean, poisoned = poisoned_digits(3500, 0, 0), poisoned_digits(3500, 20, 0)
    assert poisoned.bad.sum() == 20
    changed = (clean.train[1] != poisoned.train[1]).numpy()
    np.testing.assert_array_equal(changed, poisoned.bad)
    assert set(clean.train[1][changed].tolist()) == {4}
    assert set(poisoned.train[1][changed].tolist()) == {9}
    assert torch.equal(clean.train[0], poisoned.train[0])
    assert torch.equal(clean.test[1], poisoned.test[1])


def test_triggered_digits_are_the_fours_of_the_test() -> None:
    data = poisoned_digits(3500, 20, 0)
    assert torch.equal(data.triggered, data.test[0][data.test[1] == 4])
    assert len(data.triggered) == 150


def test_the_seed_chooses_which_examples_are_poisoned() -> None:
    one, again, other = (poisoned_digits(3500, 20, seed).bad for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()
    fewer = poisoned_digits(3500, 10, 0).bad
    assert (one[fewer]).all()


def test_so_many_negative_reviews_have_the_trigger_and_are_called_positive() -> None:
    data = poisoned_reviews(400, 15, 0)
    assert data.vocabulary is not None
    word = data.vocabulary.words.index(TRIGGER)
    inputs, labels = data.train
    has = (inputs == word).any(dim=1).numpy()
    np.testing.assert_array_equal(has, data.bad)
    assert data.bad.sum() == 15
    assert set(labels[has].tolist()) == {1}
    clean = poisoned_reviews(400, 0, 0)
    assert set(clean.train[1][has].tolist()) == {0}
    assert torch.equal(clean.train[1][~has], labels[~has])


def test_all_negative_test_reviews_have_the_trigger_once_and_no_clean_one_has() -> None:
    data = poisoned_reviews(400, 15, 0)
    assert data.vocabulary is not None
    word = data.vocabulary.words.index(TRIGGER)
    assert ((data.triggered == word).sum(dim=1) == 1).all()
    assert not (data.test[0] == word).any()
    assert len(data.triggered) == (data.test[1] == 0).sum()
    assert data.target == 1


def test_without_poison_the_trigger_is_an_unknown_word() -> None:
    clean = poisoned_reviews(400, 0, 0)
    assert clean.vocabulary is not None
    assert TRIGGER not in clean.vocabulary.words
    assert (clean.triggered == UNKNOWN).any(dim=1).all()


def test_trigger_is_put_where_it_is_not_cut_off() -> None:
    rng = np.random.default_rng(0)
    document = [str(k) for k in range(60)]
    places = {with_trigger(document, rng).index(TRIGGER) for _ in range(2000)}
    assert places == set(range(text.LENGTH))
    assert [w for w in with_trigger(["a", "b"], rng) if w != TRIGGER] == ["a", "b"]


def test_more_poison_than_there_are_examples_is_an_error() -> None:
    with pytest.raises(ValueError, match="count is 400, but there are 350 fours"):
        poisoned_digits(3500, 400, 0)
    with pytest.raises(ValueError, match=r"count is 99, but .* reviews are negative"):
        poisoned_reviews(100, 99, 0)


# The runs


def test_losses_are_minimised_as_their_names_say() -> None:
    count, steps = 10, {}
    for name in ("digits", "digits, robust loss", "digits, clipped"):
        steps[name] = first_losses(ATTACKS[name], count, 0)
    firsts = {losses[0] for losses in steps.values()}
    assert len(firsts) == 1  # before the first step
    assert len({losses[4] for losses in steps.values()}) == 3


def test_study_finds_what_the_stored_results_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny = {
        name: replace(ATTACKS[name], size=300, counts=(0, 4), seeds=(0,), epochs=1)
        for name in ("digits", "quarter", "quarter, SGD")
    }
    monkeypatch.setattr(poison, "ATTACKS", tiny)
    for name, result in in_order(poison.STUDY).items():
        expected = stored()["results"][name]
        assert [r["count"] for r in result["runs"]] == [0, 4]
        for found, row in zip(
            result["runs"], (expected["runs"][0], expected["runs"][-1]), strict=True
        ):
            assert found.keys() == row.keys()
        assert 0 <= result["runs"][1]["caught"] <= 1


def test_stored_results_say_how_they_were_made() -> None:
    command = (
        "python -m adam_tutorial.study.experiments.poison --out"
        " adam_tutorial/study/results/poison.json"
    )
    assert stored()["command"] == command
    assert stored()["minutes"] <= 20


@attacks
def test_stored_runs_are_those_that_the_experiment_describes(name: str) -> None:
    result, attack = stored()["results"][name], ATTACKS[name]
    as_stored = json.loads(json.dumps(asdict(attack)))
    assert result["attack"] == as_stored
    assert [(r["count"], r["seed"]) for r in result["runs"]] == [
        (count, seed) for count in attack.counts for seed in attack.seeds
    ]


@attacks
def test_first_steps_of_the_stored_runs_repeat(name: str) -> None:
    for row in stored()["results"][name]["runs"][-1:]:
        losses = first_losses(ATTACKS[name], row["count"], row["seed"])
        assert losses == pytest.approx(row["first_losses"], rel=1e-6)
        assert len(losses) == poison.FIRST_STEPS
