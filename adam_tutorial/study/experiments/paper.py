"""The experiments of section 6 of the Adam paper, each optimizer with the same budget.

Logistic regression on digits and on bags of words (6.1), a network with two hidden
layers of 1,000 units (6.2), a convolutional network (6.3), each with and without
dropout where the paper has both, and the bias correction of a variational autoencoder
(6.4). In each task, every optimizer gets the same number of learning rates, two a
decade, and the one with the lowest cost in the last epoch is run again with fresh
seeds: section 6 is about how fast the cost of training falls. What the paper leaves
open is chosen here, and in logistic regression, which is cheap, also chosen otherwise.

The data are smaller than the paper's; ``paper_data`` says how to use the original ones.
Passes of the networks of 6.2 to 6.4 are in bfloat16; weights, gradients and what an
optimizer keeps are in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adadelta, Adagrad, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

from adam_tutorial import optim
from adam_tutorial.study.experiments import paper_vae
from adam_tutorial.study.experiments.paper_data import (
    FOLDER,
    WORDS,
    Parts,
    bags_of_words,
    digits,
    pictures,
)
from adam_tutorial.study.experiments.records import (
    Row,
    best_setting,
    listed,
    matching,
    part_of,
    short,
    shortened,
    two_a_decade,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import BagOfWords, BFloat16, DenseNet, ThreeStageCNN
from adam_tutorial.study.training import History, corrected_moments, evaluate, fit

__all__ = [
    "Method",
    "Task",
    "chosen_rates",
    "chosen_vae_rates",
    "roots_of_v",
    "train",
]

BATCH_SIZE = 128
TUNING_SEED = 100
FINAL_SEEDS = (0, 1, 2)
FIRST_STEPS = 3


@dataclass(frozen=True)
class Method:
    """An optimizer as a task uses it.

    Attributes
    ----------
    make : function
        Takes parameters, a learning rate and the coefficient of an L2 penalty.
    decays : bool
        Where a task has a schedule, its learning rate at step t is that of step 1
        over the root of t. AdaGrad's rule contains that root.
    """

    make: Callable[[Any, float, float], Optimizer]
    decays: bool = True


def _nesterov(momentum: float, parameters: Any, lr: float, l2: float) -> Optimizer:
    return SGD(parameters, lr=lr, momentum=momentum, nesterov=True, weight_decay=l2)


def _rmsprop(decay: float, parameters: Any, lr: float, l2: float) -> Optimizer:
    return RMSprop(parameters, lr=lr, alpha=decay, weight_decay=l2)


def _adagrad(parameters: Any, lr: float, l2: float) -> Optimizer:
    return Adagrad(parameters, lr=lr, weight_decay=l2)


METHODS = {
    "Adam": Method(lambda p, lr, l2: optim.Adam(p, lr=lr, weight_decay=l2)),
    "Nesterov": Method(partial(_nesterov, 0.9)),
    "AdaGrad": Method(_adagrad, decays=False),
    "RMSProp": Method(partial(_rmsprop, 0.99)),
    "AdaDelta": Method(lambda p, lr, l2: Adadelta(p, lr=lr, weight_decay=l2)),
    # Chosen otherwise.
    "Adam, constant rate": Method(
        lambda p, lr, l2: optim.Adam(p, lr=lr, weight_decay=l2), decays=False
    ),
    "Nesterov, momentum 0.99": Method(partial(_nesterov, 0.99)),
    "Nesterov, constant rate": Method(partial(_nesterov, 0.9), decays=False),
    "AdaGrad, falling rate": Method(_adagrad),
    "RMSProp, decay 0.9": Method(partial(_rmsprop, 0.9)),
}


@dataclass(frozen=True)
class Task:
    """What is learned, and how.

    Attributes
    ----------
    data : function
        Returns the parts "train" and "test".
    model : function
        Takes the data, returns a new network.
    rates : dict of str to tuple of float
        The learning rates of each method.
    epochs, tuning_epochs : int
        Of runs with the chosen rates, and of those that choose.
    l2 : float
        Coefficient of the penalty: half of it times the sum of the squares of all
        parameters is part of the cost.
    schedule : bool
        The learning rate falls as one over the root of the number of steps.
    bfloat16 : bool
        Forward and backward passes are in bfloat16.
    """

    data: Callable[[], Parts]
    model: Callable[[Parts], nn.Module]
    rates: dict[str, tuple[float, ...]]
    epochs: int
    tuning_epochs: int
    l2: float = 0.0
    schedule: bool = False
    bfloat16: bool = True


def _logistic(_: Parts) -> nn.Module:
    size = digits()["train"][0][0].numel()
    return DenseNet((size, 10))


def _bag(dropout: float, _: Parts) -> nn.Module:
    return BagOfWords(WORDS, dropout)


def _dense(dropout: tuple[float, float], _: Parts) -> nn.Module:
    return DenseNet((784, 1000, 1000, 10), dropout)


def _convolutional(dropout: tuple[float, float], parts: Parts) -> nn.Module:
    _, channels, side, _ = parts["train"][0].shape
    return ThreeStageCNN(channels, side, dropout)


_ON_DIGITS = {
    "Adam": two_a_decade(-4, 0),
    "Nesterov": two_a_decade(-2, 2),
    "AdaGrad": two_a_decade(-3, 1),
    "RMSProp": two_a_decade(-4, 0),
    "Adam, constant rate": two_a_decade(-5, -1),
    "Nesterov, momentum 0.99": two_a_decade(-3, 1),
    "Nesterov, constant rate": two_a_decade(-3, 1),
    "AdaGrad, falling rate": two_a_decade(-2, 2),
    "RMSProp, decay 0.9": two_a_decade(-4, 0),
}
_ON_WORDS = {
    "Adam": two_a_decade(-3, 1),
    "Nesterov": two_a_decade(-1, 3),
    "AdaGrad": two_a_decade(-2, 2),
    "RMSProp": two_a_decade(-3, 1),
    "Adam, constant rate": two_a_decade(-4, 0),
    "Nesterov, momentum 0.99": two_a_decade(-2, 2),
    "Nesterov, constant rate": two_a_decade(-2, 2),
    "AdaGrad, falling rate": two_a_decade(-1, 3),
    "RMSProp, decay 0.9": two_a_decade(-3, 1),
}
_IN_DENSE = {
    "Adam": two_a_decade(-5, -2),
    "Nesterov": two_a_decade(-3, 0),
    "AdaGrad": two_a_decade(-3, 0),
    "RMSProp": two_a_decade(-5, -2),
    "AdaDelta": two_a_decade(-1, 2),
}
_IN_CONVOLUTIONAL = {
    "Adam": two_a_decade(-5, -2),
    "Nesterov": two_a_decade(-3, 0),
    "AdaGrad": two_a_decade(-4, -1),
}
DROPOUT = (0.2, 0.5)

TASKS = {
    "digits": Task(digits, _logistic, _ON_DIGITS, 45, 45, 1e-3, True, False),
    "digits, weaker penalty": Task(
        digits, _logistic, _ON_DIGITS, 45, 45, 1e-4, True, False
    ),
    "words": Task(
        bags_of_words, partial(_bag, 0.0), _ON_WORDS, 40, 40, 1e-4, True, False
    ),
    "words, dropout": Task(
        bags_of_words, partial(_bag, 0.5), _ON_WORDS, 40, 40, 0.0, True, False
    ),
    "dense": Task(digits, partial(_dense, (0, 0)), _IN_DENSE, 25, 8, l2=1e-5),
    "dense, dropout": Task(digits, partial(_dense, DROPOUT), _IN_DENSE, 25, 8),
    "convolutional": Task(
        pictures, partial(_convolutional, (0, 0)), _IN_CONVOLUTIONAL, 15, 3
    ),
    "convolutional, dropout": Task(
        pictures, partial(_convolutional, DROPOUT), _IN_CONVOLUTIONAL, 15, 3
    ),
}

BETA1, BETA2 = (0.0, 0.9), (0.99, 0.999, 0.9999)
# Those of the paper, and two a decade where the best ones lie.
VAE_RATES = (1e-5, 1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 0.1)
VAE_EPOCHS = (10, 100)
VAE_FIELDS = ("beta1", "beta2", "corrected")


def train(
    task: Task,
    settings: Settings,
    epochs: int,
    *,
    on_epoch: Callable[[nn.Module, Optimizer], None] | None = None,
    max_steps: int | None = None,
) -> tuple[nn.Module, list[float], History]:
    """Train one network.

    Parameters
    ----------
    task : Task
        What to train.
    settings : dict
        "optimizer", a key of ``METHODS``, "lr" and "seed".
    epochs : int
        Length of the run.
    on_epoch : function, optional
        Called with network and optimizer after each epoch.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.

    Returns
    -------
    model, costs, history : Module, list of float, History
        The cost of an epoch is the mean of its losses, with dropout, and the penalty at
        its end.
    """
    parts, method = task.data(), METHODS[settings["optimizer"]]
    torch.manual_seed(settings["seed"])
    network = task.model(parts)
    model = BFloat16(network) if task.bfloat16 else network
    optimizer = method.make(model.parameters(), settings["lr"], task.l2)
    falls = task.schedule and method.decays
    costs: list[float] = []

    def note(_: int, history: History) -> None:
        squares = sum(p.detach().square().sum().item() for p in model.parameters())
        costs.append(history.train_losses[-1] + task.l2 / 2 * squares)
        if on_epoch is not None:
            on_epoch(network, optimizer)

    history = fit(
        model,
        optimizer,
        parts["train"],
        epochs=epochs,
        batch_size=BATCH_SIZE,
        seed=settings["seed"],
        scheduler=(
            LambdaLR(optimizer, lambda step: 1 / math.sqrt(step + 1)) if falls else None
        ),
        on_epoch=note,
        max_steps=max_steps,
        progress=False,
    )
    return model, costs, history


def roots_of_v(network: nn.Module, optimizer: Optimizer) -> dict[str, list[float]]:
    """Return how large the root of v-hat is in each layer of weights.

    Parameters
    ----------
    network : Module
        Whose layers; they are named by their numbers.
    optimizer : Optimizer
        An :class:`adam_tutorial.optim.Adam` that trains it.

    Returns
    -------
    dict of str to list of float
        The median over a layer's weights, and the share of them that lie below eps.
    """
    eps = optimizer.param_groups[0]["eps"]
    return {
        layer: [
            float(f"{root.median().item():.3g}"),
            round((root < eps).double().mean().item(), 4),
        ]
        for layer, _, root in corrected_moments(network, optimizer)
    }


def chosen_rates(tuning: list[Row]) -> dict[tuple[str, str], float]:
    """Return the learning rate with the lowest cost of the last epoch.

    Parameters
    ----------
    tuning : list of dict
        The runs that choose.

    Returns
    -------
    dict
        For each pair of task and optimizer. A run that diverged is not chosen.
    """
    pairs = dict.fromkeys((row["task"], row["optimizer"]) for row in tuning)
    return {
        (task, name): best_setting(
            matching(tuning, task=task, optimizer=name), "cost", ("lr",)
        )[0]
        for task, name in pairs
    }


def chosen_vae_rates(grid: list[Row], epochs: int) -> list[Settings]:
    """Return the best learning rate after some epochs, for each other setting.

    Parameters
    ----------
    grid : list of dict
        The runs of the grid.
    epochs : int
        One of ``VAE_EPOCHS``.

    Returns
    -------
    list of dict
        The four settings, and "epochs".
    """
    found = []
    for values in _combinations():
        some = matching(grid, **values)
        (lr,) = best_setting(some, f"loss_{epochs}", ("lr",))
        found.append({**values, "lr": lr, "epochs": epochs})
    return found


def _combinations() -> list[Settings]:
    return [
        dict(zip(VAE_FIELDS, values, strict=True))
        for values in product(BETA1, BETA2, (True, False))
    ]


def _longest_first(plan: list[Settings]) -> list[Settings]:
    # Processes would wait for one that begins a long run at the end.
    order = ["convolutional", "convolutional, dropout", "vae", *reversed(TASKS)]
    return sorted(plan, key=lambda settings: order.index(settings["task"]))


def _tuning(_: Rows) -> list[Settings]:
    classifiers = [
        {"task": name, "optimizer": optimizer, "lr": lr, "seed": TUNING_SEED}
        for name, task in TASKS.items()
        for optimizer, rates in task.rates.items()
        for lr in rates
    ]
    autoencoders = [
        {**values, "lr": lr, "epochs": VAE_EPOCHS[-1], "seed": TUNING_SEED}
        for values in _combinations()
        for lr in VAE_RATES
    ]
    return _longest_first(
        classifiers + [{"task": "vae", **one} for one in autoencoders]
    )


def _final(rows: Rows) -> list[Settings]:
    classifiers = [
        {"task": name, "optimizer": optimizer, "lr": lr}
        for (name, optimizer), lr in chosen_rates(_classifiers(rows["tuning"])).items()
    ]
    autoencoders = [
        {"task": "vae", **settings}
        for epochs in VAE_EPOCHS[::-1]
        for settings in chosen_vae_rates(matching(rows["tuning"], task="vae"), epochs)
    ]
    return [
        {**settings, "seed": seed}
        for settings in _longest_first(classifiers + autoencoders)
        for seed in FINAL_SEEDS
    ]


def _classifiers(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["task"] != "vae"]


def _run(stage: str, settings: Settings) -> Row:
    if settings["task"] == "vae":
        return settings | _vae_scores(settings)
    task = TASKS[settings["task"]]
    if stage == "tuning":
        _, costs, _ = train(task, settings, task.tuning_epochs)
        return {**settings, "cost": short(costs[-1])}
    roots: list[dict[str, list[float]]] = []

    def watch(network: nn.Module, optimizer: Optimizer) -> None:
        roots.append(roots_of_v(network, optimizer))

    watched = settings["optimizer"] == "Adam" and task.bfloat16
    model, costs, history = train(
        task, settings, task.epochs, on_epoch=watch if watched else None
    )
    found = evaluate(model, task.data()["test"])
    return {
        **settings,
        "cost": short(costs[-1]),
        "costs": listed(costs),
        "test_loss": short(found.loss),
        "test_accuracy": round(found.accuracy, 4),
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "roots_of_v": {
            layer: [listed([one[layer][k] for one in roots]) for k in (0, 1)]
            for layer in (roots[0] if roots else ())
        },
    }


def _vae_scores(settings: Settings) -> Row:
    losses, steps = paper_vae.train(settings, settings["epochs"])
    reached = dict(enumerate(losses, start=1))
    return {
        **{
            f"loss_{epochs}": short(reached.get(epochs, math.nan))
            for epochs in VAE_EPOCHS
            if epochs <= settings["epochs"]
        },
        "losses": listed(losses),
        "first_step_losses": shortened(steps[:FIRST_STEPS]),
    }


def _results(rows: Rows) -> dict[str, Any]:
    grid = matching(rows["tuning"], task="vae")
    rates = chosen_rates(_classifiers(rows["tuning"]))
    found: dict[str, Any] = {
        name: {
            "epochs": task.epochs,
            "tuning_epochs": task.tuning_epochs,
            "chosen": {
                optimizer: lr for (of, optimizer), lr in rates.items() if of == name
            },
            "tuning": part_of(rows["tuning"], task=name),
            "final": part_of(rows["final"], task=name),
        }
        for name, task in TASKS.items()
    }
    found["vae"] = {
        "chosen": [one for n in VAE_EPOCHS for one in chosen_vae_rates(grid, n)],
        "grid": part_of(grid, task="vae"),
        "final": part_of(rows["final"], task="vae"),
    }
    return found


STUDY = Study(
    "adam_tutorial.study.experiments.paper",
    {"tuning": _tuning, "final": _final},
    _run,
    _results,
    dtype="float32",
    described={
        "passes": "bfloat16 in 6.2 to 6.4",
        "data": "the paper's" if FOLDER else "smaller",
        "batch_size": BATCH_SIZE,
        "dropout": DROPOUT,
        "l2": {name: task.l2 for name, task in TASKS.items()},
    },
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
