from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from adam_tutorial.study.data import UNKNOWN, Images, Reviews, split, tokenize
from adam_tutorial.study.experiments import comparison, images, stored_runs, text
from adam_tutorial.study.experiments.comparison import (
    GRID,
    OPTIMIZERS,
    Run,
    Task,
    best_learning_rates,
    train,
)
from tests.study.experiments.stored import need_its_masks

pytestmark = pytest.mark.usefixtures("float64")

both = pytest.mark.parametrize("module", [images, text], ids=["images", "text"])


# The tasks


@cache
def tasks_of(module: ModuleType) -> dict[str, Task]:
    assert torch.get_default_dtype() == torch.float64
    return {task.name: task for task in module.tasks()}


@both
def test_parts_have_the_documented_sizes_and_every_task_has_seeds(
    module: ModuleType,
) -> None:
    tasks = tasks_of(module)
    assert set(tasks) == set(module.SEEDS)
    for task in tasks.values():
        assert {
            part: len(labels) for part, (_, labels) in task.examples.items()
        } == module.SIZES
        assert {
            part: len(inputs) for part, (inputs, _) in task.examples.items()
        } == module.SIZES
        assert set(task.examples) == {"train", "validation", "test"}


@both
def test_final_seeds_are_not_those_of_the_tuning(module: ModuleType) -> None:
    for seeds in module.SEEDS.values():
        assert not set(seeds["tuning_seeds"]) & set(seeds["final_seeds"])


@both
def test_model_of_each_task_takes_its_inputs(module: ModuleType) -> None:
    for task in tasks_of(module).values():
        inputs, labels = task.examples["validation"]
        classes = 1 + int(labels.max())
        assert task.model()(inputs[:3]).shape == (3, classes)
        assert next(task.model().parameters()).dtype == torch.float64
        if task.transform is not None:
            changed = task.transform(inputs[:3], torch.Generator().manual_seed(0))
            assert changed.shape == inputs[:3].shape
            assert not torch.equal(changed, inputs[:3])


def test_no_digit_is_in_two_parts(digits: Images) -> None:
    task = tasks_of(images)["dense"]
    kept: dict[bytes, set[str]] = {}
    for part, (inputs, _) in task.examples.items():
        for image in inputs.mul(255).round().to(torch.uint8).numpy():
            kept.setdefault(image.tobytes(), set()).add(part)
    assert all(len(parts) == 1 for parts in kept.values())
    assert len(kept) == 5000 == len({image.tobytes() for image in digits.pixels})


def test_digits_keep_their_labels(digits: Images) -> None:
    label = {
        image.tobytes(): int(number)
        for image, number in zip(digits.pixels, digits.labels, strict=True)
    }
    inputs, labels = tasks_of(images)["cnn"].examples["test"]
    pixels = inputs.mul(255).round().to(torch.uint8).numpy()
    assert [label[image.tobytes()] for image in pixels] == labels.tolist()


def test_no_review_is_in_two_parts_and_rare_words_of_the_training_texts_are_unknown(
    reviews: Reviews,
) -> None:
    parts = split(reviews.labels, text.SIZES, seed=0)
    rows = np.concatenate(list(parts.values()))
    assert len(set(rows.tolist())) == len(rows) == len(reviews.texts)

    training = [tokenize(reviews.texts[row]) for row in parts["train"]]
    vocabulary = text.vocabulary(training)
    assert vocabulary.counts[2:].min() == 2
    examples = tasks_of(text)["textcnn"].examples
    for part, numbers in parts.items():
        documents = [tokenize(reviews.texts[row]) for row in numbers]
        encoded = vocabulary.encode(documents, length=text.LENGTH)
        assert (examples[part][0].numpy() == encoded).all()
        assert (examples[part][1].numpy() == reviews.labels[numbers]).all()
    assert (examples["test"][0] == UNKNOWN).any()
    assert examples["train"][0].max() == len(vocabulary) - 1


# The stored results


stored = cache(stored_runs)

stored_tasks = pytest.mark.parametrize(
    ("module", "task"),
    [(images, "dense"), (images, "cnn"), (text, "textcnn")],
    ids=["dense", "cnn", "textcnn"],
)


def name_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def results_of(module: ModuleType, task: str) -> dict[str, Any]:
    results: dict[str, Any] = stored(name_of(module))["results"][task]
    return results


@stored_tasks
@pytest.mark.parametrize("length", ["final", "long"])
def test_first_steps_of_the_stored_runs_are_repeated(
    module: ModuleType, task: str, length: str
) -> None:
    described = tasks_of(module)[task]
    if any(isinstance(layer, nn.Dropout) for layer in described.model().modules()):
        need_its_masks(stored(name_of(module)))
    if length == "long":
        described = replace(described, epochs=described.long_epochs or described.epochs)
    for row in results_of(module, task)[length]:
        losses = row["first_step_losses"]
        _, history = train(
            described,
            Run(row["optimizer"], row["lr"], row["seed"]),
            parts=("train", "validation"),
            max_steps=len(losses),
        )
        assert len(losses) == comparison.FIRST_STEPS
        assert history.step_losses == pytest.approx(losses, rel=1e-6)


@stored_tasks
def test_stored_choice_of_learning_rates_is_that_of_the_stored_tuning(
    module: ModuleType, task: str
) -> None:
    results = results_of(module, task)
    assert results["chosen"] == best_learning_rates(results["tuning"])


@stored_tasks
def test_stored_runs_are_those_that_the_experiment_describes(
    module: ModuleType, task: str
) -> None:
    results, described, seeds = (
        results_of(module, task),
        tasks_of(module)[task],
        module.SEEDS[task],
    )
    for key in ("epochs", "batch_size", "long_epochs"):
        assert results[key] == getattr(described, key)
    assert results["grid"] == list(GRID)
    runs = {
        key: [(r["optimizer"], r["lr"], r["seed"]) for r in results[key]]
        for key in ("tuning", "final", "long")
    }
    assert runs["tuning"] == [
        (name, lr, seed)
        for name in OPTIMIZERS
        for lr in GRID
        for seed in seeds["tuning_seeds"]
    ]
    assert runs["final"] == [
        (name, results["chosen"][name], seed)
        for name in OPTIMIZERS
        for seed in seeds["final_seeds"]
    ]
    assert runs["long"] == (runs["final"] if described.long_epochs else [])


@stored_tasks
def test_stored_best_learning_rates_are_not_at_an_end_of_the_grid(
    module: ModuleType, task: str
) -> None:
    assert all(
        GRID[0] < lr < GRID[-1] for lr in results_of(module, task)["chosen"].values()
    )


@stored_tasks
def test_stored_predictions_have_the_stored_accuracy(
    module: ModuleType, task: str
) -> None:
    _, labels = tasks_of(module)[task].examples["test"]
    results = results_of(module, task)
    for row in [*results["final"], *results["long"]]:
        right = torch.tensor([int(digit) for digit in row["predictions"]]) == labels
        assert row["test_accuracy"] == pytest.approx(
            right.double().mean().item(), abs=1e-12
        )


@both
def test_stored_results_say_how_they_were_made(module: ModuleType) -> None:
    record = stored(name_of(module))
    out = f"adam_tutorial/study/results/{name_of(module)}.json"
    assert record["command"] == f"python -m {module.__name__} --out {out}"
    assert set(record["versions"]) == {"python", "torch", "numpy"}
    assert (record["dtype"], record["threads"]) == ("float64", 1)
    assert set(record["results"]) == set(module.SEEDS)
