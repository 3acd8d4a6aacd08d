"""Training runs that are killed at random moments and resumed until they are done.

``python -m tests.faults.kills --kills 25`` prints what happened as JSON, and ``--out``
stores it as the record of the chapter *Robust*. This process
imports everything once; each life of a run is a fork of it, so that a kill costs
milliseconds. A life notes in shared memory how far it is; what it writes to the disk
is written by :mod:`adam_tutorial.checkpoint` alone.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint import ShuffledBatches
from adam_tutorial.optim import AdamW
from adam_tutorial.study.data import load_digits
from adam_tutorial.study.experiments import records
from tests.checkpoint.runs import Run

__all__ = ["Outcome", "kill_runs"]

STEPS = 120
EVERY = 5
KEEP = 2
# The shared memory: the step that was loaded, steps done, the durable step, whether it
# is saving, and a digest at the end.
LAYOUT = struct.Struct("qqqq64s")
LOADED, DONE, DURABLE, SAVING = range(4)


@dataclass
class Outcome:
    """What happened.

    Attributes
    ----------
    kills, kills_while_saving : int
        All of them, and those between the call of a save and its return.
    runs : int
        Runs that were killed and resumed until they were done.
    most_lost : int
        Most steps that were done and had to be done again.
    problems : list of str
        What should not have happened; empty if all is well.
    """

    kills: int = 0
    kills_while_saving: int = 0
    runs: int = 0
    most_lost: int = 0
    problems: list[str] = field(default_factory=list)


def new_run(seed: int) -> Run:
    """Return a small network with dropout on digits, before its first step."""
    random.seed(seed)
    torch.manual_seed(seed)
    data = TensorDataset(*digits())
    layers = nn.Linear(784, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 10)
    model = nn.Sequential(nn.Flatten(), *layers)
    optimizer = AdamW(model.parameters(), lr=0.01, fused=False)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=STEPS)
    # Not a divisor of the steps between checkpoints: epochs end anywhere.
    sampler = ShuffledBatches(data, 32, seed=seed)
    loader = DataLoader(data, batch_sampler=sampler, generator=torch.Generator())
    return Run(model, optimizer, scheduler, sampler, loader)


def live(folder: Path, seed: int, background: bool, memory: mmap.mmap) -> None:
    """Resume a run and train to the end, with a checkpoint every few steps."""
    run = new_run(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no file may ever have to be refused
        try:
            run.step = checkpoint.load(folder, **run.parts()).step
        except FileNotFoundError:
            run.step = 0
    note(memory, LOADED, run.step)
    note(memory, DONE, run.step)
    with checkpoint.Saver(folder, keep=KEEP) as saver:
        while run.step < STEPS:
            run.train(run.step + 1)
            note(memory, DONE, run.step)
            if run.step % EVERY == 0:
                note(memory, SAVING, 1)
                if background:
                    saver.save(run.step, **run.parts())
                    if saver.newest:
                        note(memory, DURABLE, int(saver.newest.name[5:15]))
                else:
                    checkpoint.save(folder, run.step, **run.parts(), keep=KEEP)
                    note(memory, DURABLE, run.step)
                note(memory, SAVING, 0)
    memory[32:96] = run.digest().encode()


def note(memory: mmap.mmap, place: int, value: int) -> None:
    """Write a number where the parent finds it after the kill."""
    memory[8 * place : 8 * place + 8] = struct.pack("q", value)


def forked(action: Callable[[], None]) -> int:
    """Run something in a fork of this process and return the fork's number."""
    process = os.fork()
    if process == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return process


def kill_runs(kills: int, seed: int) -> Outcome:
    """Kill runs at random moments until there were so many kills and the last is done.

    Each run is compared with an undisturbed one: parameters, moments, schedule and
    place in the data, by their digest.
    """
    draw = random.Random(seed)
    outcome = Outcome()
    memory = mmap.mmap(-1, LAYOUT.size)
    with tempfile.TemporaryDirectory() as scratch:
        # What torch imports when it is first used is imported once, before the forks.
        live(Path(scratch) / "first", 0, True, memory)
        while outcome.kills < kills and not outcome.problems:
            one = outcome.runs
            start = time.perf_counter()
            undisturbed = Path(scratch) / f"undisturbed-{one}"
            process = forked(partial(live, undisturbed, one, False, memory))
            if status_after(process, math.inf):
                outcome.problems.append(f"the undisturbed run {one} failed")
            length = time.perf_counter() - start
            digest = bytes(memory[32:96])
            folder = Path(scratch) / f"run-{one}"
            resume(folder, one, length, kills, draw, memory, outcome)
            if bytes(memory[32:96]) != digest:
                outcome.problems.append(f"run {one} ended with other bits")
            outcome.runs += 1
    return outcome


def resume(
    folder: Path,
    seed: int,
    length: float,
    kills: int,
    draw: random.Random,
    memory: mmap.mmap,
    outcome: Outcome,
) -> None:
    """Start a run again and again, and kill it each time, until it comes to its end."""
    memory[:] = bytes(LAYOUT.size)
    while not outcome.problems:
        durable, done = numbers(memory)[DURABLE], numbers(memory)[DONE]
        note(memory, LOADED, -1)
        note(memory, SAVING, 0)
        process = forked(partial(live, folder, seed, bool(seed % 2), memory))
        time_left = draw.uniform(0, length / 4) if outcome.kills < kills else math.inf
        status = status_after(process, time_left)
        if os.WIFSIGNALED(status):
            outcome.kills += 1
            outcome.kills_while_saving += bool(numbers(memory)[SAVING])
        elif status:
            outcome.problems.append(f"a life of run {seed} failed")
        loaded = numbers(memory)[LOADED]
        if loaded >= 0:  # it came so far as to load
            outcome.most_lost = max(outcome.most_lost, done - loaded)
            if loaded < durable:
                outcome.problems.append(f"step {durable} was durable, {loaded} loaded")
        if status == 0:
            return


def numbers(memory: mmap.mmap) -> tuple[int, ...]:
    """Return what a life noted."""
    return LAYOUT.unpack(memory[:])[:4]


def status_after(process: int, seconds: float) -> int:
    """Return how a process ended, which is killed after some time."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


@functools.cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a thousand digits."""
    images = load_digits()
    pixels = torch.from_numpy(images.pixels[::5]).float() / 255
    return pixels, torch.from_numpy(images.labels[::5])


def main(arguments: list[str]) -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file to write as well")
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    outcome = kill_runs(chosen.kills, chosen.seed)
    seconds = time.perf_counter() - start
    if chosen.out:
        module = f"tests.faults.kills --kills {chosen.kills} --seed {chosen.seed}"
        made = records.provenance(module, chosen.out, seconds=seconds)
        records.write(chosen.out, {**made, "results": vars(outcome)})
    print(json.dumps({**vars(outcome), "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
