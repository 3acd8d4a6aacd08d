from __future__ import annotations

import math
import sys
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from adam_tutorial.optim import Adam
from adam_tutorial.study.training import History, evaluate

from .toys import examples, fit_toy, new_model, weights

pytestmark = pytest.mark.usefixtures("float64")


def jitter(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch + 0.1 * torch.randn(
        batch.shape, generator=generator, dtype=batch.dtype
    )


class Recorder:
    """A transform that changes nothing and remembers which examples each batch held."""

    def __init__(self, count: int = 23) -> None:
        self.count = count
        self.batches: list[list[int]] = []

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(generator, torch.Generator)
        self.batches.append((batch[:, 2] * self.count).round().long().tolist())
        return batch


def run(
    seed: int = 5, *, dropout: float = 0.3, **keywords: Any
) -> tuple[nn.Module, History]:
    model = new_model(dropout)
    optimizer = Adam(model.parameters(), lr=0.01)
    keywords.setdefault("epochs", 4)
    keywords.setdefault("transform", jitter)
    scheduler = CosineAnnealingLR(optimizer, T_max=20)
    history = fit_toy(model, optimizer, seed=seed, scheduler=scheduler, **keywords)
    return model, history


# Fitting


def test_fit_is_the_loop_written_by_hand() -> None:
    inputs, labels = examples()
    model = new_model()
    history = fit_toy(
        model,
        SGD(model.parameters(), lr=0.1),
        (inputs, labels),
        epochs=2,
        batch_size=5,
        seed=3,
    )

    by_hand = new_model()
    generator = torch.Generator().manual_seed(3)
    losses = []
    for _ in range(2):
        order = torch.randperm(23, generator=generator)
        for start in (0, 5, 10, 15):
            rows = order[start : start + 5]
            loss = functional.cross_entropy(by_hand(inputs[rows]), labels[rows])
            losses.append(loss.item())
            gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(
                    by_hand.parameters(), gradients, strict=True
                ):
                    parameter.sub_(0.1 * gradient)
    assert history.step_losses == pytest.approx(losses, rel=1e-12)
    torch.testing.assert_close(weights(model), weights(by_hand), rtol=1e-12, atol=1e-14)


def test_fit_lowers_the_loss() -> None:
    model = new_model()
    before = evaluate(model, examples())
    fit_toy(model, Adam(model.parameters(), lr=0.03), epochs=40)
    after = evaluate(model, examples())
    assert after.loss < 0.3 * before.loss
    assert after.accuracy > 0.9


def test_same_seed_gives_the_same_run() -> None:
    (first, first_history), (second, second_history) = run(5), run(5)
    assert first_history == second_history
    assert torch.equal(weights(first), weights(second))


def test_another_seed_gives_another_order() -> None:
    assert run(5, dropout=0)[1].step_losses != run(6, dropout=0)[1].step_losses


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 16])
def test_max_steps_gives_the_beginning_of_the_long_run_exactly(steps: int) -> None:
    trail: list[Tensor] = []

    class Spy(Adam):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            trail.append(
                torch.cat(
                    [p.detach().flatten() for p in self.param_groups[0]["params"]]
                )
            )

    model = new_model(0.3)
    optimizer = Spy(model.parameters(), lr=0.01)
    scheduler = CosineAnnealingLR(optimizer, T_max=20)
    long = fit_toy(
        model, optimizer, epochs=4, seed=5, transform=jitter, scheduler=scheduler
    )
    assert len(trail) == len(long.step_losses) == 16

    short_model, short = run(5, max_steps=steps)
    assert short.step_losses == long.step_losses[:steps]
    assert torch.equal(weights(short_model), trail[steps - 1])


def test_max_steps_beyond_the_end_changes_nothing() -> None:
    assert run(5, max_steps=1000)[1] == run(5)[1]


def test_step_loss_is_that_before_the_step() -> None:
    inputs, labels = examples()
    model = new_model()
    expected = evaluate(model, (inputs, labels)).loss
    history = fit_toy(
        model, SGD(model.parameters(), lr=1), (inputs, labels), batch_size=23
    )
    assert history.step_losses == [pytest.approx(expected, rel=1e-12)]


def test_last_incomplete_batch_is_left_out() -> None:
    seen = Recorder()
    _, history = run(transform=seen, epochs=3)
    assert [len(batch) for batch in seen.batches] == [5] * 12
    assert len(history.step_losses) == 12


def test_every_epoch_visits_the_examples_once_in_a_new_order() -> None:
    seen = Recorder()
    run(transform=seen, epochs=2)
    epochs = [list(chain(*seen.batches[:4])), list(chain(*seen.batches[4:]))]
    for visited in epochs:
        assert len(set(visited)) == 20
        assert set(visited) <= set(range(23))
        assert visited != sorted(visited)
    assert epochs[0] != epochs[1]


def test_batch_as_large_as_the_training_set_is_complete() -> None:
    seen = Recorder()
    model = new_model()
    fit_toy(model, SGD(model.parameters(), lr=0.1), batch_size=23, transform=seen)
    assert [sorted(batch) for batch in seen.batches] == [list(range(23))]


