"""Programs in PyTorch and in Keras: how nearly do both learn the same.

It is asked twice of those in :mod:`adam_tutorial.study.programs`. *Alike*: both start
from the same weights, both see the same batches, and nothing else is random. The losses
should agree, but for what the two Adams do differently. *Alone*: each program runs as
it is, with the first weights, order, changed pictures and dropout that its library
draws. The answers should be right equally often.

Keras runs on JAX.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import Adam

from adam_tutorial._types import Float64Array
from adam_tutorial.libraries import eps_at
from adam_tutorial.study import arrays
from adam_tutorial.study.experiments.records import Row, as_digits, matching
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.paired import Paired, paired_difference, right_answers
from adam_tutorial.study.programs import digits_torch, reviews_torch

__all__ = [
    "AdamWithHat",
    "alike",
    "alone",
    "compared",
    "copy_weights",
    "in_keras",
    "right",
]

TASKS = {"digits": arrays.digits, "reviews": arrays.reviews}
IN_TORCH: dict[str, ModuleType] = {"digits": digits_torch, "reviews": reviews_torch}
NETWORKS: dict[str, Any] = {
    "digits": digits_torch.network,
    "reviews": reviews_torch.Network,
}
EPOCHS = {"digits": 10, "reviews": 3}
# What a program changes at random in its examples, or in its network.
STILL = {"digits": {"AMOUNT": 0.0}, "reviews": {"DROPOUT": 0.0}}
SEEDS_ALIKE = (0, 1, 2)
SEEDS_ALONE = tuple(range(10))


def in_keras(task: str) -> ModuleType:
    """Return the program of a task in Keras, which runs on JAX and on one thread.

    Parameters
    ----------
    task : str
        A key of ``TASKS``.

    Raises
    ------
    RuntimeError
        Keras has been loaded with another backend: it keeps the first.
    """
    os.environ["KERAS_BACKEND"] = "jax"
    # Keras reads its settings there, and writes them.
    os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import keras

    if keras.config.backend() != "jax":
        raise RuntimeError(f"Keras has been loaded on {keras.config.backend()}")
    from adam_tutorial.study.programs import digits_keras, reviews_keras

    return {"digits": digits_keras, "reviews": reviews_keras}[task]


class AdamWithHat(Adam):
    """PyTorch's Adam with the epsilon that Keras's default amounts to at each step."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        """Take a step."""
        self.steps += 1
        for group in self.param_groups:
            group["eps"] = eps_at(1e-7, self.steps, group["betas"][1])
        return super().step(closure)


@torch.no_grad()
def copy_weights(model: Any, network: torch.nn.Module) -> None:
    """Give a network of PyTorch the weights of a model of Keras.

    Parameters
    ----------
    model : keras.Model
        Dense and convolutional layers and embeddings, none behind a ``Flatten`` of more
        than one channel.
    network : Module
        The same layers in the same order.
    """
    for theirs, ours in zip(model.trainable_weights, network.parameters(), strict=True):
        value = torch.tensor(np.asarray(theirs.value))
        # A kernel has its outputs last in Keras, and first in PyTorch.
        axes = range(value.ndim)
        ours.copy_(value.permute(*axes[::-1] if theirs.name == "kernel" else axes))


def alike(
    task: str,
    seed: int,
    epochs: int,
    *,
    adam: type[Adam] = Adam,
    examples: int | None = None,
) -> Row:
    """Train both programs from the same weights, on the same batches.

    Pictures are not changed, and nothing is dropped.

    Parameters
    ----------
    task : str
        A key of ``TASKS``.
    seed : int
        Of the first weights, and of the order of the examples, which is the same in
        each epoch.
    epochs : int
    adam : class
        The optimizer of the program in PyTorch.
    examples : int, optional
        How many to learn from; by default all.

    Returns
    -------
    dict
        Of each library ``losses``, one for each epoch, and ``answers``, a string with
        one digit for each test example.
    """
    theirs, ours = in_keras(task), IN_TORCH[task]
    import keras

    (x, y), (x_test, _) = TASKS[task]()
    order = np.random.default_rng(seed).permutation(len(y))[:examples]
    keras.utils.set_random_seed(seed)
    with _with(theirs, **STILL[task]), _with(ours, **STILL[task], Adam=adam):
        model, network = theirs.network(), NETWORKS[task]()
        copy_weights(model, network)
        return {
            library: _row(
                program.train(it, x[order], y[order], epochs, shuffle=False),
                program.answers(it, x_test),
            )
            for library, program, it in (
                ("torch", ours, network),
                ("keras", theirs, model),
            )
        }


@contextlib.contextmanager
def _with(program: ModuleType, **changed: Any) -> Iterator[None]:
    usual = {name: getattr(program, name) for name in changed}
    vars(program).update(changed)
    try:
        yield
    finally:
        vars(program).update(usual)


def alone(task: str, seed: int) -> Row:
    """Run both programs as they are, and PyTorch's from its own kind of first weights.

    The program says how Keras draws them; the third run draws them as PyTorch's layers
    do.

    Parameters
    ----------
    task : str
        A key of ``TASKS``.
    seed : int
        Handed to each program.

    Returns
    -------
    dict
        As :func:`alike` returns it, with a third run, ``own``.
    """
    ours, name = IN_TORCH[task], NETWORKS[task].__name__

    def with_own_weights() -> torch.nn.Module:
        network: torch.nn.Module = NETWORKS[task]()
        for layer in network.modules():
            reset: Any = getattr(layer, "reset_parameters", None)
            if reset is not None:
                reset()
        return network

    runs: dict[str, tuple[ModuleType, dict[str, Any]]] = {
        "torch": (ours, {}),
        "keras": (in_keras(task), {}),
        "own": (ours, {name: with_own_weights}),
    }
    found = {}
    for run, (program, changed) in runs.items():
        with _with(program, **changed), contextlib.redirect_stdout(io.StringIO()):
            found[run] = _row(*program.main(seed))
    return found


def _row(losses: list[float], answers: NDArray[np.int64]) -> Row:
    return {
        "losses": [float(f"{loss:.6g}") for loss in losses],
        "answers": as_digits(answers),
    }


def compared(rows: list[Row], task: str, *, run: str = "torch") -> Paired:
    """Compare the right answers of a program in PyTorch with those of Keras.

    Parameters
    ----------
    rows : list of dict
        The stored runs, of which those of the task are taken.
    task : str
        A key of ``TASKS``.
    run : {"torch", "own"}
        Which of PyTorch's runs.

    Returns
    -------
    Paired
        The difference is positive where PyTorch has more.
    """
    return paired_difference(right(rows, task, run), right(rows, task, "keras"))


def right(rows: list[Row], task: str, run: str) -> Float64Array:
    """Return 1 for each right and 0 for each wrong answer, (seeds, examples).

    Parameters
    ----------
    rows, task, run
        As for :func:`compared`.
    """
    _, (_, labels) = TASKS[task]()
    answers = [row[run]["answers"] for row in matching(rows, task=task)]
    return right_answers(answers, labels)


def _alike(_: Rows) -> list[Settings]:
    return [
        {"task": task, "seed": seed, "hat": hat}
        for task in TASKS
        for seed in SEEDS_ALIKE
        for hat in (False, True)
    ]


def _alone(_: Rows) -> list[Settings]:
    return [{"task": task, "seed": seed} for task in TASKS for seed in SEEDS_ALONE]


def _run(stage: str, settings: Settings) -> Row:
    task, seed = settings["task"], settings["seed"]
    if stage == "alone":
        return settings | alone(task, seed)
    adam = AdamWithHat if settings["hat"] else Adam
    return settings | alike(task, seed, EPOCHS[task], adam=adam)


def _results(rows: Rows) -> dict[str, Any]:
    return {name: version(name) for name in ("keras", "jax")} | rows


STUDY = Study(
    "adam_tutorial.study.experiments.two_libraries",
    {"alike": _alike, "alone": _alone},
    _run,
    _results,
    dtype="float32",
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
