"""Adam beside SGD on the sentiment of film reviews: a CNN on words."""

from __future__ import annotations

from functools import partial

import torch

from adam_tutorial.study.data import (
    Vocabulary,
    drop_words,
    load_reviews,
    split,
    tokenize,
)
from adam_tutorial.study.experiments.comparison import Task, study_of
from adam_tutorial.study.models import TextCNN

__all__ = ["tasks", "vocabulary"]

SIZES = {"train": 7056, "validation": 1000, "test": 2014}
LENGTH = 40
SEEDS = {"textcnn": {"tuning_seeds": (100, 101), "final_seeds": (0, 1, 2)}}


def vocabulary(documents: list[list[str]]) -> Vocabulary:
    """Return the words that occur at least twice in the training documents."""
    return Vocabulary(documents, minimum_count=2)


def tasks() -> list[Task]:
    """Return the only task; its inputs are word numbers."""
    reviews = load_reviews()
    parts = split(reviews.labels, SIZES, seed=0)
    documents = [tokenize(text) for text in reviews.texts]
    words = vocabulary([documents[row] for row in parts["train"]])
    examples = {
        part: (
            torch.from_numpy(
                words.encode([documents[row] for row in rows], length=LENGTH)
            ),
            torch.from_numpy(reviews.labels[rows]),
        )
        for part, rows in parts.items()
    }
    model = partial(TextCNN, len(words))
    return [
        Task(
            "textcnn",
            examples,
            model,
            drop_words,
            epochs=5,
            batch_size=50,
            long_epochs=20,
        )
    ]


STUDY = study_of("adam_tutorial.study.experiments.text", tasks, SEEDS)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
