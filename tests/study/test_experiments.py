from __future__ import annotations

import json
import math
import runpy
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from adam_tutorial import optim, study
from adam_tutorial.study.data import UNKNOWN, Images, Reviews, split, tokenize
from adam_tutorial.study.experiments import comparison, hyperparameters, images, text
from adam_tutorial.study.experiments.comparison import (
    GRID,
    OPTIMIZERS,
    Run,
    Task,
    best_learning_rates,
    column,
    compare,
    main,
    train,
    tuning_loss,
)
from adam_tutorial.study.experiments.hyperparameters import (
    Setting,
    losses_by_rate,
    select,
)
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.training import Examples, evaluate
from adam_tutorial.theory import cosine_factor, sde_scaling

RESULTS = Path(study.__file__).with_name("results")

pytestmark = pytest.mark.usefixtures("float64")


def toy_examples(count: int, seed: int) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return inputs, (inputs[:, 0] > 0).long()


def jitter(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch + 0.1 * torch.randn(
        batch.shape, generator=generator, dtype=batch.dtype
    )


def toy_model() -> nn.Module:
    return nn.Sequential(DenseNet((2, 6, 2)), nn.Dropout(0.1))


def toy_task(name: str = "toy") -> Task:
    sizes = {"train": 40, "validation": 20, "test": 30}
    examples = {part: toy_examples(size, size) for part, size in sizes.items()}
    return Task(name, examples, toy_model, jitter, epochs=3, batch_size=7)


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> tuple[float, ...]:
    grid = (0.01, 0.1)
    monkeypatch.setattr(comparison, "GRID", grid)
    return grid


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


# What is compared


def test_grid_has_two_learning_rates_a_decade_from_a_ten_thousandth_to_ten() -> None:
    assert GRID == (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 0.1, 0.32, 1.0, 3.2, 10.0)


def test_optimizers_are_sgd_with_and_without_momentum_and_adam() -> None:
    made = {
        name: make([nn.Parameter(torch.ones(1))], 0.5)
        for name, make in OPTIMIZERS.items()
    }
    assert {name: type(optimizer) for name, optimizer in made.items()} == {
        "SGD": SGD,
        "SGD with momentum": SGD,
        "Adam": optim.Adam,
    }
    assert made["SGD"].defaults["momentum"] == 0
    assert made["SGD with momentum"].defaults["momentum"] == 0.9
    assert all(optimizer.param_groups[0]["lr"] == 0.5 for optimizer in made.values())


# One run


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_same_run_gives_the_same_losses_and_weights(optimizer: str) -> None:
    run = Run(optimizer, 0.05, seed=3)
    first, first_history = train(toy_task(), run, parts=("train",))
    second, second_history = train(toy_task(), run, parts=("train",))
    assert first_history == second_history
    assert torch.equal(weights(first), weights(second))


def test_seed_decides_on_the_model_and_on_the_order() -> None:
    losses = [
        train(toy_task(), Run("Adam", 0.0, seed), parts=("train",))[1].step_losses
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("steps", [1, 4, 6, 14])
def test_stopped_run_is_the_beginning_of_the_whole_run(steps: int) -> None:
    run = Run("Adam", 0.05, seed=3)
    parts = ("train", "validation")
    _, whole = train(toy_task(), run, parts=parts)
    _, beginning = train(toy_task(), run, parts=parts, max_steps=steps)
    assert beginning.step_losses == whole.step_losses[:steps]
    assert len(whole.step_losses) == 3 * (60 // 7)


def test_learning_rate_falls_to_zero_along_half_a_cosine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float] = []

    class Spy(SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setitem(
        OPTIMIZERS, "spy", lambda parameters, lr: Spy(parameters, lr=lr)
    )
    train(toy_task(), Run("spy", 0.2, seed=0), parts=("train",))
    steps = 3 * (40 // 7)
    expected = [0.1 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    assert rates == pytest.approx(expected, rel=1e-9)


def test_examples_of_all_named_parts_are_trained_on() -> None:
    task = toy_task()
    seen: list[Tensor] = []

    def record(batch: Tensor, _: torch.Generator) -> Tensor:
        seen.append(batch)
        return batch

    recorded = Task("toy", task.examples, toy_model, record, epochs=1, batch_size=10)
    train(recorded, Run("SGD", 0.1, 0), parts=("train", "validation"))
    found = {tuple(row) for row in torch.cat(seen).tolist()}
    wanted = [
        *task.examples["train"][0].tolist(),
        *task.examples["validation"][0].tolist(),
    ]
    assert found == {tuple(row) for row in wanted}


def test_unknown_optimizer_is_an_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="Adm"):
        train(toy_task(), Run("Adm", 0.1, 0), parts=("train",))


# The choice of the learning rate


def row(optimizer: str, lr: float, loss: float | None) -> dict[str, Any]:
    return {"optimizer": optimizer, "lr": lr, "seed": 0, "validation_loss": loss}


def test_learning_rate_with_the_lowest_mean_loss_is_chosen_for_each_optimizer() -> None:
    tuning = [
        row("Adam", 0.1, 0.2),
        row("Adam", 0.1, 0.9),
        row("Adam", 0.01, 0.5),
        row("Adam", 0.01, 0.5),
        row("SGD", 0.1, 0.3),
        row("SGD", 0.01, 0.4),
    ]
    assert best_learning_rates(tuning) == {"Adam": 0.01, "SGD": 0.1}


def test_one_diverged_run_rules_a_learning_rate_out() -> None:
    tuning = [row("Adam", 1.0, 0.01), row("Adam", 1.0, None), row("Adam", 0.1, 5.0)]
    assert best_learning_rates(tuning) == {"Adam": 0.1}


def test_optimizer_that_always_diverges_still_gets_a_learning_rate() -> None:
    assert best_learning_rates([row("SGD", 0.1, None), row("SGD", 1.0, None)])[
        "SGD"
    ] in (0.1, 1.0)


def test_tuning_loss_is_the_mean_over_the_runs_of_one_learning_rate() -> None:
    tuning = [row("Adam", 0.1, 0.2), row("Adam", 0.1, 0.4), row("Adam", 1.0, 9.0)]
    assert tuning_loss(tuning, "Adam", 0.1) == pytest.approx(0.3)
    assert tuning_loss([*tuning, row("Adam", 0.1, None)], "Adam", 0.1) == math.inf


def test_tuning_loss_of_a_run_that_was_not_made_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no run of 'SGD' with lr=0\.1"):
        tuning_loss([row("Adam", 0.1, 0.2)], "SGD", 0.1)


def test_column_holds_one_row_for_each_run_of_the_optimizer() -> None:
    rows = [
        {"optimizer": "Adam", "losses": [3.0, 2.0]},
        {"optimizer": "SGD", "losses": [9.0, 8.0]},
        {"optimizer": "Adam", "losses": [2.0, 1.0]},
    ]
    np.testing.assert_array_equal(
        column(rows, "Adam", "losses"), [[3.0, 2.0], [2.0, 1.0]]
    )


def test_nothing_tuned_gives_nothing_chosen() -> None:
    assert best_learning_rates([]) == {}


# The comparison


def test_comparison_tunes_on_validation_and_finishes_on_test_examples(
    small_grid: tuple[float, ...],
) -> None:
    task = toy_task()
    result = compare(task, tuning_seeds=iter((100, 101)), final_seeds=iter((0, 1, 2)))
    runs = [(r["optimizer"], r["lr"], r["seed"]) for r in result["tuning"]]
    assert runs == [
        (name, lr, seed)
        for name in OPTIMIZERS
        for lr in small_grid
        for seed in (100, 101)
    ]
    assert result["chosen"] == best_learning_rates(result["tuning"])
    runs = [(r["optimizer"], r["lr"], r["seed"]) for r in result["final"]]
    assert runs == [
        (name, lr, seed) for name, lr in result["chosen"].items() for seed in (0, 1, 2)
    ]
    assert (result["epochs"], result["batch_size"], result["grid"]) == (
        3,
        7,
        small_grid,
    )

    tuned = result["tuning"][3]
    model, _ = train(
        task, Run(tuned["optimizer"], tuned["lr"], tuned["seed"]), parts=("train",)
    )
    expected = evaluate(model, task.examples["validation"])
    assert tuned["validation_loss"] == expected.loss
    assert tuned["validation_accuracy"] == expected.accuracy

    final = result["final"][-1]
    run = Run(final["optimizer"], final["lr"], final["seed"])
    model, history = train(task, run, parts=("train", "validation"))
    expected = evaluate(model, task.examples["test"])
    assert final["test_loss"] == expected.loss
    assert final["test_accuracy"] == expected.accuracy
    assert final["predictions"] == "".join(str(int(p)) for p in expected.predictions)
    assert final["train_losses"] == history.train_losses
    assert final["first_step_losses"] == history.step_losses[: comparison.FIRST_STEPS]
    assert len(final["first_step_losses"]) == 10


@pytest.mark.usefixtures("small_grid")
def test_long_runs_repeat_the_final_ones_with_more_epochs_where_they_are_asked_for() -> (
    None
):
    result = compare(
        replace(toy_task(), long_epochs=5), tuning_seeds=(100,), final_seeds=(0, 1)
    )
    assert result["long_epochs"] == 5
    runs = [
        [(r["optimizer"], r["lr"], r["seed"]) for r in result[key]]
        for key in ("final", "long")
    ]
    assert runs[0] == runs[1]
    assert {len(r["train_losses"]) for r in result["final"]} == {3}
    assert {len(r["train_losses"]) for r in result["long"]} == {5}
    assert all(
        final["first_step_losses"][0] == long["first_step_losses"][0]
        for final, long in zip(result["final"], result["long"], strict=True)
    )


@pytest.mark.usefixtures("small_grid")
def test_there_are_no_long_runs_unless_asked_for() -> None:
    result = compare(toy_task(), tuning_seeds=(100,), final_seeds=(0,))
    assert result["long_epochs"] is None
    assert result["long"] == []


def test_loss_of_a_diverged_run_is_stored_as_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, 2))

        def forward(self, batch: Tensor) -> Tensor:
            return batch @ self.weight * (1.0 if self.training else math.nan)

    monkeypatch.setattr(comparison, "GRID", (0.1,))
    task = Task("toy", toy_task().examples, Broken, None, epochs=1, batch_size=10)
    result = compare(task, tuning_seeds=(0,), final_seeds=(0,))
    assert [r["validation_loss"] for r in result["tuning"]] == [None] * 3
    assert [r["test_loss"] for r in result["final"]] == [None] * 3
    json.dumps(result, allow_nan=False)


# From the command line


@pytest.mark.usefixtures("small_grid", "threads")
def test_main_writes_the_results_and_how_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_default_dtype(torch.float32)
    out = tmp_path / "toy.json"
    settings: list[tuple[torch.dtype, int]] = []

    def tasks() -> list[Task]:
        settings.append((torch.get_default_dtype(), torch.get_num_threads()))
        return [toy_task("first"), toy_task("second")]

    seeds = {
        "first": {"tuning_seeds": (100,), "final_seeds": (0, 1)},
        "second": {"tuning_seeds": (100, 101), "final_seeds": (0,)},
    }
    monkeypatch.setattr(sys, "argv", ["toy", "--out", str(out)])
    main("some.module", tasks, seeds)

    assert settings == [(torch.float64, 1)]
    assert list(tmp_path.iterdir()) == [out]
    content = out.read_text(encoding="utf-8")
    assert content.endswith("}\n")
    record = json.loads(content)
    assert record["command"] == f"python -m some.module --out {out}"
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["numpy"] == np.__version__
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (record["dtype"], record["threads"]) == ("float64", 1)
    assert record["minutes"] >= 0
    assert "CPU cores" in record["machine"]
    assert set(record["results"]) == {"first", "second"}
    assert len(record["results"]["first"]["tuning"]) == 3 * 2 * 1
    assert len(record["results"]["first"]["final"]) == 3 * 2
    assert len(record["results"]["second"]["tuning"]) == 3 * 2 * 2
    assert len(record["results"]["second"]["final"]) == 3
    assert f"wrote {out}" in capsys.readouterr().err


@pytest.mark.usefixtures("small_grid", "threads")
def test_main_replaces_older_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "toy.json"
    out.write_text("older results")
    monkeypatch.setattr(sys, "argv", ["toy", "--out", str(out)])
    seeds = {"toy": {"tuning_seeds": (100,), "final_seeds": (0,)}}
    main("some.module", lambda: [toy_task()], seeds)
    assert set(json.loads(out.read_text())["results"]) == {"toy"}
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.usefixtures("small_grid", "threads")
def test_main_keeps_older_results_when_an_experiment_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[Task]:
        raise RuntimeError("no data")

    out = tmp_path / "toy.json"
    out.write_text("older results")
    monkeypatch.setattr(sys, "argv", ["toy", "--out", str(out)])
    with pytest.raises(RuntimeError, match="no data"):
        main("some.module", fail, {})
    assert out.read_text() == "older results"
    assert list(tmp_path.iterdir()) == [out]


def test_main_without_a_file_to_write_says_so_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["toy"])
    with pytest.raises(SystemExit) as caught:
        main("some.module", lambda: pytest.fail("tasks were made"), {})
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "usage: python -m some.module" in error
    assert "--out" in error


def test_main_with_a_missing_folder_says_so_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["toy", "--out", str(tmp_path / "missing/toy.json")]
    )
    with pytest.raises(SystemExit):
        main("some.module", lambda: pytest.fail("tasks were made"), {})
    assert "missing does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("content", [{"loss": float("nan")}, {"loss": object()}])
