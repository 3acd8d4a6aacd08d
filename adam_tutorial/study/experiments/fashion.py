"""Fashion-MNIST: a published figure, and what the same networks reach when tuned.

The 83,466-parameter CNN of two convolutions, and a dense network of 242,762 parameters.
Each recipe is tried on the first 50,000 training pictures and judged by its accuracy on
the other 10,000. The best recipe for the CNN without augmentation, the best one with
it, and the best one for the dense network are then trained on all 60,000, with fresh
seeds, and tested; so is the published recipe. Runs that are judged are as long as final
ones. The test accuracy after each epoch is recorded for a figure; nothing is chosen by
it.

Forward and backward passes are in bfloat16; the weights, their gradients and all that
the optimizer keeps are in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adam_tutorial import optim
from adam_tutorial.study.data import load_fashion_mnist, mirror_and_shift, rescale
from adam_tutorial.study.experiments.hyperparameters import Setting, schedule_of
from adam_tutorial.study.experiments.records import (
    Row,
    as_digits,
    best_setting,
    short,
    shortened,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import BFloat16, DenseNet, PlainCNN
from adam_tutorial.study.training import Examples, History, corrected_moments, fit

__all__ = [
    "Recipe",
    "examples",
    "final_row",
    "layer_medians",
    "scaled",
    "train",
]

TRAINING = 50_000
TUNING_SEEDS, FINAL_SEEDS = (100,), (0, 1, 2)
PUBLISHED_SEEDS = (0, 1)
FIRST_STEPS = 3

# Those of the published run: mean and standard deviation of MNIST's pixels.
MEAN, DEVIATION = 0.1307, 0.3081
WARMUP = 0.05


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Length of a run.
    batch_size : int
        Pictures in a step.
    lr : float
        Learning rate, the highest one of a schedule.
    schedule : bool
        Warm up over a twentieth of the run and fall to zero along half a cosine;
        otherwise the rate is constant.
    weight_decay : float
        AdamW's, for weights and not for biases; 0 stands for Adam.
    dropout : float
        As for :class:`adam_tutorial.study.models.PlainCNN`.
    smoothing : float
        Of the labels.
    shift : int or None
        Mirror the pictures, and move them by up to so many pixels; None for neither.
    dense : bool
        Train the dense network.
    """

    epochs: int = 15
    batch_size: int = 100
    lr: float = 2e-3
    schedule: bool = True
    weight_decay: float = 0.1
    dropout: float = 0.4
    smoothing: float = 0.0
    shift: int | None = None
    dense: bool = False


_tuned = Recipe()
_adam = Recipe(lr=1e-3, schedule=False, weight_decay=0, dropout=0)
_dense = Recipe(lr=1e-3, dropout=0, dense=True)
RECIPES = {
    "published": replace(_adam, epochs=30, batch_size=1000),
    # From it on, one change at a time.
    "small batches": _adam,
    "schedule": replace(_tuned, weight_decay=0, dropout=0),
    "decay": replace(_tuned, dropout=0),
    "dropout": _tuned,
    "smoothing": replace(_tuned, smoothing=0.1),
    # Other pictures.
    "mirror": replace(_tuned, shift=0, dropout=0.2),
    "mirror, smoothing": replace(_tuned, shift=0, dropout=0.2, smoothing=0.1),
    "mirror, less dropout": replace(_tuned, shift=0, dropout=0.1, smoothing=0.1),
    "mirror, shift 1": replace(_tuned, shift=1, dropout=0.1, smoothing=0.1),
    "dense": _dense,
    "dense, higher rate": replace(_dense, lr=3e-3),
    "dense, more decay": replace(_dense, lr=3e-3, weight_decay=0.3),
}
# In each group the best is chosen.
GROUPS: dict[str, Callable[[Recipe], bool]] = {
    "CNN": lambda recipe: not recipe.dense and recipe.shift is None,
    "CNN, augmented": lambda recipe: recipe.shift is not None,
    "dense": lambda recipe: recipe.dense,
}
JUDGED = [name for name in RECIPES if name != "published"]


def scaled(images: Tensor) -> Tensor:
    """Return pixels as the published run scaled them."""
    return (images - MEAN) / DEVIATION


@cache
def examples() -> dict[str, Examples]:
    """Return the parts "train", "validation" and "test", in torch's default type.

    Raises
    ------
    DatasetUnavailable
        Fashion-MNIST is not on this machine.
    """
    train, test = load_fashion_mnist()
    pixels, labels = rescale(train.pixels), torch.from_numpy(train.labels)
    return {
        "train": (pixels[:TRAINING], labels[:TRAINING]),
        "validation": (pixels[TRAINING:], labels[TRAINING:]),
        "test": (rescale(test.pixels), torch.from_numpy(test.labels)),
    }


