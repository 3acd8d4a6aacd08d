"""Adam beside SGD on the handwritten digits: a dense network and a convolutional one.

``python -m adam_tutorial.study.experiments.images --out adam_tutorial/study/results/images.json``
"""

from __future__ import annotations

import torch

from adam_tutorial.study.data import load_digits, rescale, shear_and_zoom, split
from adam_tutorial.study.experiments.comparison import Task, main
from adam_tutorial.study.models import DenseNet, ImageCNN

__all__ = ["SEEDS", "SIZES", "tasks"]

SIZES = {"train": 3500, "validation": 500, "test": 1000}
SEEDS = {
    "dense": {"tuning_seeds": (100, 101), "final_seeds": (0, 1, 2)},
    "cnn": {"tuning_seeds": (100, 101), "final_seeds": (0, 1, 2)},
}


def tasks() -> list[Task]:
    """Return the two tasks, with tensors of torch's default type."""
    digits = load_digits()
    parts = split(digits.labels, SIZES, seed=0)
    examples = {
        part: (rescale(digits.pixels[rows]), torch.from_numpy(digits.labels[rows]))
        for part, rows in parts.items()
    }
    return [
        Task("dense", examples, DenseNet, None, epochs=20, batch_size=50),
        Task("cnn", examples, ImageCNN, shear_and_zoom, epochs=15, batch_size=50),
    ]


if __name__ == "__main__":
    main("adam_tutorial.study.experiments.images", tasks, SEEDS)