def test_results_that_are_no_json_leave_the_old_file_and_nothing_else(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    out = tmp_path / "toy.json"
    out.write_text("old")
    with pytest.raises((ValueError, TypeError)):
        comparison._write(out, content)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("module", [images, text], ids=["images", "text"])
def test_experiment_can_be_run_as_a_module(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        comparison, "main", lambda name, _, seeds: calls.append((name, seeds))
    )
    monkeypatch.delitem(sys.modules, module.__name__)
    runpy.run_module(module.__name__, run_name="__main__")
    assert calls == [(module.__name__, module.SEEDS)]


# The tasks


@cache
def tasks_of(module: ModuleType) -> dict[str, Task]:
    assert torch.get_default_dtype() == torch.float64
    return {task.name: task for task in module.tasks()}


@pytest.mark.parametrize("module", [images, text], ids=["images", "text"])
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


@pytest.mark.parametrize("module", [images, text], ids=["images", "text"])
def test_final_seeds_are_not_those_of_the_tuning(module: ModuleType) -> None:
    for seeds in module.SEEDS.values():
        assert not set(seeds["tuning_seeds"]) & set(seeds["final_seeds"])


@pytest.mark.parametrize("module", [images, text], ids=["images", "text"])
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


@cache
def stored(name: str) -> dict[str, Any]:
    def refuse(constant: str) -> float:
        raise ValueError(f"JSON has no {constant}")

    content = (RESULTS / f"{name}.json").read_text(encoding="utf-8")
    record: dict[str, Any] = json.loads(content, parse_constant=refuse)
    return record


stored_tasks = pytest.mark.parametrize(
    ("module", "task"),
    [(images, "dense"), (images, "cnn"), (text, "textcnn")],
    ids=["dense", "cnn", "textcnn"],
)


def results_of(module: ModuleType, task: str) -> dict[str, Any]:
    results: dict[str, Any] = stored(module.__name__.rpartition(".")[2])["results"][
        task
    ]
    return results


@stored_tasks
@pytest.mark.parametrize("length", ["final", "long"])
def test_first_steps_of_the_stored_runs_are_repeated(
    module: ModuleType, task: str, length: str
) -> None:
    described = tasks_of(module)[task]
    made_with = stored(module.__name__.rpartition(".")[2])["versions"][
        "torch"
    ].partition("+")[0]
    drops = any(isinstance(layer, nn.Dropout) for layer in described.model().modules())
    if drops and made_with != torch.__version__.partition("+")[0]:
        pytest.skip(
            f"stored with torch {made_with}; other versions draw other dropout masks"
        )
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


@pytest.mark.parametrize("module", [images, text], ids=["images", "text"])
def test_stored_results_are_strict_json(module: ModuleType) -> None:
    stored(module.__name__.rpartition(".")[2])


@pytest.mark.parametrize("module", [images, text], ids=["images", "text"])
def test_stored_results_say_how_they_were_made(module: ModuleType) -> None:
    name = module.__name__.rpartition(".")[2]
    record = stored(name)
    assert (
        record["command"]
        == f"python -m {module.__name__} --out adam_tutorial/study/results/{name}.json"
    )
    assert set(record["versions"]) == {"python", "torch", "numpy"}
    assert (record["dtype"], record["threads"]) == ("float64", 1)
    assert set(record["results"]) == set(module.SEEDS)


# Hyper-parameters


def small_tasks() -> list[Task]:
    return [replace(toy_task(name), batch_size=8) for name in ("cnn", "textcnn")]


def test_every_study_varies_what_its_name_says() -> None:
    usual = asdict(Setting(1.0))

    def varied(settings: list[Setting]) -> set[str]:
        return {
            key
            for s in settings
            for key, value in asdict(s).items()
            if value != usual[key]
        } - {"lr"}

    for task in hyperparameters.RATES:
        maps = hyperparameters.map_settings(task, batch_size=32)
        assert {name: varied(settings) for name, settings in maps.items()} == {
            "base": set(),
            "beta1": {"beta1"},
            "beta2": {"beta2"},
            "eps": {"eps"},
        }
    assert varied(hyperparameters.schedule_settings()) == {"schedule"}
    assert varied(hyperparameters.warmup_settings(300)) == {"warmup", "beta1", "beta2"}
    batch = hyperparameters.batch_settings()
    assert varied(batch["batch"]) == {"batch_size", "epochs"}
    assert varied(batch["batch-sde"]) == {
        "batch_size",
        "epochs",
        "beta1",
        "beta2",
        "eps",
    }
    searches = hyperparameters.random_settings()
    assert {name: varied(settings) for name, settings in searches.items()} == {
        "random: lr": set(),
        "random: lr, betas": {"beta1", "beta2"},
        "random: all": {"beta1", "beta2", "eps"},
    }


def test_base_row_is_part_of_no_map_twice() -> None:
    for task in hyperparameters.RATES:
        maps = hyperparameters.map_settings(task, batch_size=32)
        settings = [setting for rows in maps.values() for setting in rows]
        assert len(settings) == len(set(settings))


def test_warmup_lasts_a_tenth_of_the_run_or_two_over_one_minus_beta2() -> None:
    found = {(s.beta1, s.beta2, s.warmup) for s in hyperparameters.warmup_settings(327)}
    assert found == {
        (0.9, 0.999, 32),
        (0.0, 0.999, 32),
        (0.9, 0.999, 2000),
        (0.9, 0.99, 200),
    }


@pytest.mark.parametrize("size", hyperparameters.BATCH_SIZES)
def test_learning_rates_that_the_three_rules_prescribe_are_on_the_grid(
    size: int,
) -> None:
    kappa = size / hyperparameters.BATCH_BASE
    batch = hyperparameters.batch_settings()
    rates = [s.lr for s in batch["batch"] if s.batch_size == size]
    for power in (0, 0.5, 1):
        wanted = hyperparameters.BATCH_LR * kappa**power
        assert min(abs(lr / wanted - 1) for lr in rates) < 1e-3
    full = [s for s in batch["batch-sde"] if s.batch_size == size]
    if kappa == 1:
        assert full == []
    else:
        assert [(s.lr, s.beta1, s.beta2, s.eps) for s in full] == [
            sde_scaling(kappa, hyperparameters.BATCH_LR)
        ]


def test_random_settings_fill_their_ranges_and_nothing_else() -> None:
    settings = hyperparameters.random_settings()["random: all"]
    assert len(settings) == len(set(settings)) == hyperparameters.TRIALS
    for values, low, high in (
        ([s.lr for s in settings], 1e-4, 1),
        ([1 - s.beta1 for s in settings], 0.01, 1),
        ([1 - s.beta2 for s in settings], 1e-4, 0.1),
        ([s.eps for s in settings], 1e-10, 1e-2),
    ):
        logarithms = np.log(np.array(values) / low) / np.log(high / low)
        assert -1e-6 < logarithms.min() < 0.1
        assert 0.9 < logarithms.max() < 1 + 1e-6
        assert abs(logarithms.mean() - 0.5) < 0.1
    assert hyperparameters.random_settings() == hyperparameters.random_settings()


def test_random_searches_share_what_they_both_vary() -> None:
    only_lr, betas, everything = hyperparameters.random_settings().values()
    assert only_lr == [Setting(s.lr) for s in betas]
    assert betas == [Setting(s.lr, s.beta1, s.beta2) for s in everything]


@pytest.mark.parametrize("schedule", ["cosine", "constant", "wsd"])
def test_factor_is_warmup_times_schedule(schedule: str) -> None:
    setting = Setting(0.1, schedule=schedule, warmup=5)
    found = [hyperparameters.factor(setting, t, 20) for t in range(1, 21)]
    plain = [
        hyperparameters.factor(replace(setting, warmup=0), t, 20) for t in range(1, 21)
    ]
    assert found == pytest.approx([min(1, t / 5) * plain[t - 1] for t in range(1, 21)])
    assert plain[0] == 1.0
    assert (
        plain[-1]
        == {"cosine": cosine_factor(20, 20), "constant": 1.0, "wsd": 0.25}[schedule]
    )


def test_unknown_schedule_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"schedule must be .*got 'step'"):
        hyperparameters.factor(Setting(0.1, schedule="step"), 1, 10)


