"""Adam against SFO, a quasi-Newton method, as in section 6.2 of the Adam paper.

The network of 6.2 with two hidden layers of 1,000 units, with and without dropout, on
minibatches that stay the same for the whole run, as SFO needs them. Adam's learning
rate is tuned, SFO has none. Everything is counted in evaluations of the loss and
gradient of one minibatch, of which an epoch has as many as there are minibatches; a
step of SFO that fails takes two or more.

Passes, weights, and what both optimizers keep for each weight are in float32; because
the authors' program of SFO uses float64, SFO runs in that as well.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import count, cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from adam_tutorial.study.experiments import paper
from adam_tutorial.study.experiments.paper_data import FOLDER, digits
from adam_tutorial.study.experiments.records import (
    Row,
    listed,
    part_of,
    short,
    shortened,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.sum_of_functions import SumOfFunctions

__all__ = ["Losses", "train"]

TASKS = ("dense", "dense, dropout")
# 4,000 digits in batches of 129 or 130, nearly the paper's 128, and in batches of 500.
PARTS, FEW_PARTS = 31, 8
TIMED_AFTER, TIMED = 4, 31  # epochs, steps


class Losses:
    """The loss on each minibatch as a function of all parameters in one vector.

    Parameters
    ----------
    task : str
        Which network and penalty, of those in ``paper``.
    parts : int
        How many minibatches.
    seed : int
        Of the first weights, of what is in which minibatch, and of the dropout.
    dtype : {"float32", "float64"}, optional
        Type of everything, from the same first weights; torch's default type.

    Attributes
    ----------
    model : Module
        The network.
    values : list of float
        What each call returned, for the record.
    """

    model: nn.Module
    values: list[float]

    def __init__(
        self, task: str, parts: int, seed: int, dtype: str | None = None
    ) -> None:
        torch.manual_seed(seed)
        self.task = paper.TASKS[task]
        kind = getattr(torch, dtype) if dtype else torch.get_default_dtype()
        self.model = self.task.model({}).to(kind)
        self.parameters = list(self.model.parameters())
        self.values = []
        images, self.labels = digits()["train"]
        self.images = images.to(kind)
        order = torch.randperm(
            len(self.labels), generator=torch.Generator().manual_seed(seed)
        )
        self.parts = order.tensor_split(parts)

    def __call__(self, theta: Tensor, part: int) -> tuple[float, Tensor]:
        """Return the loss with its penalty, and its gradient in one vector."""
        # The parameters become views of the vector.
        vector_to_parameters(theta, self.parameters)
        return self.here(part)

    def here(self, part: int) -> tuple[float, Tensor]:
        """Return the same at the present parameters."""
        loss = self._mean_loss(self.parts[part])
        gradients = torch.autograd.grad(loss, self.parameters)
        theta = parameters_to_vector(self.parameters).detach()
        gradient = parameters_to_vector(gradients).add_(theta, alpha=self.task.l2)
        self.values.append(loss.item() + self._penalty(theta))
        return self.values[-1], gradient

    def whole(self) -> float:
        """Return the cost on all examples, with dropout where the task has it."""
        with torch.no_grad():
            mean = sum(
                self._mean_loss(part).item() * len(part) for part in self.parts
            ) / len(self.labels)
            return mean + self._penalty(parameters_to_vector(self.parameters))

    def _mean_loss(self, part: Tensor) -> Tensor:
        return nn.functional.cross_entropy(
            self.model(self.images[part]), self.labels[part]
        )

    def _penalty(self, theta: Tensor) -> float:
        return self.task.l2 / 2 * theta.square().sum().item()


def train(
    settings: Settings, epochs: int, *, max_evaluations: int | None = None
) -> tuple[Losses, list[float], int]:
    """Train one network.

    Parameters
    ----------
    settings : dict
        "task", "optimizer" ("Adam" or "SFO"), "parts", "seed", for Adam "lr", and
        "dtype" where it is not torch's default type.
    epochs : int
        Length of the run: as many evaluations as there are minibatches, so many times.
    max_evaluations : int, optional
        Stop after so many, on the path of the full run.

    Returns
    -------
    losses, costs, numbers : Losses, list of float, int
        The cost of all examples at the start and after each epoch, and how many numbers
        the optimizer kept at the end.
    """
    parts, seed = settings["parts"], settings["seed"]
    losses = Losses(settings["task"], parts, seed, settings.get("dtype"))
    make = _sfo if settings["optimizer"] == "SFO" else _adam
    step, numbers = make(losses, settings)
    # Under dropout, looking at the cost must not change the masks of the run.
    costs = [_aside(losses.whole)]
    while len(costs) <= epochs:
        step()
        if max_evaluations and len(losses.values) >= max_evaluations:
            break
        while len(losses.values) >= len(costs) * parts and len(costs) <= epochs:
            costs.append(_aside(losses.whole))
    return losses, costs, numbers()


def _aside(look: Callable[[], float]) -> float:
    with torch.random.fork_rng():
        return look()


Made = tuple[Callable[[], None], Callable[[], int]]


def _sfo(losses: Losses, settings: Settings) -> Made:
    start = parameters_to_vector(losses.parameters).detach()
    sfo = SumOfFunctions(losses, start, settings["parts"], seed=settings["seed"])

    def step() -> None:
        sfo.step()
        vector_to_parameters(sfo.theta, losses.parameters)

    return step, lambda: sfo.numbers


def _adam(losses: Losses, settings: Settings) -> Made:
    # The penalty is in the gradient already.
    optimizer = paper.METHODS["Adam"].make(losses.parameters, settings["lr"], 0.0)
    generator = torch.Generator().manual_seed(settings["seed"])
    visits = (
        part
        for _ in count()
        for part in torch.randperm(settings["parts"], generator=generator).tolist()
    )
    sizes = [parameter.numel() for parameter in losses.parameters]

    def step() -> None:
        _, gradient = losses.here(next(visits))
        pieces = gradient.split(sizes)
        for parameter, piece in zip(losses.parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        optimizer.step()

    def numbers() -> int:
        moments = ("exp_avg", "exp_avg_sq")
        states = optimizer.state.values()
        return sum(state[name].numel() for state in states for name in moments)

    return step, numbers


def _timed(settings: Settings) -> Row:
    """Return the median milliseconds of an evaluation, alone and within a step."""
    parts = settings["parts"]
    losses = {
        name: Losses(TASKS[0], parts, settings["seed"])
        for name in ("SFO", "Adam", "gradient")
    }
    sfo, _ = _sfo(losses["SFO"], settings)
    adam, _ = _adam(losses["Adam"], settings)
    visits = cycle(range(parts))
    acts: dict[str, Callable[[], object]] = {
        "SFO": sfo,
        "Adam": adam,
        "gradient": lambda: losses["gradient"].here(next(visits)),
    }
    while len(losses["SFO"].values) < TIMED_AFTER * parts:
        sfo()
    found: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(TIMED):
        for name, act in acts.items():
            before, started = len(losses[name].values), time.perf_counter()
            act()
            passed = time.perf_counter() - started
            evaluations = len(losses[name].values) - before
            found[name].append(1000 * passed / evaluations)
    medians = {name: round(statistics.median(some), 1) for name, some in found.items()}
    return settings | {"milliseconds": medians}


def _tuning(_: Rows) -> list[Settings]:
    return [
        {
            "task": task,
            "optimizer": "Adam",
            "parts": PARTS,
            "lr": lr,
            "seed": paper.TUNING_SEED,
        }
        for task in TASKS
        for lr in paper.TASKS[task].rates["Adam"]
    ]


def _final(rows: Rows) -> list[Settings]:
    rates = paper.chosen_rates(rows["tuning"])
    # The slow ones first: processes would wait for one that begins them at the end.
    compared: list[Settings] = [
        *({"task": task, "optimizer": "SFO", "parts": PARTS} for task in TASKS),
        {"task": TASKS[0], "optimizer": "SFO", "parts": PARTS, "dtype": "float64"},
        {"task": TASKS[0], "optimizer": "SFO", "parts": FEW_PARTS},
        *(
            {
                "task": task,
                "optimizer": "Adam",
                "parts": PARTS,
                "lr": rates[task, "Adam"],
            }
            for task in TASKS
        ),
    ]
    return [{**one, "seed": seed} for one in compared for seed in paper.FINAL_SEEDS]


def _times(rows: Rows) -> list[Settings]:
    # One after the other: nothing else runs in this stage.
    lr = paper.chosen_rates(rows["tuning"])[TASKS[0], "Adam"]
    return [{"parts": PARTS, "lr": lr, "seed": paper.TUNING_SEED}]


def _run(stage: str, settings: Settings) -> Row:
    if stage == "times":
        return _timed(settings)
    task = paper.TASKS[settings["task"]]
    if stage == "tuning":
        _, costs, _ = train(settings, task.tuning_epochs)
        return {**settings, "cost": short(costs[-1])}
    losses, costs, numbers = train(settings, task.epochs)
    size = sum(parameter.numel() for parameter in losses.parameters)
    return {
        **settings,
        "cost": short(costs[-1]),
        "costs": listed(costs),
        "numbers_per_parameter": round(numbers / size, 2),
        "first_losses": shortened(losses.values[: paper.FIRST_STEPS]),
    }


def _results(rows: Rows) -> dict[str, Any]:
    rates = paper.chosen_rates(rows["tuning"])
    return {
        "epochs": {task: paper.TASKS[task].epochs for task in TASKS},
        "tuning_epochs": {task: paper.TASKS[task].tuning_epochs for task in TASKS},
        "chosen": {task: rates[task, "Adam"] for task in TASKS},
        "tuning": {task: part_of(rows["tuning"], task=task) for task in TASKS},
        "final": {task: part_of(rows["final"], task=task) for task in TASKS},
        "times": rows["times"],
    }


STUDY = Study(
    "adam_tutorial.study.experiments.paper_sfo",
    {"tuning": _tuning, "final": _final, "times": _times},
    _run,
    _results,
    dtype="float32",
    described={
        "data": "the paper's" if FOLDER else "smaller",
        "dropout": paper.DROPOUT,
        "l2": {task: paper.TASKS[task].l2 for task in TASKS},
    },
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
