"""Word vectors frozen at their start, and Adam beside SGD with momentum."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch

from adam_tutorial.study.data import PAD, UNKNOWN
from adam_tutorial.study.experiments import crossover, frozen_words, stored_runs
from adam_tutorial.study.experiments.comparison import (
    Task,
    best_learning_rates,
)
from adam_tutorial.study.experiments.frozen_words import (
    FROZEN,
    RATES,
    frozen_rows,
    rare_words,
    task_of,
    without,
)
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.experiments.study import in_order
from adam_tutorial.study.models import TextCNN
from adam_tutorial.study.training import evaluate
from tests.study.experiments.stored import need_its_masks

pytestmark = pytest.mark.usefixtures("float64")


def sentences(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, 6, (count, 8), generator=generator)
    tokens[:, 6:] = PAD
    tokens[0, 0] = UNKNOWN
    tokens[:3, 1] = 7  # three times in each part, and word 6 never
    return tokens, (tokens == 2).sum(dim=1).gt(1).long()


@pytest.fixture
def task() -> Task:
    sizes = {"train": 40, "validation": 20, "test": 30}
    examples = {part: sentences(size, size) for part, size in sizes.items()}
    model = partial(TextCNN, 8, 4, 4)
    return Task("textcnn", examples, model, None, epochs=2, batch_size=10)


def test_rare_are_words_with_at_most_five_occurrences_and_no_special_ones(
    task: Task,
) -> None:
    assert rare_words(task).nonzero().flatten().tolist() == [6, 7]
    inputs, labels = task.examples["train"]
    inputs = inputs.clone()
    inputs[3:5, 1] = 7
    five = replace(task, examples={"train": (inputs, labels)})
    assert rare_words(five)[7]
    inputs[5, 1] = 7
    assert not rare_words(five)[7]


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("name", RATES)
def test_frozen_vectors_keep_their_first_values_and_the_others_move(
    task: Task, name: str, frozen: str
) -> None:
    settings = {"optimizer": name, "lr": 0.1, "batch_size": 10, "seed": 3}
    model, _ = crossover.train(task_of(task, frozen), settings, ("train",))
    torch.manual_seed(3)
    start = task.model()
    moved = (
        model.get_parameter("embedding.weight")
        != start.get_parameter("embedding.weight")
    ).any(dim=1)
    wanted = ~frozen_rows(task, frozen)
    wanted[PAD] = wanted[6] = False  # never have a gradient
    assert moved.tolist() == wanted.tolist()
    output = "output.weight"
    assert not torch.equal(model.get_parameter(output), start.get_parameter(output))


def test_rare_and_frequent_together_are_all(task: Task) -> None:
    rare, frequent = frozen_rows(task, "rare"), frozen_rows(task, "frequent")
    assert torch.equal(rare, ~frequent)
    assert frozen_rows(task, "all").all()
    assert not frozen_rows(task, "none").any()
    with pytest.raises(ValueError, match=r"frozen must be one of .*, got 'some'"):
        frozen_rows(task, "some")


def test_words_that_are_taken_out_become_the_unknown_one() -> None:
    words = torch.tensor([False, False, False, True])
    sentence = torch.tensor([[3, 2, 1, 0], [2, 3, 3, 0]])
    assert without(sentence, words).tolist() == [[1, 2, 1, 0], [2, 1, 1, 0]]


def test_each_optimizer_gets_the_same_number_of_runs_in_each_case() -> None:
    plan = frozen_words.STUDY.stages["tuning"]({})
    counts = Counter((s["frozen"], s["optimizer"]) for s in plan)
    assert set(counts) == {(frozen, name) for frozen in FROZEN for name in RATES}
    assert set(counts.values()) == {18}
    assert not set(frozen_words.TUNING_SEEDS) & set(frozen_words.FINAL_SEEDS)


@pytest.fixture
def small(task: Task, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Task]:
    monkeypatch.setattr(frozen_words, "_task", lambda: task)
    monkeypatch.setattr(frozen_words, "BATCH_SIZE", 10)
    monkeypatch.setattr(frozen_words, "RATES", dict.fromkeys(RATES, (0.01, 0.1)))
    return lambda: task


def test_a_study_tunes_each_case_and_tests_with_and_without_rare_words(
    small: Callable[[], Task],
) -> None:
    found = in_order(frozen_words.STUDY)
    json.dumps(found, allow_nan=False)
    assert len(found["tuning"]) == 4 * 2 * 2 * 2
    assert len(found["final"]) == 4 * 2 * 3
    for row in found["final"]:
        tried: dict[float, float] = {}
        for one in found["tuning"]:
            if all(one[key] == row[key] for key in ("frozen", "optimizer")):
                tried[one["lr"]] = tried.get(one["lr"], 0) + one["validation_loss"]
        assert row["lr"] == min(tried, key=lambda lr: tried[lr])
        for kind in ("", "_without_rare"):
            losses = [float(x) / 100 for x in row[f"example_losses{kind}"].split()]
            assert len(losses) == 30
            mean = sum(losses) / 30
            assert mean == pytest.approx(row[f"test_loss{kind}"], abs=5e-3)
    row = found["final"][-1]
    model, _ = crossover.train(
        task_of(small(), row["frozen"]), row, ("train", "validation")
    )
    inputs, labels = small().examples["test"]
    inputs = inputs.clone()
    inputs[inputs >= 6] = UNKNOWN
    masked = evaluate(model, (inputs, labels)).loss
    assert row["test_loss_without_rare"] == pytest.approx(masked, rel=1e-6)
    assert row["test_loss_without_rare"] != row["test_loss"]


# The stored results


@cache
def record() -> dict[str, Any]:
    return stored_runs("frozen_words")


def test_stored_runs_are_those_that_the_study_describes() -> None:
    rows = record()["results"]
    keys = ("frozen", "batch_size", "optimizer", "lr", "seed")
    plan = frozen_words.STUDY.stages["tuning"]({})
    assert [[s[k] for k in keys] for s in plan] == [
        [row[k] for k in keys] for row in rows["tuning"]
    ]
    wanted = []
    for frozen in FROZEN:
        best = best_learning_rates(matching(rows["tuning"], frozen=frozen))
        for name, lr in best.items():
            assert RATES[name][0] < lr < RATES[name][-1]
            wanted += [
                [frozen, frozen_words.BATCH_SIZE, name, lr, seed]
                for seed in frozen_words.FINAL_SEEDS
            ]
    assert [[row[k] for k in keys] for row in rows["final"]] == wanted


def test_runs_with_nothing_frozen_are_runs_of_the_crossover() -> None:
    of_crossover = stored_runs("crossover")["results"]["textcnn"]["tuning"]
    size = frozen_words.BATCH_SIZE
    for row in matching(record()["results"]["tuning"], frozen="none"):
        (other,) = matching(
            of_crossover,
            batch_size=size,
            **{key: row[key] for key in ("optimizer", "lr", "seed")},
        )
        assert row["validation_loss"] == other["validation_loss"]


def test_first_steps_of_the_stored_runs_are_repeated() -> None:
    need_its_masks(record())
    torch.set_default_dtype(torch.float32)
    task = crossover.tasks()["textcnn"]
    for row in matching(record()["results"]["final"], seed=0):
        stored = row["first_step_losses"]
        _, history = crossover.train(
            frozen_words.task_of(task, row["frozen"]),
            row,
            ("train", "validation"),
            max_steps=len(stored),
        )
        assert history.step_losses == pytest.approx(stored, rel=1e-2)
