"""The text network with a linear part: its terms, its ingredients, its stored runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial.study.data import PAD, UNKNOWN, Vocabulary, load_reviews
from adam_tutorial.study.experiments import stored_runs, wide_text
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.experiments.wide_text import (
    ABLATION_SEEDS,
    DECAYS,
    FINAL,
    FINAL_SEEDS,
    FOLDS,
    RATES,
    TUNING_SEEDS,
    WHOLE,
    WITHOUT,
    Terms,
    drop_terms,
    log_count_ratios,
    rows_of,
    train,
)
from adam_tutorial.study.models import TextCNN, WideTextCNN
from tests.study.experiments.stored import need_its_masks

pytestmark = pytest.mark.usefixtures("float32")


def some_terms() -> Terms:
    words = Vocabulary([["not", "good"], ["good"]])
    return Terms(words, Vocabulary([["not good"]]))


def test_pairs_are_numbered_after_the_words_and_stand_where_they_begin() -> None:
    terms = some_terms()
    assert len(terms) == 5
    assert terms.words.words[2:] == ("good", "not")
    found = terms.encode([["not", "good", "bad"], ["good", "not"], []])
    assert found.shape == (3, 80)
    assert found[0, :4].tolist() == [3, 2, UNKNOWN, PAD]
    assert found[0, 40:43].tolist() == [4, PAD, PAD]
    assert found[1, :3].tolist() == [2, 3, PAD]
    assert not found[1, 40:].any()
    assert not found[2].any()


def test_log_count_ratio_compares_shares_of_sentences_with_one_added() -> None:
    terms = np.array([[2, 2, 3, 0], [2, 1, 0, 0], [3, 0, 0, 0]])
    found = log_count_ratios(terms, np.array([1, 1, 0]), 5)
    # Counts with one added; padding and the unknown word are counted, too.
    positive = np.array([3, 2, 3, 2, 1]) / 11
    negative = np.array([2, 1, 1, 2, 1]) / 7
    assert found[2:] == pytest.approx(np.log(positive / negative)[2:])
    assert found[[PAD, UNKNOWN]].tolist() == [0, 0]


def test_dropped_word_takes_both_its_pairs_with_it() -> None:
    words = torch.arange(2, 42).repeat(500, 1)
    pairs = words + 40
    pairs[:, -1] = PAD
    found, of_pairs = drop_terms(
        torch.cat([words, pairs], dim=1), torch.Generator().manual_seed(0)
    ).chunk(2, dim=1)
    dropped = found == UNKNOWN
    assert dropped.double().mean() == pytest.approx(0.2, abs=0.01)
    assert torch.equal(found[~dropped], words[~dropped])
    gone = dropped[:, :-1] | dropped[:, 1:]
    assert torch.equal(of_pairs[:, :-1] == PAD, gone)
    assert torch.equal(of_pairs[:, :-1][~gone], pairs[:, :-1][~gone])


def test_linear_part_adds_weights_of_words_and_pairs_over_the_root_of_the_length() -> (
    None
):
    model = WideTextCNN(None, torch.tensor([0.0, 0.5, 2.0, -1.0, 4.0]))
    with torch.no_grad():
        model.offset.fill_(0.25)
        logits = model(torch.tensor([[2, 3, 1, 0, 4, 0, 0, 0], [0] * 8]))
    evidence = (2 - 1 + 0.5 + 4) / 3**0.5 + 0.25
    assert logits[0].tolist() == pytest.approx([-evidence / 2, evidence / 2])
    assert logits[1].tolist() == pytest.approx([-0.125, 0.125])
    with pytest.raises(ValueError, match="weight of padding must be 0, got 1"):
        WideTextCNN(None, torch.ones(3))


def test_deep_part_sees_the_words_and_its_logits_are_added() -> None:
    torch.manual_seed(0)
    deep = TextCNN(6).eval()
    row = torch.tensor([[2, 3, 1, 0, 4, 0, 0, 0]])
    alone = WideTextCNN(None, torch.zeros(6))(row)
    both = WideTextCNN(deep, torch.zeros(6)).eval()(row)
    assert torch.equal(both, alone + deep(row[:, :4]))


def test_no_sentence_of_the_test_part_is_in_a_fold_and_folds_cover_the_others() -> None:
    known, test = rows_of("test")
    assert len(set(known) | set(test)) == 8056 + 2014
    parts = [rows_of(fold) for fold in FOLDS]
    assert sorted(row for _, fold in parts for row in fold) == sorted(known)
    labels = load_reviews().labels
    for learned, fold in parts:
        assert sorted([*learned, *fold]) == sorted(known)
        assert labels[fold].mean() == pytest.approx(0.496, abs=0.001)


def test_targets_are_ratings_or_labels_and_words_of_the_rest_are_unknown() -> None:
    soft, evaluated = wide_text.examples("0", WHOLE)
    hard, _ = wide_text.examples("0", WHOLE | {"ratings": False})
    reviews = load_reviews()
    learned, fold = rows_of("0")
    ratings = torch.tensor(reviews.ratings[learned], dtype=torch.float32)
    assert torch.allclose(soft[1][:, 1], ratings.sigmoid())
    assert torch.equal(hard[1][:, 1], torch.from_numpy(reviews.labels[learned]).float())
    assert torch.allclose(soft[1].sum(dim=1), torch.ones(len(learned)))
    assert evaluated[1].tolist() == reviews.labels[fold].tolist()
    assert (evaluated[0] == UNKNOWN).any()
    assert not (soft[0] == UNKNOWN).any()
    without, _ = wide_text.examples("0", WHOLE | {"pairs": False})
    assert not without[0][:, 40:].any()
    assert torch.equal(without[0][:, :40], soft[0][:, :40])


def test_study_compares_each_network_with_the_whole_on_the_same_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def three_steps(part: str, settings: Any) -> Any:
        return train(part, settings, max_steps=3)

    monkeypatch.setattr(wide_text, "train", three_steps)
    monkeypatch.setattr(wide_text, "FOLDS", ("0",))
    monkeypatch.setattr(wide_text, "RATES", (0.01,))
    monkeypatch.setattr(wide_text, "DECAYS", (0.0,))
    monkeypatch.setattr(wide_text, "FINAL_SEEDS", (0,))
    some = {name: WITHOUT[name] for name in ("nothing", "filters")}
    monkeypatch.setattr(wide_text, "WITHOUT", some)
    found = in_order(wide_text.STUDY)
    json.dumps(found, allow_nan=False)
    whole, less = found["ablation"]
    assert whole["difference"] == whole["error"] == 0
    assert less["difference"] == pytest.approx(
        less["accuracy"] - whole["accuracy"], abs=2e-5
    )
    assert [row["without"] for row in found["final"]] == list(FINAL)
    assert all(len(row["predictions"]) == 2014 for row in found["final"])


# The stored results


def stored() -> Any:
    return stored_runs("wide_text")["results"]


def test_stored_choice_is_that_of_the_stored_tuning_and_not_at_an_end() -> None:
    found = stored()
    assert tuple(found["chosen"].values()) == wide_text.chosen(found["tuning"])
    assert len(found["tuning"]) == len(RATES) * len(DECAYS) * len(TUNING_SEEDS) * 4
    assert RATES[0] < found["chosen"]["lr"] < RATES[-1]
    used = {*TUNING_SEEDS}, {*ABLATION_SEEDS}, {*FINAL_SEEDS}
    assert len(set.union(*used)) == sum(map(len, used))


def test_first_steps_of_the_stored_runs_are_repeated() -> None:
    record = stored_runs("wide_text")
    need_its_masks(record)
    found = record["results"]
    runs = [
        (row, {"part": "0", "seed": ABLATION_SEEDS[0]}) for row in found["ablation"]
    ]
    runs += [(row, {"part": "test", "seed": row["seed"]}) for row in found["final"]]
    assert [row["without"] for row, _ in runs] == [
        *WITHOUT,
        *(name for name in FINAL for _ in FINAL_SEEDS),
    ]
    for row, where in runs:
        settings = WHOLE | WITHOUT[row["without"]] | found["chosen"] | where
        losses = row["first_step_losses"]
        _, history = train(settings["part"], settings, max_steps=len(losses))
        # float32: another processor rounds differently.
        assert history.step_losses == pytest.approx(losses, rel=1e-3)
