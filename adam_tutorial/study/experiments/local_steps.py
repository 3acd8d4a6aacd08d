"""Sending less: four processes learn the digits, and average every step or rarely.

Every way sees the same number of digits, 80 at a time by all processes together, or 400
where gradients are accumulated over five batches. They are sheared and zoomed anew each
time, so that none is learned by heart. The learning rate of each way is the one of five
with the lowest validation loss over the tuning seeds; rate and momentum of the outer
steps are those of the DiLoCo paper.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional

from adam_tutorial.distributed import LocalSteps, tree_gradients
from adam_tutorial.optim import Adam
from adam_tutorial.study.data import shear_and_zoom
from adam_tutorial.study.experiments.comparison import best_learning_rates
from adam_tutorial.study.experiments.images import SIZES, digit_examples
from adam_tutorial.study.experiments.records import (
    Row,
    finite,
    scores,
    two_a_decade,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.training import Examples, evaluate

__all__ = ["Way", "in_processes", "study_of", "train"]

RANKS = 4
STEPS = 600
BATCH = 80
RATES = two_a_decade(-4, -1)[1:6]
TUNING_SEEDS = (100, 101)
FINAL_SEEDS = (0, 1, 2, 3, 4)
FIRST_STEPS = 10


@dataclass(frozen=True)
class Way:
    """How often processes talk, and about what.

    Attributes
    ----------
    every : int
        Local steps between two averages; 1 with ``outer`` None averages gradients.
    outer : tuple of float or None
        Learning rate and momentum of the outer step.
    accumulated : int
        Batches whose gradients make one step.
    """

    every: int = 1
    outer: tuple[float, float] | None = None
    accumulated: int = 1


PAPER = (0.7, 0.9)
WAYS = {
    "gradients, every step": Way(),
    "gradients, 5 batches a step": Way(accumulated=5),
    "parameters, every 25": Way(25, (1.0, 0.0)),
    "DiLoCo, every 5": Way(5, PAPER),
    "DiLoCo, every 25": Way(25, PAPER),
    "DiLoCo, every 100": Way(100, PAPER),
}


def train(
    way: Way,
    lr: float,
    seed: int,
    examples: Examples,
    steps: int = STEPS,
    *,
    max_batches: int | None = None,
) -> tuple[nn.Module, list[float], int]:
    """Train in this process, together with the others.

    Parameters
    ----------
    way, lr, seed : Way, float, int
        The run.
    examples : pair of Tensor
        Of which each process takes its part of every batch.
    steps : int
        Batches of 80 to see.
    max_batches : int, optional
        Stop after so many, on the path of the whole run.

    Returns
    -------
    model, losses, bytes_sent
        The model after the last step; this process's loss at each of its steps; what it
        sent.
    """
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(seed)
    model = DenseNet()
    inner = Adam(model.parameters(), lr=lr)
    local = None
    if way.outer is not None:
        rate, momentum = way.outer
        local = LocalSteps(
            model.parameters(), inner, every=way.every, lr=rate, momentum=momentum
        )
    inputs, labels = examples
    size = BATCH * way.accumulated
    batches = len(labels) // size
    losses, sent = [], 0
    for step in range((max_batches or steps) // way.accumulated):
        epoch, batch = divmod(step, batches)
        order = np.random.default_rng((seed, epoch)).permutation(len(labels))
        parts = torch.from_numpy(order).split(size)[batch].chunk(ranks)

        def loss(number: int, parts: Any = parts, step: int = step) -> torch.Tensor:
            rows = parts[number]
            own = torch.Generator().manual_seed((seed * steps + step) * ranks + number)
            images = shear_and_zoom(inputs[rows], own)
            return functional.cross_entropy(model(images), labels[rows])

        if local is None:
            done = tree_gradients(model, loss, ranks, seed=seed, step=step)
            inner.step()
            losses.append(done.loss)
            sent += done.bytes_sent
        else:
            model.zero_grad()
            own = loss(rank)
            own.backward()
            local.step()
            losses.append(own.item())
    return model, losses, sent if local is None else local.bytes_sent


def study_of(
    module: str, tuning_seeds: tuple[int, ...], final_seeds: tuple[int, ...], steps: int
) -> Study:
    """Return the study that tunes the learning rate of every way, trains, and tests.

    Parameters
    ----------
    module : str
        Full name of the module that will hold the study.
    tuning_seeds, final_seeds : tuple of int
        For each learning rate, and for the best one of each way.
    steps : int
        As for :func:`train`.
    """

    def tuning(_: Rows) -> list[Settings]:
        return [
            {"way": name, "lr": lr, "seed": seed}
            for name in WAYS
            for lr in RATES
            for seed in tuning_seeds
        ]

    def chosen(rows: Rows) -> dict[str, float]:
        return best_learning_rates(rows["tuning"], of="way")

    def final(rows: Rows) -> list[Settings]:
        return [
            {"way": name, "lr": lr, "seed": seed}
            for name, lr in chosen(rows).items()
            for seed in final_seeds
        ]

    def run(stage: str, settings: Settings) -> Row:
        part = "validation" if stage == "tuning" else "test"
        found: Row = in_processes(_row, settings, part, steps)[0]
        return settings | found

    def results(rows: Rows) -> dict[str, Any]:
        return {
            "ranks": RANKS,
            "steps": steps,
            "batch_size": BATCH,
            "grid": RATES,
            "chosen": chosen(rows),
            **rows,
        }

    return Study(module, {"tuning": tuning, "final": final}, run, results)


def _row(settings: Settings, part: str, steps: int) -> Row:
    """Return what one of the processes found, without the settings."""
    examples = digit_examples(SIZES)
    way, lr, seed = WAYS[settings["way"]], settings["lr"], settings["seed"]
    model, losses, sent = train(way, lr, seed, examples["train"], steps)
    return {
        "bytes": sent,
        **scores(part, evaluate(model, examples[part])),
        "first_losses": [finite(loss) for loss in losses[:FIRST_STEPS]],
    }


def in_processes(
    work: Callable[..., Any], *arguments: Any, ranks: int = RANKS
) -> list[Any]:
    """Run a function in processes that form a group, and return what each returned.

    Parameters
    ----------
    work : function
        That another process can import.
    *arguments
        For it.
    ranks : int
        How many processes.

    Raises
    ------
    RuntimeError
        One of them failed.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        queue = context.SimpleQueue()
        processes = [
            context.Process(
                target=_member, args=(rank, ranks, folder, queue, work, arguments)
            )
            for rank in range(ranks)
        ]
        for process in processes:
            process.start()
        results: dict[int, Any] = {}
        try:
            while len(results) < ranks:
                if not queue.empty():
                    rank, result = queue.get()
                    results[rank] = result
                elif any(process.exitcode for process in processes):
                    raise RuntimeError("one of the processes failed")
                else:
                    time.sleep(0.01)
        finally:
            for process in processes:
                if len(results) < ranks:
                    process.kill()
                process.join()
    return [results[rank] for rank in range(ranks)]


def _member(
    rank: int,
    ranks: int,
    folder: str,
    queue: Any,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{Path(folder) / 'rendezvous'}",
        rank=rank,
        world_size=ranks,
    )
    queue.put((rank, work(*arguments)))
    dist.barrier()
    dist.destroy_process_group()


STUDY = study_of(
    "adam_tutorial.study.experiments.local_steps", TUNING_SEEDS, FINAL_SEEDS, STEPS
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
