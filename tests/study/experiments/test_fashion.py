"""Fashion-MNIST: recipes, what is recorded of a run, and the stored runs."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adam_tutorial.study.experiments import fashion, stored_runs
from adam_tutorial.study.experiments.fashion import GROUPS, RECIPES, Recipe
from adam_tutorial.study.experiments.records import as_digits
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.models import BFloat16, DenseNet, PlainCNN
from adam_tutorial.study.paired import right_answers
from adam_tutorial.study.training import Examples
from tests.study.experiments.stored import loaded, need_its_masks

# A processor that adds in another order comes to other digits of bfloat16.
RELATIVE = 1e-4
SMALL = Recipe(epochs=2, batch_size=10)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> dict[str, Examples]:
    """Few pictures of noise, the brighter the higher their class."""
    made = {}
    for part, count in {"train": 40, "validation": 20, "test": 30}.items():
        generator = torch.Generator().manual_seed(count)
        labels = torch.randint(10, (count,), generator=generator)
        noise = torch.rand(count, 1, 28, 28, generator=generator)
        made[part] = (noise * labels[:, None, None, None] / 10, labels)
    monkeypatch.setattr(fashion, "examples", lambda: made)
    return made


# Recipes


def test_published_recipe_is_adam_as_it_comes() -> None:
    recipe = RECIPES["published"]
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (30, 1000, 1e-3)
    assert not recipe.schedule
    assert recipe.dropout == recipe.weight_decay == recipe.smoothing == 0
    (group,) = fashion.optimizer_of(recipe, PlainCNN()).param_groups
    assert (group["betas"], group["eps"]) == ((0.9, 0.999), 1e-8)


def test_every_recipe_is_tried_once_and_belongs_to_one_group() -> None:
    plan = fashion.STUDY.stages["tuning"]({})
    tried = [settings["recipe"] for settings in plan]
    assert tried == [name for name in RECIPES if name != "published"]
    assert not set(fashion.TUNING_SEEDS) & set(fashion.FINAL_SEEDS)
    for recipe in RECIPES.values():
        assert sum(holds(recipe) for holds in GROUPS.values()) == 1


def test_steps_from_the_published_recipe_change_one_thing_at_a_time() -> None:
    ladder = ("published", "small batches", "schedule", "decay", "dropout", "smoothing")
    changes = (
        *({"batch_size", "epochs"}, {"schedule", "lr"}, {"weight_decay"}),
        *({"dropout"}, {"smoothing"}),
    )
    for (a, b), change in zip(pairwise(ladder), changes, strict=True):
        one, two = vars(RECIPES[a]), vars(RECIPES[b])
        assert {key for key in one if one[key] != two[key]} == change


def test_biases_do_not_decay() -> None:
    network = PlainCNN()
    weights, biases = fashion.optimizer_of(SMALL, network).param_groups
    assert weights["weight_decay"] == 0.1
    assert biases["weight_decay"] == 0
    assert {p.ndim for p in biases["params"]} == {1}
    both = [*weights["params"], *biases["params"]]
    assert {id(p) for p in both} == {id(p) for p in network.parameters()}


# Training


def test_passes_are_in_bfloat16_and_see_pixels_as_the_published_run_did() -> None:
    torch.manual_seed(0)
    network = PlainCNN().eval()
    images = torch.rand(20, 1, 28, 28)
    found = BFloat16(network, fashion.scaled)(images)
    exact = network((images - 0.1307) / 0.3081)
    assert found.dtype == torch.float32
    assert 0 < (found - exact).abs().max() < 0.02 * exact.abs().max()
    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.usefixtures("toy")
def test_learning_rate_warms_up_over_a_twentieth_and_falls_to_zero() -> None:
    rates: list[float] = []

    def watch(_: Any, optimizer: Any) -> None:
        rates.append(optimizer.param_groups[0]["lr"])

    # One step is an epoch.
    recipe = replace(SMALL, epochs=20, batch_size=40, dropout=0, dense=True)
    fashion.train(recipe, 0, ("train",), on_epoch=watch)
    factors = [rate / recipe.lr for rate in rates]
    assert factors[0] == pytest.approx(1, abs=0.01)  # of the second step
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 0.01
    rates.clear()
    fashion.train(replace(recipe, schedule=False), 0, ("train",), on_epoch=watch)
    assert set(rates) == {recipe.lr}


@pytest.mark.usefixtures("toy")
def test_what_is_recorded_of_a_layer_is_what_adam_keeps_and_does() -> None:
    found: list[dict[str, list[float]]] = []
    moved: list[Tensor] = []

    def watch(network: Any, optimizer: Any) -> None:
        found.append(fashion.layer_medians(network, optimizer))
        moved.append(network.get_parameter("3.weight").detach().clone())

    recipe = Recipe(
        epochs=2, batch_size=40, schedule=False, weight_decay=0, dropout=0, lr=1e-3
    )
    fashion.train(recipe, 3, ("train",), on_epoch=watch)
    # The first step is the sign of the gradient; it has one size everywhere.
    assert [step for _, step in found[0].values()] == pytest.approx([1, 1, 1], abs=1e-3)
    step = (moved[1] - moved[0]).abs().median().item() / recipe.lr
    assert found[1]["3"][1] == pytest.approx(step, rel=0.01)
    torch.manual_seed(3)
    network = PlainCNN()
    inputs, labels = fashion.examples()["train"]
    loss = functional.cross_entropy(BFloat16(network, fashion.scaled)(inputs), labels)
    torch.autograd.backward(loss)
    gradient = network.get_parameter("3.weight").grad
    assert gradient is not None
    assert found[0]["3"][0] == pytest.approx(gradient.abs().median().item(), rel=0.02)


def test_best_of_each_group_is_trained_on_all_and_tested(
    monkeypatch: pytest.MonkeyPatch, toy: dict[str, Examples]
) -> None:
    recipes = {
        "one": SMALL,
        "two": replace(SMALL, dropout=0.9),
        "moved": replace(SMALL, shift=1),
        "dense": replace(SMALL, dense=True, dropout=0),
        "published": replace(SMALL, epochs=3, dropout=0),
    }
    monkeypatch.setattr(fashion, "RECIPES", recipes)
    monkeypatch.setattr(fashion, "JUDGED", ["one", "two", "moved", "dense"])
    monkeypatch.setattr(fashion, "FINAL_SEEDS", (0, 1))
    monkeypatch.setattr(fashion, "PUBLISHED_SEEDS", (0,))
    found = in_order(fashion.STUDY)
    json.dumps(found, allow_nan=False)
    tuned = {row["recipe"]: row["validation_accuracy"] for row in found["tuning"]}
    assert found["chosen"]["CNN, augmented"] == "moved"
    assert found["chosen"]["dense"] == "dense"
    assert tuned[found["chosen"]["CNN"]] == max(tuned["one"], tuned["two"])
    assert len(found["final"]) == 2 * 3 + 1
    for row in found["final"]:
        epochs = recipes[row["recipe"]].epochs
        assert len(row["train_losses"]) == len(row["test_accuracies"]) == epochs
        right = right_answers([row["predictions"]], toy["test"][1])
        assert right.mean() == pytest.approx(row["test_accuracy"], abs=1e-4)
        assert row["test_accuracy"] == row["test_accuracies"][-1]
        layers = DenseNet((1, 2, 3, 4, 5)) if row["group"] == "dense" else PlainCNN()
        weights = [n for n, p in layers.named_parameters() if p.ndim > 1]
        assert [f"{layer}.weight" for layer in row["medians"]] == weights
        for series in row["medians"].values():
            assert [len(one) for one in series] == [epochs, epochs]
        drawn = row["seed"] == 0 and row["group"] != "dense"
        assert [len(one.split()) for one in row["filters"]] == [800, 800] * drawn
    assert found["labels"]["test"] == as_digits(toy["test"][1])


# The pictures


@pytest.fixture
def pictures() -> dict[str, Examples]:
    return loaded(fashion.examples)


def test_parts_are_the_sixty_thousand_in_two_and_the_ten_thousand(
    pictures: dict[str, Examples],
) -> None:
    sizes = {part: len(labels) for part, (_, labels) in pictures.items()}
    assert sizes == {"train": 50_000, "validation": 10_000, "test": 10_000}
    both = torch.cat([pictures[part][1] for part in ("train", "validation")])
    assert both.bincount().tolist() == [6000] * 10
    assert pictures["test"][1].bincount().tolist() == [1000] * 10
    for inputs, labels in pictures.values():
        assert inputs.shape == (len(labels), 1, 28, 28)
        assert inputs.min().item() == 0
        assert inputs.max().item() == 1


# The stored results


@cache
def stored() -> dict[str, Any]:
    return stored_runs("fashion")


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("group", [*GROUPS, "published"])
def test_first_steps_of_the_stored_runs_are_repeated(group: str) -> None:
    row = next(row for row in stored()["results"]["final"] if row["group"] == group)
    recipe = RECIPES[row["recipe"]]
    if recipe.dropout:
        need_its_masks(stored())
    losses = row["first_step_losses"]
    assert len(losses) == fashion.FIRST_STEPS
    # A processor without bfloat16 needs fifteen seconds for a thousand pictures.
    steps = 2 if group == "published" else fashion.FIRST_STEPS
    losses = losses[:steps]
    _, history = fashion.train(
        recipe, row["seed"], ("train", "validation"), max_steps=steps
    )
    assert history.step_losses == pytest.approx(losses, rel=RELATIVE)


def test_stored_labels_are_those_of_the_pictures(
    pictures: dict[str, Examples],
) -> None:
    for part, labels in stored()["results"]["labels"].items():
        assert labels == as_digits(pictures[part][1])


def test_stored_runs_are_those_that_the_study_describes() -> None:
    results = stored()["results"]
    assert stored()["recipes"] == {name: vars(r) for name, r in RECIPES.items()}
    for stage, plan in fashion.STUDY.stages.items():
        settings = plan(results)
        done = [{key: row[key] for key in settings[0]} for row in results[stage]]
        assert done == settings


def test_stored_predictions_have_the_stored_accuracy() -> None:
    results = stored()["results"]
    for part, rows in {
        "validation": results["tuning"],
        "test": results["final"],
    }.items():
        labels = [int(digit) for digit in results["labels"][part]]
        for row in rows:
            right = right_answers([row["predictions"]], labels).mean()
            assert right == pytest.approx(row[f"{part}_accuracy"], abs=1e-9)
            assert row[f"{part}_accuracies"][-1] == row[f"{part}_accuracy"]