def optimizer_of(recipe: Recipe, network: nn.Module) -> Optimizer:
    """Return Adam, or AdamW with the biases in a group without decay."""
    if not recipe.weight_decay:
        return optim.Adam(network.parameters(), lr=recipe.lr)
    weights = [p for p in network.parameters() if p.ndim > 1]
    biases = [p for p in network.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": weights},
        {"params": biases, "weight_decay": 0.0},
    ]
    return optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def train(
    recipe: Recipe,
    seed: int,
    parts: tuple[str, ...],
    *,
    judged: str | None = None,
    on_epoch: Callable[[nn.Module, Optimizer], None] | None = None,
    max_steps: int | None = None,
) -> tuple[nn.Module, History]:
    """Train one network.

    Parameters
    ----------
    recipe : Recipe
        How.
    seed : int
        Seed of the weights, the order of the pictures, dropout and augmentation.
    parts : tuple of str
        Parts of the examples to train on.
    judged : str, optional
        Part to evaluate after each epoch.
    on_epoch : function, optional
        Called with network and optimizer after each epoch.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    inputs = torch.cat([examples()[part][0] for part in parts])
    labels = torch.cat([examples()[part][1] for part in parts])
    torch.manual_seed(seed)
    network: nn.Module
    if recipe.dense:
        network = DenseNet((784, 256, 128, 64, 10))
    else:
        network = PlainCNN(recipe.dropout)
    optimizer = optimizer_of(recipe, network)
    total = recipe.epochs * (len(labels) // recipe.batch_size)
    setting = Setting(recipe.lr, warmup=round(WARMUP * total))
    history = fit(
        BFloat16(network, scaled),
        optimizer,
        (inputs, labels),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        seed=seed,
        transform=(
            None
            if recipe.shift is None
            else partial(mirror_and_shift, shift=recipe.shift)
        ),
        scheduler=schedule_of(optimizer, setting, total) if recipe.schedule else None,
        validation=None if judged is None else examples()[judged],
        on_epoch=on_epoch and (lambda _, __: on_epoch(network, optimizer)),
        label_smoothing=recipe.smoothing,
        max_steps=max_steps,
        progress=False,
    )
    return network, history


def layer_medians(network: nn.Module, optimizer: Optimizer) -> dict[str, list[float]]:
    """Return what Adam keeps and does in each layer, as medians over its weights.

    Parameters
    ----------
    network : Module
        Whose weights; its layers are named by their numbers.
    optimizer : Optimizer
        An :class:`adam_tutorial.optim.Adam` that trains it.

    Returns
    -------
    dict of str to list of float
        For each layer the square root of v-hat, and the size of m-hat over it, which is
        the last step in learning rates.
    """
    eps = optimizer.param_groups[0]["eps"]
    return {
        layer: [
            float(f"{values.median().item():.3g}")
            for values in (root, m_hat.abs() / (root + eps))
        ]
        for layer, m_hat, root in corrected_moments(network, optimizer)
    }


def final_row(recipe: Recipe, seed: int) -> Row:
    """Train on all 60,000 pictures, test after each epoch, and return the row."""
    medians: list[dict[str, list[float]]] = []
    filters: list[list[int]] = []

    def watch(network: nn.Module, optimizer: Optimizer) -> None:
        medians.append(layer_medians(network, optimizer))

    network, history = train(
        recipe, seed, ("train", "validation"), judged="test", on_epoch=watch
    )
    if not recipe.dense and seed == FINAL_SEEDS[0]:
        torch.manual_seed(seed)
        for one in (PlainCNN(), network):
            kernels = one.get_parameter("0.weight").detach()
            filters.append(kernels.mul(1000).round().int().flatten().tolist())
    found = history.validations[-1]
    return {
        "seed": seed,
        "test_loss": short(found.loss),
        "test_accuracy": round(found.accuracy, 4),
        "train_losses": shortened(history.train_losses),
        "test_accuracies": [round(one.accuracy, 4) for one in history.validations],
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "medians": {
            layer: [[one[layer][k] for one in medians] for k in (0, 1)]
            for layer in medians[0]
        },
        # In thousandths, as text: lists would take a line for each number.
        "filters": [" ".join(map(str, kernels)) for kernels in filters],
        "predictions": as_digits(found.predictions),
    }


def labels_of(part: str) -> str:
    """Return the labels of a part, one digit for each example."""
    return as_digits(examples()[part][1])


def _tuning(_: Rows) -> list[Settings]:
    return [{"recipe": name, "seed": seed} for name in JUDGED for seed in TUNING_SEEDS]


def _chosen(tuning: list[Row]) -> dict[str, str]:
    chosen = {}
    for group, holds in GROUPS.items():
        tried = [row for row in tuning if holds(RECIPES[row["recipe"]])]
        (chosen[group],) = best_setting(
            tried, "validation_accuracy", ("recipe",), largest=True
        )
    return chosen


def _final(rows: Rows) -> list[Settings]:
    tuned = [
        {"group": group, "recipe": name, "seed": seed}
        for seed in FINAL_SEEDS
        for group, name in _chosen(rows["tuning"]).items()
    ]
    first, *others = (
        {"group": "published", "recipe": "published", "seed": seed}
        for seed in PUBLISHED_SEEDS
    )
    # Long runs at both ends: processes have something to do beside each of them.
    return [first, *tuned, *others]


def _run(stage: str, settings: Settings) -> Row:
    recipe, seed = RECIPES[settings["recipe"]], settings["seed"]
    if stage == "final":
        return settings | final_row(recipe, seed)
    _, history = train(recipe, seed, ("train",), judged="validation")
    found = history.validations[-1]
    return {
        **settings,
        "validation_loss": short(found.loss),
        "validation_accuracy": round(found.accuracy, 4),
        "validation_accuracies": [
            round(one.accuracy, 4) for one in history.validations
        ],
        "train_losses": shortened(history.train_losses),
        "predictions": as_digits(found.predictions),
    }


def _results(rows: Rows) -> dict[str, Any]:
    return {
        "chosen": _chosen(rows["tuning"]),
        "tuning": rows["tuning"],
        "final": rows["final"],
        "labels": {part: labels_of(part) for part in ("validation", "test")},
    }


STUDY = Study(
    "adam_tutorial.study.experiments.fashion",
    {"tuning": _tuning, "final": _final},
    _run,
    _results,
    dtype="float32",
    described={
        "passes": "bfloat16",
        "recipes": {name: asdict(recipe) for name, recipe in RECIPES.items()},
    },
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