def test_labels_follow_their_inputs() -> None:
    inputs, labels = examples()

    class Oracle(nn.Module):
        """Knows the right answer to each input: its loss is 0 if the labels match."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(50.0))

        def forward(self, batch: Tensor) -> Tensor:
            rows = (batch[:, 2] * 23).round().long()
            return self.scale * functional.one_hot(labels[rows], 3)

    model = Oracle()
    history = fit_toy(
        model, SGD(model.parameters(), lr=0), (inputs, labels), epochs=2, batch_size=4
    )
    assert max(history.step_losses) < 1e-12


def test_transform_sees_each_batch_and_its_result_is_trained_on() -> None:
    model = new_model()
    history = fit_toy(
        model,
        SGD(model.parameters(), lr=0),
        transform=lambda batch, _: torch.zeros_like(batch),
    )
    logits = model(torch.zeros(1, 3))
    possible = [
        functional.cross_entropy(logits, torch.tensor([c])).item() for c in range(3)
    ]
    for loss in history.step_losses:
        assert min(possible) <= loss <= max(possible)


def test_transform_draws_from_the_generator_of_the_seed() -> None:
    draws: list[list[float]] = []

    def record(batch: Tensor, generator: torch.Generator) -> Tensor:
        draws[-1].append(torch.rand(1, generator=generator).item())
        return batch

    for seed in (5, 5, 6):
        draws.append([])
        run(seed, transform=record)
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == 16


def test_scheduler_is_stepped_after_every_step() -> None:
    model = new_model()
    optimizer = SGD(model.parameters(), lr=1.0)
    rates: list[float] = []

    def record(batch: Tensor, _: torch.Generator) -> Tensor:
        rates.append(optimizer.param_groups[0]["lr"])
        return batch

    fit_toy(
        model,
        optimizer,
        epochs=2,
        transform=record,
        scheduler=StepLR(optimizer, step_size=3, gamma=0.5),
    )
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_train_loss_of_an_epoch_is_the_mean_of_its_step_losses() -> None:
    _, history = run(epochs=3)
    means = [
        math.fsum(history.step_losses[start : start + 4]) / 4 for start in (0, 4, 8)
    ]
    assert history.train_losses == pytest.approx(means, rel=1e-12)


def test_validation_examples_are_evaluated_after_each_epoch() -> None:
    validation = examples(7)
    model, history = run(epochs=3, validation=validation)
    assert len(history.validations) == 3
    last = evaluate(model, validation)
    assert history.validations[-1].loss == last.loss
    assert torch.equal(history.validations[-1].predictions, last.predictions)
    assert history.validations[0].loss != last.loss


def test_validation_does_not_change_the_training() -> None:
    assert run(validation=examples(7))[1].step_losses == run()[1].step_losses


def test_without_validation_examples_there_are_no_validations() -> None:
    assert run()[1].validations == []


def test_on_epoch_is_called_after_each_epoch_with_the_history_so_far() -> None:
    calls: list[tuple[int, int, int, int]] = []

    def record(epoch: int, history: History) -> None:
        counts = (
            len(history.step_losses),
            len(history.train_losses),
            len(history.validations),
        )
        calls.append((epoch, *counts))

    run(epochs=3, validation=examples(7), on_epoch=record)
    assert calls == [(1, 4, 1, 1), (2, 8, 2, 2), (3, 12, 3, 3)]


def test_model_trains_with_dropout_although_it_was_evaluated_between() -> None:
    model = new_model(0.5).eval()
    modes: list[bool] = []

    def record(batch: Tensor, _: torch.Generator) -> Tensor:
        modes.append(model.training)
        return batch

    fit_toy(
        model,
        SGD(model.parameters(), lr=0.1),
        epochs=2,
        batch_size=10,
        transform=record,
        validation=examples(7),
    )
    assert modes == [True] * 4


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"max_steps": 0}, "max_steps must be at least 1, got 0"),
        ({"max_steps": -1}, "max_steps must be at least 1, got -1"),
        ({"batch_size": -2}, "batch_size must be at least 1, got -2"),
        ({"batch_size": 24}, "batch_size is 24, but there are 23 examples"),
    ],
)
def test_count_out_of_range_is_refused_before_training(
    keywords: dict[str, Any], message: str
) -> None:
    model = new_model()
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        fit_toy(model, SGD(model.parameters(), lr=1), **keywords)
    assert torch.equal(weights(model), before)


def test_inputs_and_labels_of_different_length_are_refused() -> None:
    inputs, labels = examples()
    model = new_model()
    with pytest.raises(ValueError, match="train has 23 inputs but 20 labels"):
        fit_toy(model, SGD(model.parameters(), lr=1), (inputs, labels[:20]))


def test_any_optimizer_of_torch_can_be_used() -> None:
    for make in (torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad):
        model = new_model()
        optimizer: Optimizer = make(model.parameters(), lr=0.01)
        history = fit_toy(model, optimizer)
        assert len(history.step_losses) == 4


def test_run_that_stops_at_the_end_of_an_epoch_records_the_epoch() -> None:
    seen: list[int] = []
    _, short = run(
        max_steps=8, validation=examples(), on_epoch=lambda epoch, _: seen.append(epoch)
    )
    _, long = run(validation=examples())
    assert seen == [1, 2]
    assert short.train_losses == long.train_losses[:2]
    assert len(short.validations) == 2


# The progress bar


def test_progress_bar_is_shown_when_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(epochs=1, progress=True)
    captured = capsys.readouterr()
    assert "/4 [" in captured.err
    assert captured.out == ""


def test_progress_bar_counts_to_max_steps(capsys: pytest.CaptureFixture[str]) -> None:
    run(epochs=4, max_steps=3, progress=True)
    assert "/3 [" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [False, None])
def test_progress_bar_is_hidden_when_not_wanted_or_not_on_a_terminal(
    progress: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    run(epochs=1, progress=progress)
    assert capsys.readouterr().err == ""


def test_progress_bar_is_shown_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(epochs=1)
    assert "/4 [" in capsys.readouterr().err
