"""Section 6 of the Adam paper: equal budgets, what the cost is, what is stored."""

from __future__ import annotations

import gzip
import io
import json
import math
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from adam_tutorial.optim import Adam
from adam_tutorial.reference import adam
from adam_tutorial.study.data import Reviews
from adam_tutorial.study.data.sources import IMDB
from adam_tutorial.study.experiments import paper, paper_data, paper_vae, stored_runs
from adam_tutorial.study.experiments.paper import (
    FINAL_SEEDS,
    METHODS,
    TASKS,
    TUNING_SEED,
    VAE_RATES,
    Task,
    chosen_rates,
    chosen_vae_rates,
    train,
)
from adam_tutorial.study.experiments.records import matching
from adam_tutorial.study.experiments.study import in_order
from tests.study.experiments.stored import loaded, need_its_masks

from .toys import toy_examples, toy_model

VAE = {"beta1": 0.9, "beta2": 0.999, "lr": 1e-3, "corrected": True, "seed": 0}


def toy_task(**changed: Any) -> Task:
    made = {"train": toy_examples(300, 0), "test": toy_examples(30, 1)}
    dtype = torch.get_default_dtype()
    parts = {
        part: (inputs.to(dtype), labels) for part, (inputs, labels) in made.items()
    }
    rates: dict[str, tuple[float, ...]] = {
        "Adam": (0.01, 0.1),
        "Nesterov": (0.01, 1e30),
    }
    task = Task(lambda: parts, lambda _: toy_model(), rates, 3, 2, bfloat16=False)
    return replace(task, **changed)


def test_each_optimizer_gets_the_same_number_of_rates_in_a_task() -> None:
    plan = paper.STUDY.stages["tuning"]({})
    for name, task in TASKS.items():
        counts = Counter(s["optimizer"] for s in plan if s["task"] == name)
        assert set(counts) == set(task.rates)
        assert len(set(counts.values())) == 1
        assert set(task.rates) <= set(METHODS)
    some = [s for s in plan if s["task"] == "vae"]
    assert len(some) == 2 * 3 * 2 * len(VAE_RATES)
    assert TUNING_SEED not in FINAL_SEEDS
    assert len(FINAL_SEEDS) >= 3


