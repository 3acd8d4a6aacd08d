"""Is it the Transformer or the text? Two networks on MNIST-1D, with four optimizers.

MNIST-1D has ten classes of equal size and no rare word. On it train the Transformer of
:mod:`~adam_tutorial.study.experiments.transformer`, which reads numbers instead of
characters, and a small CNN with about as many parameters. The optimizers, the six
learning rates of each, and the schedule are those of the text.

The rate with the lowest validation loss is trained again with five fresh seeds, and
evaluated once on the authors' test part, series by series. All runs see the training
series ten times, at two batch sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from adam_tutorial.study.data import load_mnist1d, split
from adam_tutorial.study.experiments.comparison import best_with_seeds
from adam_tutorial.study.experiments.records import (
    Row,
    as_digits,
    as_hundredths,
    short,
    shortened,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.experiments.transformer import (
    FIRST_STEPS,
    RATES,
    TUNING_SEED,
    trained,
)
from adam_tutorial.study.models import Transformer
from adam_tutorial.study.training import Examples, History, evaluate

__all__ = ["SeriesCNN", "SeriesTransformer", "examples", "train"]

SERIES = {"train": 3200, "validation": 800, "test": 1000}
LENGTH, CLASSES = 40, 10

SIZES = (32, 128)
PASSES = 10
FINAL_SEEDS = tuple(range(5))


class SeriesTransformer(Transformer):
    """The Transformer of the text, with ten tokens of four numbers each.

    A linear layer takes the place of the embedding. The last token, the only one that
    sees all others, gives the logits. There are 26,282 parameters.
    """

    PATCH = 4

    def __init__(self) -> None:
        super().__init__(CLASSES, LENGTH // self.PATCH)
        layer = nn.Linear(self.PATCH, self.positions.embedding_dim)
        # As the table of embeddings begins, which it replaces.
        nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
        self.embedding = layer  # type: ignore[assignment]

    def forward(self, series: Tensor) -> Tensor:
        """Return logits (batch, 10) for series (batch, 40)."""
        return super().forward(series.unflatten(1, (-1, self.PATCH)))[..., -1]


class SeriesCNN(nn.Sequential):
    """Three convolutions with ReLU, each halving the length, and a linear layer.

    It takes series of shape (batch, 40), returns logits of shape (batch, 10), and has
    26,670 parameters.
    """

    def __init__(self) -> None:
        channels = 62  # about as many parameters as the Transformer has
        super().__init__(
            nn.Unflatten(1, (1, LENGTH)),
            nn.Conv1d(1, channels, kernel_size=5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(channels * LENGTH // 8, CLASSES),
        )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "Transformer": SeriesTransformer,
    "CNN": SeriesCNN,
}


@cache
def examples() -> dict[str, Examples]:
    """Return series and labels of the parts "train", "validation" and "test"."""
    series, labels = load_mnist1d()
    first = len(labels) - SERIES["test"]
    rows = split(labels[:first], {k: v for k, v in SERIES.items() if k != "test"})
    rows["test"] = np.arange(first, len(labels))
    return {
        part: (
            torch.from_numpy(series[places]).float(),
            torch.from_numpy(labels[places]),
        )
        for part, places in rows.items()
    }


def train(
    settings: Settings, *, max_steps: int | None = None
) -> tuple[nn.Module, History]:
    """Train one model; its rate warms up, and then follows half a cosine.

    Parameters
    ----------
    settings : dict
        "network", "optimizer", "lr", "batch_size", "steps" and "seed".
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    make = NETWORKS[settings["network"]]
    return trained(make, settings, examples()["train"], PASSES, max_steps)


def _tuning(_: Rows) -> list[Settings]:
    return [
        {
            "network": network,
            "batch_size": size,
            "steps": PASSES * (SERIES["train"] // size),
            "optimizer": name,
            "lr": lr,
            "seed": TUNING_SEED,
        }
        for network in NETWORKS
        for size in SIZES
        for name, rates in RATES.items()
        for lr in rates
    ]


def _final(rows: Rows) -> list[Settings]:
    by = ("network", "batch_size", "steps")
    return best_with_seeds(rows["tuning"], by, FINAL_SEEDS)


def _run(stage: str, settings: Settings) -> Row:
    model, history = train(settings)
    row = {
        **settings,
        "train_loss": short(evaluate(model, examples()["train"]).loss),
    }
    if stage == "tuning":
        found = evaluate(model, examples()["validation"])
        return row | {"validation_loss": short(found.loss)}
    series, labels = examples()["test"]
    found = evaluate(model, (series, labels))
    return row | {
        "test_loss": short(found.loss),
        "test_accuracy": round(found.accuracy, 4),
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "sequence_losses": as_hundredths(found.losses),
        "right_answers": as_digits((found.predictions == labels).long()),
    }


STUDY = Study(
    "adam_tutorial.study.experiments.network_or_data",
    {"tuning": _tuning, "final": _final},
    _run,
    dict,
    dtype="float32",
    described={
        "batch_sizes": SIZES,
        "passes": PASSES,
        "series": SERIES,
        "rates": RATES,
    },
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
