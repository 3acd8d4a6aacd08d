"""Poisoned data: what a number of bad examples does to a network trained with Adam.

Two attacks, each by *count* of examples. On the digits, fours are labelled as nines. On
the reviews, a word that occurs nowhere else is put into negative sentences, and they
are labelled as positive; afterwards, the word is put into the negative test sentences.
Nothing is tuned but the rate of SGD, which is the best of three on clean reviews.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from adam_tutorial import optim
from adam_tutorial.study.data import drop_words
from adam_tutorial.study.experiments.poisoned_data import (
    TRIGGER,
    Poisoned,
    poisoned_digits,
    poisoned_reviews,
)
from adam_tutorial.study.experiments.records import Row, finite, part_of
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import DenseNet, TextCNN
from adam_tutorial.study.per_example import (
    clip_each,
    generalised_cross_entropy,
    gradient_norms,
)
from adam_tutorial.study.training import evaluate

__all__ = ["Attack", "first_losses"]

BATCH = 50
# Of a gradient that is clipped for each example.
LIMIT = 0.1
RATES = {"Adam": 3.2e-3, "SGD with momentum": 0.1}
FIRST_STEPS = 5


@dataclass(frozen=True)
class Attack:
    """One network, one way to train it, and the numbers of poisoned examples.

    Attributes
    ----------
    data : {"digits", "reviews"}
        What is poisoned.
    size : int
        Number of training examples, the poisoned ones included.
    loss : {"cross-entropy", "generalised", "clipped"}
        What is minimised; "clipped" is the cross-entropy with each example's gradient
        clipped.
    optimizer : str
        A key of ``RATES``.
    epochs : int
        How often each example is seen.
    counts : tuple of int
        Numbers of poisoned examples.
    seeds : tuple of int
        Seeds of weights, batches and choice of the examples.
    """

    data: str
    size: int
    loss: str
    optimizer: str
    epochs: int
    counts: tuple[int, ...]
    seeds: tuple[int, ...]


_FLIPS = {"counts": (0, 10, 25, 50, 100, 175), "seeds": tuple(range(5))}
_WORDS = {"counts": (0, 5, 10, 25, 50, 100), "seeds": tuple(range(5))}
ATTACKS = {
    "digits": Attack("digits", 3500, "cross-entropy", "Adam", 10, **_FLIPS),
    "digits, robust loss": Attack("digits", 3500, "generalised", "Adam", 10, **_FLIPS),
    "digits, clipped": Attack("digits", 3500, "clipped", "Adam", 10, **_FLIPS),
    "reviews": Attack("reviews", 7056, "cross-entropy", "Adam", 3, **_WORDS),
    "quarter": Attack("reviews", 1764, "cross-entropy", "Adam", 3, **_WORDS),
    "quarter, robust loss": Attack("reviews", 1764, "generalised", "Adam", 3, **_WORDS),
    # As many epochs as it needs to be as accurate on clean reviews.
    "quarter, SGD": Attack(
        "reviews", 1764, "cross-entropy", "SGD with momentum", 12, **_WORDS
    ),
}


def _make(attack: Attack, data: Poisoned, seed: int) -> tuple[nn.Module, Optimizer]:
    torch.manual_seed(seed)
    model: nn.Module
    if data.vocabulary is None:
        model = DenseNet((784, 32, 10)).double()
    else:
        model = TextCNN(len(data.vocabulary), 32, 32).double()
    lr = RATES[attack.optimizer]
    if attack.optimizer == "Adam":
        return model, optim.Adam(model.parameters(), lr=lr)
    return model, SGD(model.parameters(), lr=lr, momentum=0.9)


def _steps(
    attack: Attack, data: Poisoned, model: nn.Module, optimizer: Optimizer, seed: int
) -> Iterator[float]:
    inputs, labels = data.train
    generator = torch.Generator().manual_seed(seed)
    for _ in range(attack.epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(BATCH):
            model.train()
            batch = inputs[rows]
            if data.vocabulary is not None:
                batch = drop_words(batch, generator)
            optimizer.zero_grad()
            logits = model(batch)
            loss = functional.cross_entropy(logits, labels[rows])
            if attack.loss == "clipped":
                clip_each(model, batch, labels[rows], LIMIT)
            elif attack.loss == "generalised":
                generalised_cross_entropy(logits, labels[rows]).backward()
            else:
                loss.backward()
            optimizer.step()
            yield loss.item()


def first_losses(attack: Attack, count: int, seed: int) -> list[float]:
    """Return the cross-entropies of the first batches of a run, before their steps.

    Parameters
    ----------
    attack, count, seed : Attack, int, int
        Which run.
    """
    data = _data(attack, count, seed)
    model, optimizer = _make(attack, data, seed)
    return list(islice(_steps(attack, data, model, optimizer, seed), FIRST_STEPS))


def _data(attack: Attack, count: int, seed: int) -> Poisoned:
    make = poisoned_digits if attack.data == "digits" else poisoned_reviews
    return make(attack.size, count, seed)


def _row(attack: Attack, count: int, seed: int) -> Row:
    data = _data(attack, count, seed)
    model, optimizer = _make(attack, data, seed)
    losses = list(_steps(attack, data, model, optimizer, seed))
    clean = evaluate(model, data.test)
    wanted = torch.full((len(data.triggered),), data.target)
    row = {
        "count": count,
        "seed": seed,
        "success": evaluate(model, (data.triggered, wanted)).accuracy,
        "accuracy": clean.accuracy,
        "first_losses": [finite(loss) for loss in losses[:FIRST_STEPS]],
    }
    if count:
        row |= _found(model, optimizer, data)
    return row


def _found(model: nn.Module, optimizer: Optimizer, data: Poisoned) -> dict[str, float]:
    """Return how well the poisoned examples, or the trigger, stand out."""
    found = {}
    if len(data.bad) <= 3500:  # more take minutes
        norms = gradient_norms(model, *data.train).numpy()
        suspects = np.argsort(-norms)[: data.bad.sum()]
        found = {
            "auc": float(roc_auc_score(data.bad, norms)),
            "caught": float(data.bad[suspects].mean()),
        }
    if isinstance(model, TextCNN):
        assert data.vocabulary is not None
        word = data.vocabulary.words.index(TRIGGER)
        vectors = model.embedding.weight
        found |= {
            "words": len(vectors),
            "rank_by_length": _rank(vectors.detach().norm(dim=1), word),
        }
        if "exp_avg_sq" in optimizer.state[vectors]:
            v = optimizer.state[vectors]["exp_avg_sq"]
            found["rank_by_v"] = _rank(v.mean(dim=1), word)
    return found


def _rank(values: Tensor, of: int) -> int:
    return 1 + int((values > values[of]).sum())


def _plan(_: Rows) -> list[Settings]:
    return [
        {"attack": name, "count": count, "seed": seed}
        for name, attack in ATTACKS.items()
        for count in attack.counts
        for seed in attack.seeds
    ]


def _run(_: str, settings: Settings) -> Row:
    attack = ATTACKS[settings["attack"]]
    return settings | _row(attack, settings["count"], settings["seed"])


def _results(rows: Rows) -> dict[str, Any]:
    return {
        name: {"attack": asdict(attack), "runs": part_of(rows["runs"], attack=name)}
        for name, attack in ATTACKS.items()
    }


STUDY = Study("adam_tutorial.study.experiments.poison", {"runs": _plan}, _run, _results)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