def test_long_runs_begin_first() -> None:
    plan = paper.STUDY.stages["tuning"]({})
    names = list(dict.fromkeys(s["task"] for s in plan))
    assert set(names[:2]) == {"convolutional", "convolutional, dropout"}
    assert names[2] == "vae"
    assert set(names[-2:]) == {"digits", "digits, weaker penalty"}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("name", "falls"),
    [
        ("Adam", True),
        ("Nesterov", True),
        ("RMSProp", True),
        ("AdaGrad", False),
        ("AdaGrad, falling rate", True),
        ("Nesterov, constant rate", False),
        ("Adam, constant rate", False),
    ],
)
def test_rate_falls_as_one_over_the_root_of_the_steps(
    name: str, falls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def spied(parameters: Any, lr: float, l2: float) -> Any:
        optimizer = METHODS[name].make(parameters, lr, l2)
        optimizer.register_step_pre_hook(
            lambda one, *_: rates.append(one.param_groups[0]["lr"])
        )
        return optimizer

    task = toy_task(schedule=True)
    settings = {"optimizer": "spied", "lr": 0.1, "seed": 0}
    methods = {"spied": replace(METHODS[name], make=spied)}
    monkeypatch.setattr(paper, "METHODS", methods)
    train(task, settings, 2)
    assert rates == pytest.approx(
        [0.1 / math.sqrt(t) if falls else 0.1 for t in range(1, 5)]
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", METHODS)
def test_penalty_is_in_the_gradient_and_in_the_cost(name: str) -> None:
    parameter = nn.Parameter(torch.tensor([3.0]))
    pulled = METHODS[name].make([parameter], 1e-3, 0.1)
    parameter.grad = torch.zeros(1)
    pulled.step()
    assert parameter.item() < 3
    settings = {"optimizer": name, "lr": 1e-3, "seed": 0}
    model, costs, history = train(toy_task(l2=0.3), settings, 2)
    squares = sum(p.square().sum().item() for p in model.parameters())
    assert costs[1] == pytest.approx(history.train_losses[1] + 0.15 * squares)
    assert costs[0] > history.train_losses[0]


@pytest.mark.usefixtures("float64")
def test_same_seed_gives_all_optimizers_the_same_weights_and_order() -> None:
    first = {}
    for name in ("Adam", "AdaGrad"):
        settings = {"optimizer": name, "lr": 0.1, "seed": 3}
        _, _, history = train(toy_task(), settings, 1, max_steps=1)
        first[name] = history.step_losses[0]
    assert first["Adam"] == first["AdaGrad"]


@pytest.mark.usefixtures("float64")
def test_roots_of_v_are_corrected_and_counted_below_eps() -> None:
    layer = nn.Linear(4, 1, bias=False)
    network = nn.Sequential(layer)
    optimizer = Adam(network.parameters(), lr=0.1)
    for _ in range(3):
        layer.weight.grad = torch.tensor([[0.5, 0.5, 0.5, 1e-9]])
        optimizer.step()
    assert paper.roots_of_v(network, optimizer) == {"0": [0.5, 0.25]}


def test_networks_of_the_paper_have_its_layers() -> None:
    pictures = {"train": (torch.zeros(2, 3, 32, 32), torch.zeros(2))}
    convolutional = TASKS["convolutional, dropout"].model(pictures)
    shapes = [tuple(p.shape) for p in convolutional.parameters() if p.ndim == 4]
    assert shapes == [(64, 3, 5, 5), (64, 64, 5, 5), (128, 64, 5, 5)]
    shares = [one.p for one in convolutional.modules() if isinstance(one, nn.Dropout)]
    assert shares == [0.2, 0.5, 0.5]
    dense = TASKS["dense, dropout"].model({})
    assert sum(p.numel() for p in dense.parameters()) == 1_796_010
    shares = [one.p for one in dense.modules() if isinstance(one, nn.Dropout)]
    assert shares == [0.2, 0.5, 0.5]


@pytest.mark.usefixtures("float32", "few_digits")
def test_study_tunes_and_repeats_with_other_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = {"convolutional": toy_task(), "convolutional, dropout": toy_task()}
    monkeypatch.setattr(paper, "TASKS", tasks)
    monkeypatch.setattr(paper, "BETA2", (0.999,))
    monkeypatch.setattr(paper, "VAE_RATES", (1e-3, 0.1))
    monkeypatch.setattr(paper, "VAE_EPOCHS", (1, 2))
    monkeypatch.setattr(paper, "FINAL_SEEDS", (0, 1))
    found = in_order(paper.STUDY)
    json.dumps(found, allow_nan=False)
    toy = found["convolutional"]
    diverged = matching(toy["tuning"], optimizer="Nesterov", lr=1e30)
    assert [row["cost"] for row in diverged] == [None]
    assert toy["chosen"]["Nesterov"] == 0.01
    assert [row["seed"] for row in toy["final"]] == [0, 1, 0, 1]
    for row in toy["final"]:
        assert row["lr"] == toy["chosen"][row["optimizer"]]
        costs = [float(one) for one in row["costs"].split()]
        assert len(costs) == 3
        assert costs[-1] == pytest.approx(row["cost"], rel=1e-3)
        assert len(row["first_step_losses"]) == 3
    vae = found["vae"]
    assert len(vae["grid"]) == 2 * 2 * 2
    assert [one["epochs"] for one in vae["chosen"]] == [1] * 4 + [2] * 4
    assert len(vae["final"]) == 2 * 8
    for row in vae["final"]:
        assert ("loss_2" in row) == (row["epochs"] == 2)


# The autoencoder


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = paper_data.digits()["train"]
    few = {"train": (images[:250].float(), labels[:250])}
    monkeypatch.setattr(paper_vae, "digits", lambda: few)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("betas", [(0.0, 0.9999), (0.9, 0.99)])
def test_adam_with_changed_rate_and_eps_is_adam_without_correction(
    betas: tuple[float, float],
) -> None:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Adam([parameter], lr=0.1, betas=betas, eps=1e-8)
    state, theta = None, parameter.detach().numpy().copy()
    for t in range(1, 6):
        gradient = np.array([1.0, 1e-7]) * t
        parameter.grad = torch.from_numpy(gradient)
        paper_vae.remove_correction(optimizer, 0.1, t)
        optimizer.step()
        state, update = adam(
            state,
            gradient,
            lr=0.1,
            beta1=betas[0],
            beta2=betas[1],
            eps=1e-8,
            correct_bias=False,
        )
        theta += update
        assert parameter.detach().numpy() == pytest.approx(theta, rel=1e-12)


@pytest.mark.usefixtures("float32", "few_digits")
def test_autoencoder_learns_and_stops_on_its_path() -> None:
    losses, steps = paper_vae.train(VAE, 6)
    assert len(losses) == 6
    assert len(steps) == 12
    assert losses[0] == pytest.approx(sum(steps[:2]) / 2)
    assert losses[-1] < 0.7 * losses[0]
    _, first = paper_vae.train(VAE, 6, max_steps=3)
    assert first == steps[:3]


@pytest.mark.usefixtures("float32", "few_digits")
def test_run_that_is_not_finite_is_stopped() -> None:
    losses, steps = paper_vae.train(VAE | {"lr": 1e4}, 50)
    assert len(steps) < 20
    assert not math.isfinite(losses[-1])


# The data


def test_smaller_data_are_as_many_as_the_page_says() -> None:
    images, labels = paper_data.digits()["train"]
    assert images.shape == (4000, 1, 28, 28)
    assert labels.bincount().tolist() == [400] * 10
    words, labels = paper_data.bags_of_words()["train"]
    assert len(words) == len(labels) == 8056
    assert 1 <= words.max() <= paper_data.WORDS
    for row in words[:50]:
        real = row[row > 0].tolist()
        assert real == sorted(set(real))
        assert not row[len(real) :].any()


@pytest.mark.usefixtures("float64")
def test_whitened_pixels_are_uncorrelated_where_they_differ() -> None:
    torch.manual_seed(0)
    mixing = torch.randn(3, 3)
    images = (torch.randn(500, 3) @ mixing).reshape(500, 1, 1, 3) + 5
    mean, matrix = paper_data.whitener(images)
    covariance = ((images.flatten(1) - mean) @ matrix).T.cov(correction=0)
    values = torch.linalg.eigvalsh(images.flatten(1).T.cov(correction=0))
    expected = values / (values + paper_data.RIDGE)
    assert torch.allclose(torch.linalg.eigvalsh(covariance), expected)
    assert torch.allclose(matrix, matrix.T)


@pytest.fixture
def fresh_data() -> Iterator[None]:
    """Have the data in the type of these tests, and leave none of it to others."""
    made = paper_data.digits, paper_data.bags_of_words, paper_data.pictures
    for one in made:
        one.cache_clear()
    yield
    for one in made:
        one.cache_clear()


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def idx(values: Any) -> bytes:
        array = np.array(values, dtype=np.uint8)
        sizes = np.array(array.shape, dtype=">u4").tobytes()
        head = bytes([0, 0, 8, array.ndim])
        return gzip.compress(head + sizes + array.tobytes())

    for name, count in (("train", 3), ("t10k", 2)):
        pixels = np.full((count, 28, 28), 255)
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(pixels))
        labels = list(range(count))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name, label in (
            ("data_batch_2", 5),
            ("data_batch_1", 4),
            ("test_batch", 3),
        ):
            row = np.zeros(paper_data.CIFAR_ROW, dtype=np.uint8)
            row[[0, 1, 1 + 1024]] = label, 51 * label, 255
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(row)
            tar.addfile(info, io.BytesIO(row.tobytes()))

    def reviews(*texts: str) -> Reviews:
        ratings = np.arange(float(len(texts)))
        return Reviews(texts, ratings, np.zeros(len(texts), dtype=np.int64), IMDB)

    def load(folder: str) -> tuple[Reviews, Reviews]:
        assert folder == str(tmp_path)
        return reviews("good film good", "film"), reviews("film unseen")

    monkeypatch.setattr(paper_data, "FOLDER", str(tmp_path))
    monkeypatch.setattr(paper_data, "load_imdb", load)


@pytest.mark.usefixtures("float64", "fresh_data", "original")
def test_original_data_are_read_from_their_files() -> None:
    train_digits, test_digits = paper_data.digits().values()
    assert train_digits[0].shape == (3, 1, 28, 28)
    assert train_digits[0].min() == 1
    assert test_digits[1].tolist() == [0, 1]
    known, unseen = paper_data.bags_of_words().values()
    # "film" and "good" occur twice each; of equals, the first in the alphabet is first.
    assert known[0].tolist() == [[1, 2], [1, 0]]
    assert unseen[0].tolist() == [[1]]
    parts = paper_data._cifar(Path(str(paper_data.FOLDER)))
    assert parts["train"][1].tolist() == [4, 5]
    assert parts["test"][1].tolist() == [3]
    first = parts["train"][0][0]
    assert first.shape == (3, 32, 32)
    assert first[:, 0, 0].tolist() == pytest.approx([0.8, 1.0, 0.0])


# The stored runs


def stored() -> Any:
    return stored_runs("paper")["results"]


def test_stored_choices_are_those_of_the_stored_tuning() -> None:
    found = stored()
    assert set(found) == {*TASKS, "vae"}
    for name, task in TASKS.items():
        rows = [{"task": name, **row} for row in found[name]["tuning"]]
        rates = {of: lr for (_, of), lr in chosen_rates(rows).items()}
        assert found[name]["chosen"] == rates
        for of, lr in rates.items():
            assert (
                tuple(row["lr"] for row in matching(rows, optimizer=of))
                == (task.rates[of])
            )
            # Not at an end of what was tried.
            assert task.rates[of][0] < lr < task.rates[of][-1], (name, of)
            seeds = [
                row["seed"] for row in matching(found[name]["final"], optimizer=of)
            ]
            assert tuple(seeds) == FINAL_SEEDS
    vae = found["vae"]
    chosen = [one for n in (10, 100) for one in chosen_vae_rates(vae["grid"], n)]
    assert vae["chosen"] == chosen
    assert len(vae["final"]) == len(chosen) * len(FINAL_SEEDS)


@pytest.mark.usefixtures("float32", "fresh_data")
@pytest.mark.parametrize("name", TASKS)
def test_first_steps_of_the_stored_runs_are_repeated(name: str) -> None:
    if "dropout" in name:
        need_its_masks(stored_runs("paper"))
    task = TASKS[name]
    loaded(task.data)
    rows = matching(stored()[name]["final"], seed=FINAL_SEEDS[0])
    steps = paper.FIRST_STEPS
    assert {len(row["first_step_losses"]) for row in rows} == {steps}
    # A processor without bfloat16 needs seven seconds for each of these steps.
    if name == "convolutional":
        steps = 2
    elif name == "convolutional, dropout":
        rows, steps = rows[:1], 2
    for row in rows:
        losses = row["first_step_losses"][:steps]
        _, _, history = train(task, row, task.epochs, max_steps=steps)
        # float32 and bfloat16: another processor rounds differently.
        tolerance = 2e-2 if task.bfloat16 else 1e-3
        assert history.step_losses == pytest.approx(losses, rel=tolerance)


@pytest.mark.usefixtures("float32", "fresh_data")
def test_first_steps_of_the_stored_autoencoders_are_repeated() -> None:
    rows = matching(stored()["vae"]["final"], seed=FINAL_SEEDS[0], epochs=100)
    assert len(rows) == 12
    for row in rows:
        losses = row["first_step_losses"]
        _, found = paper_vae.train(row, 1, max_steps=len(losses))
        assert found == pytest.approx(losses, rel=2e-2)