def test_learning_rates_of_a_run_are_those_of_its_schedule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float] = []

    class Spy(optim.Adam):
        def step(self, closure: Any = None) -> Any:
            group = self.param_groups[0]
            rates.append(group["lr"])
            assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-4)
            return super().step(closure)

    monkeypatch.setattr(optim, "Adam", Spy)
    setting = Setting(
        0.2, 0.8, 0.95, 1e-4, batch_size=10, epochs=2, schedule="wsd", warmup=3
    )
    hyperparameters.train(toy_task(), setting, seed=0)
    assert rates == pytest.approx(
        [0.2 * hyperparameters.factor(setting, t, 8) for t in range(1, 9)]
    )


@pytest.mark.parametrize("steps", [1, 6])
def test_stopped_hyperparameter_run_is_the_beginning_of_the_whole_run(
    steps: int,
) -> None:
    setting = Setting(0.05, batch_size=10, epochs=2)
    _, whole = hyperparameters.train(toy_task(), setting, seed=3)
    _, beginning = hyperparameters.train(toy_task(), setting, seed=3, max_steps=steps)
    assert beginning.step_losses == whole.step_losses[:steps]
    assert len(whole.step_losses) == 2 * (40 // 10)


def stored_row(
    study: str, lr: float, seed: int, loss: float | None, **more: Any
) -> dict[str, Any]:
    setting = asdict(replace(Setting(lr), **more))
    return {
        "study": study,
        "task": "cnn",
        **setting,
        "seed": seed,
        "validation_loss": loss,
    }


def test_select_finds_runs_by_study_and_by_value() -> None:
    rows = [
        stored_row("base", 0.1, 0, 1.0),
        stored_row("beta1", 0.1, 0, 2.0, beta1=0.5),
        stored_row("beta1", 0.1, 0, 3.0, beta1=0.0),
    ]
    assert select(rows, "beta1") == rows[1:]
    assert select(rows, ("base", "beta1"), beta1=0.5) == [rows[1]]
    assert select(rows, "base", task="textcnn") == []


def test_losses_by_rate_has_one_row_for_each_learning_rate_and_infinity_for_divergence() -> (
    None
):
    rows = [
        stored_row("base", 0.1, 1, None),
        stored_row("base", 0.01, 0, 2.0),
        stored_row("base", 0.1, 0, 4.0),
    ]
    found = losses_by_rate(rows)
    assert list(found) == [0.01, 0.1]
    np.testing.assert_array_equal(found[0.1], [4.0, math.inf])


def test_losses_by_rate_of_unlike_runs_or_of_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such runs"):
        losses_by_rate([])
    rows = [stored_row("beta1", 0.1, 0, 2.0, beta1=beta1) for beta1 in (0.0, 0.5)]
    with pytest.raises(ValueError, match="must differ in lr and seed alone"):
        losses_by_rate(rows)


@pytest.fixture
def few_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    def studies(tasks: list[Task]) -> Iterator[tuple[str, Task, Setting, int]]:
        for seed in range(60):
            lr = 1e300 if seed == 1 else 0.05
            yield "base", tasks[0], Setting(lr, batch_size=10, epochs=1), seed

    monkeypatch.setattr(hyperparameters, "tasks", small_tasks)
    monkeypatch.setattr(hyperparameters, "studies", studies)


@pytest.mark.usefixtures("few_studies", "threads")
def test_hyperparameters_write_one_line_for_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "toy.json"
    monkeypatch.setattr(sys, "argv", ["toy", "--out", str(out)])
    # The toy examples are float64.
    monkeypatch.setattr(torch, "float32", torch.float64)
    hyperparameters.main()
    record = json.loads(out.read_text())
    assert list(tmp_path.iterdir()) == [out]
    assert record["command"] == f"python -m {hyperparameters.__name__} --out {out}"
    assert (record["dtype"], record["threads"]) == ("float32", 1)
    assert len(record["results"]) == 60
    assert sum('"study": "base"' in line for line in out.read_text().splitlines()) == 60
    assert record["results"][1]["validation_loss"] is None
    first = record["results"][0]
    model, history = hyperparameters.train(
        small_tasks()[0], Setting(0.05, batch_size=10, epochs=1), seed=0
    )
    assert first["first_step_losses"] == pytest.approx(
        history.step_losses[:5], rel=1e-6
    )
    assert first["train_loss"] == pytest.approx(history.train_losses[-1], rel=1e-6)
    expected = evaluate(model, small_tasks()[0].examples["test"])
    assert first["test_loss"] == pytest.approx(expected.loss, rel=1e-6)
    assert first["test_accuracy"] == pytest.approx(expected.accuracy, abs=1e-4)


@pytest.mark.usefixtures("few_studies", "threads")
def test_an_interrupted_experiment_leaves_what_it_has_beside_the_older_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "toy.json"
    out.write_text("older results")
    monkeypatch.setattr(sys, "argv", ["toy", "--out", str(out)])
    monkeypatch.setattr(torch, "float32", torch.float64)
    run = hyperparameters._run

    def interrupted(
        study: str, task: Task, setting: Setting, seed: int
    ) -> dict[str, Any]:
        if seed == 55:
            raise KeyboardInterrupt
        return run(study, task, setting, seed)

    monkeypatch.setattr(hyperparameters, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hyperparameters.main()
    assert out.read_text() == "older results"
    assert len(json.loads((tmp_path / "toy.partial.json").read_text())["results"]) == 50


def test_hyperparameters_without_a_folder_say_so_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["toy", "--out", str(tmp_path / "missing/toy.json")]
    )
    with pytest.raises(SystemExit):
        hyperparameters.main()
    assert "missing does not exist" in capsys.readouterr().err


@cache
def hyperparameter_tasks() -> dict[str, Task]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        return {task.name: task for task in hyperparameters.tasks()}
    finally:
        torch.set_default_dtype(before)


def test_stored_hyperparameter_runs_are_those_that_the_experiment_describes() -> None:
    rows = stored("hyperparameters")["results"]
    keys = ("study", "task", *asdict(Setting(1.0)), "seed")
    assert [{key: row[key] for key in keys} for row in rows] == [
        {"study": study, "task": task.name, **asdict(setting), "seed": seed}
        for study, task, setting, seed in hyperparameters.studies(
            hyperparameter_tasks().values()
        )
    ]


def test_first_steps_of_stored_hyperparameter_runs_are_repeated() -> None:
    tasks = hyperparameter_tasks()
    made_with = stored("hyperparameters")["versions"]["torch"].partition("+")[0]
    if made_with != torch.__version__.partition("+")[0]:
        pytest.skip(
            f"stored with torch {made_with}; other versions draw other dropout masks"
        )
    torch.set_default_dtype(torch.float32)
    rows = stored("hyperparameters")["results"]
    runs = list(hyperparameters.studies(tasks.values()))
    # Every seventh: some of each study, and every seed.
    for row, (_, task, setting, seed) in list(zip(rows, runs, strict=True))[::7]:
        _, history = hyperparameters.train(
            task, setting, seed, max_steps=hyperparameters.FIRST_STEPS
        )
        # float32, and large learning rates magnify what another processor rounds
        # differently.
        assert len(row["first_step_losses"]) == hyperparameters.FIRST_STEPS
        assert history.step_losses[:2] == pytest.approx(
            row["first_step_losses"][:2], rel=1e-3
        )
        if setting.lr <= 0.1:
            assert history.step_losses == pytest.approx(
                row["first_step_losses"], rel=1e-2
            )


def test_stored_hyperparameters_say_how_they_were_made() -> None:
    record = stored("hyperparameters")
    module = hyperparameters.__name__
    assert (
        record["command"]
        == f"python -m {module} --out adam_tutorial/study/results/hyperparameters.json"
    )
    assert set(record["versions"]) == {"python", "torch", "numpy"}
    assert (record["dtype"], record["threads"]) == ("float32", 1)
