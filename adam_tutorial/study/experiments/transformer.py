"""Why a Transformer wants Adam: a small language model of the characters of reviews.

Five questions, each with settings that are fixed in advance and the same number of them
for every optimizer:

- *Equal tokens*: four optimizers at four batch sizes, each tuned anew; one pass over
  the same sequences, so that large batches take few steps.
- *Equal steps*: three of them with as many steps at every batch size.
- *Decay rates*: beta1 = beta2 and beta1 = 0.9, in a short and in a long run.
- *Spikes*: Adam at its best rate and above it, with one safeguard at a time.

The learning rate with the lowest validation loss is trained again with fresh seeds, and
evaluated once on the test sequences, sequence by sequence. Except where the safeguards
are tried, all runs warm up over their first tenth, and then follow half a cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Optimizer

from adam_tutorial import optim
from adam_tutorial.study.data import Vocabulary, load_reviews, split
from adam_tutorial.study.experiments.comparison import best_learning_rates
from adam_tutorial.study.experiments.hyperparameters import Setting, schedule_of
from adam_tutorial.study.experiments.records import (
    Row,
    as_hundredths,
    best_setting,
    matching,
    short,
    shortened,
    two_a_decade,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import Transformer
from adam_tutorial.study.spike_score import spike_steps
from adam_tutorial.study.training import Examples, History, evaluate, fit

Network = TypeVar("Network", bound=nn.Module)

__all__ = ["characters", "examples", "optimizer_of", "train", "trained"]

SENTENCES = {"train": 8603, "validation": 1000, "test": 1000}
SEQUENCES = {"train": 8192, "validation": 512, "test": 512}
CONTEXT = 32

SIZES = (8, 32, 128, 512)
STEPS = 64
TUNING_SEED = 100
FINAL_SEEDS = (0, 1, 2)
FIRST_STEPS = 4
RATES = {
    "SGD with momentum": two_a_decade(-2, 1)[:-1],
    "sign descent with momentum": two_a_decade(-4, -1)[1:],
    "Adam": two_a_decade(-3, 0)[:-1],
    "AdamW": two_a_decade(-3, 0)[:-1],
}
AT_EQUAL_STEPS = ("SGD with momentum", "sign descent with momentum", "Adam")

# At the smallest batch size, where steps are cheapest: decay rates, and safeguards.
BETAS = (
    *((beta, beta) for beta in (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)),
    *((0.9, beta2) for beta2 in (0.95, 0.99, 0.999)),
)
BETA_RATES = two_a_decade(-4, -1)[1:]
LENGTHS = (64, 512)

# What the best rate is multiplied by, and what is done against spikes.
FACTORS = (1.0, 3.2, 10.0)
SAFEGUARDS: dict[str, Settings] = {
    "none": {},
    "warm-up": {"warmup": True},
    "clipping": {"clip": 1.0},
    "beta2 = 0.95": {"betas": [0.9, 0.95]},
}
BLOCK = 16


@cache
def characters() -> Vocabulary:
    """Return the characters of the training sentences, numbered."""
    return Vocabulary([_text("train")])


@cache
def _text(part: str) -> str:
    reviews = load_reviews(minimum_rating=0)
    # By sentence: no part has seen a piece of another one's sentences.
    rows = split(reviews.labels, SENTENCES, seed=0)[part]
    return "".join(reviews.texts[row] + "\n" for row in rows)


@cache
def examples(part: str) -> Examples:
    """Return sequences of characters, and for each character the one after it.

    Parameters
    ----------
    part : {"train", "validation", "test"}

    Returns
    -------
    inputs, labels : Tensor of int64, shape (sequences, 32)
        Cut from the sentences of the part, one after the other, each ended by a new
        line.
    """
    length = SEQUENCES[part] * CONTEXT
    numbers = characters().encode([_text(part)], length=length + 1)[0]
    stream = torch.from_numpy(numbers)
    return stream[:-1].view(-1, CONTEXT), stream[1:].view(-1, CONTEXT)


def optimizer_of(settings: Settings, model: nn.Module) -> Optimizer:
    """Return an optimizer as the study names it.

    Parameters
    ----------
    settings : dict
        "optimizer", a key of ``RATES``, and "lr"; for Adam also "betas" and "clip", the
        greatest norm of the whole gradient.
    model : Module
        Whose parameters it gets.
    """
    name, lr, parameters = settings["optimizer"], settings["lr"], model.parameters()
    if name == "SGD with momentum":
        return SGD(parameters, lr=lr, momentum=0.9)
    if name == "sign descent with momentum":
        # With equal decay rates, Lion steps by the sign of the average that it keeps.
        return optim.Lion(parameters, lr=lr, betas=(0.9, 0.9))
    if name == "AdamW":
        return optim.AdamW(parameters, lr=lr, weight_decay=0.1)
    return optim.Adam(
        parameters,
        lr=lr,
        betas=tuple(settings.get("betas", (0.9, 0.999))),
        max_grad_norm=settings.get("clip"),
    )


def trained(
    make: Callable[[], Network],
    settings: Settings,
    examples: Examples,
    epochs: int,
    max_steps: int | None,
) -> tuple[Network, History]:
    """Train a new model; its rate warms up, and then follows half a cosine.

    Parameters
    ----------
    make : function
        Makes the model, with weights from torch's generator.
    settings : dict
        As for :func:`train`.
    examples : tuple of Tensor
        Inputs and labels to train on.
    epochs : int
        Passes over them.
    max_steps : int or None
        Stop after this many steps, on the path of the full run.
    """
    steps, seed = settings["steps"], settings["seed"]
    torch.manual_seed(seed)
    model = make()
    optimizer = optimizer_of(settings, model)
    warmup = steps // 10 if settings.get("warmup", True) else 0
    history = fit(
        model,
        optimizer,
        examples,
        epochs=epochs,
        batch_size=settings["batch_size"],
        seed=seed,
        scheduler=schedule_of(optimizer, Setting(settings["lr"], warmup=warmup), steps),
        max_steps=max_steps,
        progress=False,
    )
    return model, history


def train(
    settings: Settings, *, max_steps: int | None = None
) -> tuple[Transformer, History]:
    """Train one model.

    Parameters
    ----------
    settings : dict
        "batch_size", "steps" and "seed", and what :func:`optimizer_of` takes; "warmup"
        is False for a rate that starts at its highest.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.
    """
    size, steps = settings["batch_size"], settings["steps"]
    inputs, labels = examples("train")
    # One pass over as many sequences as the steps need, or several over all of them.
    count = min(steps * size, len(labels))
    return trained(
        lambda: Transformer(len(characters()), CONTEXT),
        settings,
        (inputs[:count], labels[:count]),
        steps * size // count,
        max_steps,
    )


def _steps(size: int) -> int:
    return SEQUENCES["train"] // size


def _tried(
    names: tuple[str, ...], sizes: tuple[int, ...], steps: int | None
) -> list[Settings]:
    return [
        {
            "optimizer": name,
            "batch_size": size,
            "steps": steps or _steps(size),
            "lr": lr,
            "seed": TUNING_SEED,
        }
        for size in sizes
        for name in names
        for lr in RATES[name]
    ]


def _best(rows: list[Row]) -> Iterator[Settings]:
    """Yield, for each batch size and optimizer, the best setting with each seed."""
    for size in dict.fromkeys(row["batch_size"] for row in rows):
        tuned = matching(rows, batch_size=size)
        for name, lr in best_learning_rates(tuned).items():
            (row,) = matching(tuned, optimizer=name, lr=lr)
            for seed in FINAL_SEEDS:
                yield {**_settings_of(row), "seed": seed}


def _settings_of(row: Row) -> Settings:
    return {key: value for key, value in row.items() if key != "validation_loss"}


def _tuning(_: Rows) -> list[Settings]:
    return _tried(tuple(RATES), SIZES, None)


def _steps_tuning(_: Rows) -> list[Settings]:
    # One batch size takes so many steps in the first stage already.
    sizes = tuple(size for size in SIZES if _steps(size) != STEPS)
    return _tried(AT_EQUAL_STEPS, sizes, STEPS)


def _betas_tuning(_: Rows) -> list[Settings]:
    return [
        {
            "optimizer": "Adam",
            "batch_size": SIZES[0],
            "steps": steps,
            "betas": list(betas),
            "lr": lr,
            "seed": TUNING_SEED,
        }
        for steps in LENGTHS
        for betas in BETAS
        for lr in BETA_RATES
    ]


def _betas(rows: Rows) -> list[Settings]:
    found = []
    for steps in LENGTHS:
        for betas in map(list, BETAS):
            tuned = matching(rows["betas_tuning"], steps=steps, betas=betas)
            (lr,) = best_setting(tuned, "validation_loss", ("lr",))
            (row,) = matching(tuned, lr=lr)
            found += [{**_settings_of(row), "seed": seed} for seed in FINAL_SEEDS]
    return found


def _spikes(rows: Rows) -> list[Settings]:
    best = next(
        settings
        for settings in _best(rows["tuning"])
        if (settings["optimizer"], settings["batch_size"]) == ("Adam", SIZES[0])
    )
    return [
        {
            **best,
            "steps": LENGTHS[-1],
            "lr": float(f"{factor * best['lr']:.2g}"),
            "factor": factor,
            "safeguard": safeguard,
            "warmup": False,
            **settings,
            "seed": seed,
        }
        for factor in FACTORS
        for safeguard, settings in SAFEGUARDS.items()
        for seed in FINAL_SEEDS
    ]


def _run(stage: str, settings: Settings) -> Row:
    model, history = train(settings)
    if stage.endswith("tuning"):
        found = evaluate(model, examples("validation"))
        return {**settings, "validation_loss": short(found.loss)}
    found = evaluate(model, examples("test"))
    losses = np.array(history.step_losses)
    row = {
        **settings,
        "test_loss": short(found.loss),
        "test_accuracy": round(found.accuracy, 4),
        "first_step_losses": shortened(losses[:FIRST_STEPS]),
    }
    if stage == "spikes":
        blocks = losses[: len(losses) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1)
        # Both are seen beside the losses of a hundred steps before.
        return row | {
            "spikes": spike_steps(history.step_losses),
            "block_losses": [short(round(float(x), 3)) for x in blocks],
        }
    return row | {"sequence_losses": as_hundredths(found.losses.mean(dim=1))}


STUDY = Study(
    "adam_tutorial.study.experiments.transformer",
    {
        "tuning": _tuning,
        "final": lambda rows: list(_best(rows["tuning"])),
        "steps_tuning": _steps_tuning,
        "steps": lambda rows: list(_best(rows["steps_tuning"])),
        "betas_tuning": _betas_tuning,
        "betas": _betas,
        "spikes": _spikes,
    },
    _run,
    dict,
    dtype="float32",
    described={
        "batch_sizes": SIZES,
        "context": CONTEXT,
        "sentences": SENTENCES,
        "sequences": SEQUENCES,
        "rates": RATES,
        "beta_rates": BETA_RATES,
    },
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
