"""Adam beside SGD on the handwritten digits: a dense and a convolutional network."""

from __future__ import annotations

import torch

from adam_tutorial.study.data import load_digits, rescale, shear_and_zoom, split
from adam_tutorial.study.experiments.comparison import Task, study_of
from adam_tutorial.study.models import DenseNet, ImageCNN
from adam_tutorial.study.training import Examples

__all__ = ["digit_examples", "tasks"]

SIZES = {"train": 3500, "validation": 500, "test": 1000}
SEEDS = {
    "dense": {"tuning_seeds": (100, 101), "final_seeds": (0, 1, 2)},
    "cnn": {"tuning_seeds": (100, 101), "final_seeds": (0, 1, 2)},
}


def digit_examples(sizes: dict[str, int]) -> dict[str, Examples]:
    """Return disjoint parts of the digits, in torch's default type."""
    digits = load_digits()
    return {
        part: (rescale(digits.pixels[rows]), torch.from_numpy(digits.labels[rows]))
        for part, rows in split(digits.labels, sizes, seed=0).items()
    }


def tasks() -> list[Task]:
    """Return the two tasks, with tensors of torch's default type."""
    examples = digit_examples(SIZES)
    return [
        Task("dense", examples, DenseNet, None, epochs=20, batch_size=50),
        Task("cnn", examples, ImageCNN, shear_and_zoom, epochs=15, batch_size=50),
    ]


STUDY = study_of("adam_tutorial.study.experiments.images", tasks, SEEDS)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
