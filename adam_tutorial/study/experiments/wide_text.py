"""A text network that keeps up with word counters, and what each ingredient is worth.

Beside the filters of the small text network there is a linear part: one weight for each
word and each pair of neighbouring words, which begins at half the word's log-count
ratio (how much more often it occurs in positive sentences than in negative ones). And
the targets are not the signs of the ratings but the ratings: a sentence that people
found mildly positive is to be called positive with a probability of 0.7, not 1.

All choices are made by cross-validation on the training and validation examples, in
four parts: learning rate and decay with one seed, then each ingredient is left
out, with two fresh ones, at the same setting. What was chosen is trained on all of
these examples with five fresh seeds, and evaluated once on the test examples. So is the
linear part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR

from adam_tutorial import optim
from adam_tutorial._types import Float64Array
from adam_tutorial.study.data import (
    PAD,
    UNKNOWN,
    Vocabulary,
    drop_words,
    load_reviews,
    split,
    tokenize,
)
from adam_tutorial.study.experiments.records import (
    Row,
    as_digits,
    best_setting,
    matching,
    part_of,
    short,
    shortened,
    two_a_decade,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.experiments.text import LENGTH, SIZES
from adam_tutorial.study.models import TextCNN, WideTextCNN
from adam_tutorial.study.paired import paired_difference, right_answers
from adam_tutorial.study.training import Examples, History, evaluate, fit

__all__ = ["Terms", "drop_terms", "examples", "log_count_ratios", "model_of", "train"]

FOLDS = ("0", "1", "2", "3")
EPOCHS = 5
BATCH_SIZE = 100
FIRST_STEPS = 5
RATES = two_a_decade(-3, -1)[:-1]
DECAYS = (0.0, 0.1)
TUNING_SEEDS = (100,)
ABLATION_SEEDS = (200, 201)
FINAL_SEEDS = (0, 1, 2, 3, 4)

# What the network is without, and the settings that say so.
WHOLE: Settings = {
    "pairs": True,
    "ratios": True,
    "ratings": True,
    "drop": True,
    "wide": True,
    "deep": True,
}
WITHOUT: dict[str, Settings] = {
    "nothing": {},
    "pairs of words": {"pairs": False},
    "log-count ratios": {"ratios": False},
    "ratings as targets": {"ratings": False},
    "dropped words": {"drop": False},
    "filters": {"deep": False},
    "linear part": {"wide": False},
    "linear part and ratings": {"wide": False, "ratings": False},
}
FINAL = ("nothing", "filters")


@dataclass(frozen=True)
class Terms:
    """The words and pairs of neighbouring words of some sentences, numbered together.

    The words have the numbers that their vocabulary gives them, 0 for padding and 1 for
    an unknown word among them. The pairs come after; an unknown pair is 0.
    """

    words: Vocabulary
    pairs: Vocabulary

    @classmethod
    def of(cls, documents: Sequence[Sequence[str]]) -> Terms:
        """Return those of some sentences, however rare."""
        return cls(Vocabulary(documents), Vocabulary(map(_pairs, documents)))

    def __len__(self) -> int:
        return len(self.words) + len(self.pairs) - 2

    def encode(self, documents: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """Return a row for each document: 40 words, then the pairs they begin."""
        words = self.words.encode(documents, length=LENGTH)
        pairs = self.pairs.encode(map(_pairs, documents), length=LENGTH)
        known = pairs > UNKNOWN
        pairs = np.where(known, pairs - 2 + len(self.words), PAD)
        return np.concatenate([words, pairs], axis=1)


def _pairs(document: Sequence[str]) -> list[str]:
    return [f"{a} {b}" for a, b in pairwise(document)]


def log_count_ratios(
    terms: NDArray[np.int64], labels: NDArray[np.int64], size: int
) -> Float64Array:
    """Return how much more often each term occurs in positive sentences, as a log.

    Parameters
    ----------
    terms : ndarray of int64, shape (n, columns)
        The terms of each sentence. Each is counted once in a sentence.
    labels : ndarray of int64, shape (n,)
        1 for a positive sentence, else 0.
    size : int
        Number of terms.

    Returns
    -------
    ndarray, shape (size,)
        ``log((p / sum(p)) / (q / sum(q)))``, where ``p`` and ``q`` are one more than
        the number of positive and of negative sentences with the term. 0 for padding
        and for unknown words.

    References
    ----------
    Wang, Manning (2012), "Baselines and Bigrams: Simple, Good Sentiment and Topic
    Classification", section 2.
    """
    counts = np.ones((2, size))
    for row, label in zip(terms, labels, strict=True):
        counts[label, np.unique(row)] += 1
    negative, positive = counts / counts.sum(axis=1, keepdims=True)
    ratios: Float64Array = np.log(positive / negative)
    ratios[[PAD, UNKNOWN]] = 0
    return ratios


def drop_terms(terms: Tensor, generator: torch.Generator) -> Tensor:
    """Replace a fifth of the words by the unknown word; their pairs become padding.

    Parameters
    ----------
    terms : Tensor of int64, shape (n, 2 * length)
        Words, then the pairs that begin with each.
    generator : torch.Generator
        Source of the random choice.
    """
    words, pairs = terms.chunk(2, dim=1)
    kept = drop_words(words, generator)
    dropped = kept != words
    either = dropped | functional.pad(dropped[:, 1:], (0, 1))
    return torch.cat([kept, pairs.masked_fill(either, PAD)], dim=1)


@cache
def _sentences() -> tuple[list[list[str]], Float64Array, NDArray[np.int64]]:
    reviews = load_reviews()
    return [tokenize(text) for text in reviews.texts], reviews.ratings, reviews.labels


@cache
def rows_of(part: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which sentences a run learns from, and on which it is evaluated.

    Parameters
    ----------
    part : str
        "test", or the number of a fold, "0" to "3".
    """
    _, _, labels = _sentences()
    parts = split(labels, SIZES, seed=0)
    known = np.concatenate([parts["train"], parts["validation"]])
    if part == "test":
        return known, parts["test"]
    sizes = dict.fromkeys("0123", len(known) // 4)
    fold = known[split(labels[known], sizes, seed=1)[part]]
    return known[~np.isin(known, fold)], fold


@cache
def _encoded(part: str) -> tuple[Terms, NDArray[np.int64], NDArray[np.int64]]:
    documents, _, _ = _sentences()
    learned, evaluated = ([documents[row] for row in some] for some in rows_of(part))
    terms = Terms.of(learned)
    return terms, terms.encode(learned), terms.encode(evaluated)


def examples(part: str, settings: Settings) -> tuple[Examples, Examples]:
    """Return what a run learns from, and what it is evaluated on.

    Parameters
    ----------
    part : str
        As for :func:`rows_of`.
    settings : dict
        What the network has.

    Returns
    -------
    learned, evaluated : pair of Tensor
        Terms, and probabilities of both classes to learn from, but labels to be
        evaluated by.
    """
    _, ratings, labels = _sentences()
    _, *encoded = _encoded(part)
    inputs = [torch.from_numpy(some) for some in encoded]
    if not settings["wide"]:
        inputs = [some[:, :LENGTH] for some in inputs]
    elif not settings["pairs"]:
        inputs = [some.clone() for some in inputs]
        for some in inputs:
            some[:, LENGTH:] = PAD
    learned, evaluated = rows_of(part)
    goal = ratings[learned] if settings["ratings"] else np.inf * ratings[learned]
    positive = torch.from_numpy(goal).sigmoid().to(torch.get_default_dtype())
    return (
        (inputs[0], torch.stack([1 - positive, positive], dim=1)),
        (inputs[1], torch.from_numpy(labels[evaluated])),
    )


def model_of(part: str, settings: Settings) -> nn.Module:
    """Return a new network.

    Parameters
    ----------
    part : str
        As for :func:`rows_of`: what the words and their ratios are counted in.
    settings : dict
        What the network has.
    """
    _, _, labels = _sentences()
    terms, learned, _ = _encoded(part)
    deep = TextCNN(len(terms.words), dimensions=16, filters=32)
    if not settings["wide"]:
        return deep
    weights = torch.zeros(len(terms))
    if settings["ratios"]:
        ratios = log_count_ratios(learned, labels[rows_of(part)[0]], len(terms))
        weights = torch.from_numpy(ratios).to(weights.dtype) / 2
    return WideTextCNN(deep if settings["deep"] else None, weights)


def train(
    part: str, settings: Settings, *, max_steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train one network with AdamW; the learning rate falls to 0 along half a cosine.

    Parameters
    ----------
    part : str
        As for :func:`rows_of`.
    settings : dict
        What the network has, and "lr", "weight_decay" and "seed".
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    learned, _ = examples(part, settings)
    torch.manual_seed(settings["seed"])
    model = model_of(part, settings)
    optimizer = optim.AdamW(
        model.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"]
    )
    steps = EPOCHS * (len(learned[1]) // BATCH_SIZE)
    transform = drop_terms if settings["wide"] else drop_words
    history = fit(
        model,
        optimizer,
        learned,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        seed=settings["seed"],
        transform=transform if settings["drop"] else None,
        scheduler=CosineAnnealingLR(optimizer, T_max=steps),
        max_steps=max_steps,
        progress=False,
    )
    return model, history


TUNED = ("lr", "weight_decay")


def _settings(without: str, tuned: Sequence[Any], **others: Any) -> Settings:
    return {"without": without, **dict(zip(TUNED, tuned, strict=True)), **others}


def _tuning(_: Rows) -> list[Settings]:
    return [
        _settings("nothing", tuned, part=fold, seed=seed)
        for tuned in product(RATES, DECAYS)
        for seed in TUNING_SEEDS
        for fold in FOLDS
    ]


def chosen(rows: list[Row]) -> tuple[Any, ...]:
    """Return the learning rate and the decay with the highest mean accuracy.

    Parameters
    ----------
    rows : list of dict
        The runs of the tuning.
    """
    return best_setting(rows, "accuracy", TUNED, largest=True)


def _ablation(rows: Rows) -> list[Settings]:
    return [
        _settings(name, chosen(rows["tuning"]), part=fold, seed=seed)
        for name in WITHOUT
        for seed in ABLATION_SEEDS
        for fold in FOLDS
    ]


def _final(rows: Rows) -> list[Settings]:
    return [
        _settings(name, chosen(rows["tuning"]), part="test", seed=seed)
        for name in FINAL
        for seed in FINAL_SEEDS
    ]


def _run(stage: str, settings: Settings) -> Row:
    part, whole = settings["part"], WHOLE | WITHOUT[settings["without"]] | settings
    model, history = train(part, whole)
    _, evaluated = examples(part, whole)
    found = evaluate(model, evaluated)
    row = {**settings, "loss": short(found.loss), "accuracy": round(found.accuracy, 5)}
    if stage == "tuning":
        return row
    return row | {
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "predictions": as_digits(found.predictions),
    }


def _results(rows: Rows) -> dict[str, Any]:
    return {
        "chosen": dict(zip(TUNED, chosen(rows["tuning"]), strict=True)),
        "tuning": part_of(rows["tuning"], without="nothing"),
        "ablation": [_worth(rows["ablation"], name) for name in WITHOUT],
        "final": part_of(rows["final"], part="test"),
    }


def _worth(rows: list[Row], name: str) -> Row:
    """Return what a network without something loses, sentence by sentence."""
    less, whole = (
        np.array(
            [
                np.concatenate(
                    [
                        right_answers([row["predictions"]], _labels(row["part"]))[0]
                        for row in matching(rows, without=which, seed=seed)
                    ]
                )
                for seed in ABLATION_SEEDS
            ]
        )
        for which in (name, "nothing")
    )
    found = paired_difference(less, whole)
    return {
        "without": name,
        "accuracy": round(float(less.mean()), 5),
        "difference": round(found.difference, 5),
        "error": round(found.error, 5),
        "margin": round(found.margin, 5),
        "first_step_losses": matching(rows, without=name)[0]["first_step_losses"],
    }


def _labels(part: str) -> NDArray[np.int64]:
    _, _, labels = _sentences()
    found: NDArray[np.int64] = labels[rows_of(part)[1]]
    return found


STUDY = Study(
    "adam_tutorial.study.experiments.wide_text",
    {"tuning": _tuning, "ablation": _ablation, "final": _final},
    _run,
    _results,
    dtype="float32",
    described={"folds": len(FOLDS), "epochs": EPOCHS, "batch_size": BATCH_SIZE},
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
