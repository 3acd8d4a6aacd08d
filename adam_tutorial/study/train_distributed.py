"""Train the digits' convolutional network in one process or many, with the same bits.

In one process::

    python -m adam_tutorial.study.train_distributed --steps 200 --out final.safetensors

and in four::

    torchrun --nproc-per-node 4 -m adam_tutorial.study.train_distributed --steps 200
    --out final.safetensors

The last line that is printed is the SHA-256 of the final parameters and moments. On one
kind of processor it is the same for 1, 2, 4 and 8 processes, for a run that was killed
and continues from its checkpoints, and with the optimizer's state divided among the
processes. Where there are GPUs, each process takes one; that is not tested.

Everything that is random is a function of the seed, the step and the micro-batch, so no
state of a generator has to be saved, and none depends on the number of processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from adam_tutorial import checkpoint
from adam_tutorial.distributed import Zero1, fingerprint, tree_gradients
from adam_tutorial.distributed.trees import Group, check_power_of_two, rank_of, ranks_of
from adam_tutorial.optim import Adam
from adam_tutorial.study.data import shear_and_zoom
from adam_tutorial.study.experiments.images import SIZES, digit_examples
from adam_tutorial.study.models import ImageCNN
from adam_tutorial.study.training import Examples, evaluate

__all__ = ["Settings", "Trained", "digits", "main", "train"]


@dataclass(frozen=True)
class Settings:
    """What decides about the bits of a run, beside the number of its steps.

    Attributes
    ----------
    seed : int
        Of parameters, order, augmentation and dropout.
    batch_size, micro_batches : int
        Examples of a step, and in how many equal parts they are computed.
    lr : float
        Learning rate.
    """

    seed: int = 0
    batch_size: int = 80
    micro_batches: int = 8
    lr: float = 1e-3


@dataclass(frozen=True)
class Trained:
    """What came out of a run.

    Attributes
    ----------
    model : Module
        After the last step.
    optimizer : dict
        The state of its optimizer, gathered.
    losses : list of float
        Of the steps of this process's life, before each of them.
    bytes_sent : int
        By this process, since it started.
    seconds : float
        For one of these steps, the median; 0 if there were none.
    """

    model: nn.Module
    optimizer: dict[str, Any]
    losses: list[float]
    bytes_sent: int
    seconds: float

    @property
    def fingerprint(self) -> str:
        """SHA-256 of parameters, running averages and moments."""
        return fingerprint(self.model.state_dict(), self.optimizer["state"])


class _Held:
    """A state dict between a file and those whose state it is."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self.state = state or {}

    def state_dict(self) -> Mapping[str, Any]:
        return self.state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.state = state


def digits() -> dict[str, Examples]:
    """Return 4,000 digits to learn, "train", and 1,000 others, "test"."""
    parts = digit_examples(SIZES)
    pairs = zip(parts["train"], parts["validation"], strict=True)
    inputs, labels = (torch.cat(pair) for pair in pairs)
    return {"train": (inputs, labels), "test": parts["test"]}


def train(
    examples: Examples,
    steps: int,
    settings: Settings,
    *,
    checkpoints: Path | None = None,
    every: int = 50,
    all_reduce: bool = False,
    zero: bool = False,
    group: Group = None,
    device: str = "cpu",
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train up to a number of steps, from the newest checkpoint if there is one.

    Parameters
    ----------
    examples : pair of Tensor
        Images and labels.
    steps : int
        Number of the last step.
    settings : Settings
        Of the run.
    checkpoints : Path, optional
        A folder, read and written by the first process. It is made if need be.
    every : int
        Steps from one checkpoint to the next. The last step has one, too.
    all_reduce, zero : bool
        Average gradients by the backend's all-reduce; divide the optimizer's state.
    group : ProcessGroup, optional
        Who takes part.
    device : str
        Where this process computes.
    on_start : function, optional
        Called with the step from which it continues, 0 for a new run.
    on_step : function, optional
        Called with the number of each finished step and its loss.

    Raises
    ------
    ValueError
        The batch cannot be divided, or the checkpoint belongs to another run.
    """
    if settings.batch_size % settings.micro_batches:
        raise ValueError(
            f"a batch of {settings.batch_size} cannot be divided into"
            f" {settings.micro_batches} equal micro-batches"
        )
    torch.manual_seed(settings.seed)
    model = ImageCNN().to(device)
    optimizer: Any
    if zero:
        optimizer = Zero1(
            model.parameters(), lambda groups: Adam(groups, lr=settings.lr), group
        )
    else:
        optimizer = Adam(model.parameters(), lr=settings.lr)
    inputs, labels = (tensor.to(device) for tensor in examples)
    batches = len(labels) // settings.batch_size
    first = 0
    if checkpoints is not None:
        first = _resume(checkpoints, model, optimizer, settings, group)
        if first > steps:
            raise ValueError(
                f"{checkpoints} holds a checkpoint of step {first}, and the run is to"
                f" end at step {steps}"
            )
    if on_start is not None:
        on_start(first)
    losses, times, sent = [], [], 0
    for step in range(first, steps):
        started = time.perf_counter()
        epoch, batch = divmod(step, batches)
        order = np.random.default_rng((settings.seed, epoch)).permutation(len(labels))
        rows = torch.from_numpy(order).to(device).split(settings.batch_size)[batch]
        parts = rows.chunk(settings.micro_batches)

        def loss(number: int, parts: tuple[Tensor, ...] = parts) -> Tensor:
            images = inputs[parts[number]]
            # The generator that was seeded for this micro-batch.
            images = shear_and_zoom(images.cpu(), torch.default_generator).to(device)
            return functional.cross_entropy(model(images), labels[parts[number]])

        done = tree_gradients(
            model,
            loss,
            settings.micro_batches,
            seed=settings.seed,
            step=step,
            group=group,
            all_reduce=all_reduce,
        )
        optimizer.step()
        sent += done.bytes_sent
        losses.append(done.loss)
        times.append(time.perf_counter() - started)
        if checkpoints is not None and ((step + 1) % every == 0 or step + 1 == steps):
            _save(checkpoints, step + 1, model, optimizer, settings, group)
        if on_step is not None:
            on_step(step + 1, done.loss)
    seconds = statistics.median(times) if times else 0.0
    sent += getattr(optimizer, "bytes_sent", 0)
    return Trained(model, optimizer.state_dict(), losses, sent, seconds)


def _save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: Any,
    settings: Settings,
    group: Group,
) -> None:
    state = optimizer.state_dict()  # with Zero1, all processes have a part of it
    if rank_of(group) == 0:
        checkpoint.save(
            folder,
            step,
            model=model,
            optimizer=_Held(state),
            extra={"settings": asdict(settings)},
        )


def _resume(
    folder: Path, model: nn.Module, optimizer: Any, settings: Settings, group: Group
) -> int:
    """Load the newest checkpoint in all processes, and return its step."""
    found: list[Any] = [None]
    if rank_of(group) == 0:
        held = {"model": _Held(), "optimizer": _Held()}
        try:
            loaded = checkpoint.load(
                folder,
                model=held["model"],
                optimizer=held["optimizer"],
                random_states=False,
            )
        except FileNotFoundError:
            pass
        else:
            states = {name: each.state for name, each in held.items()}
            found = [(loaded.step, loaded.extra, states, str(loaded.path))]
    if ranks_of(group) > 1:
        # Only the first process needs the folder: the others may be on other machines.
        dist.broadcast_object_list(found, group=group, group_src=0)
    if found[0] is None:
        return 0
    step, extra, states, path = found[0]
    if extra["settings"] != asdict(settings):
        raise ValueError(
            f"{path} is of a run with {extra['settings']}, not {asdict(settings)}"
        )
    model.load_state_dict(states["model"])
    optimizer.load_state_dict(states["optimizer"])
    return int(step)


@contextmanager
def process_group() -> Iterator[str]:
    """Join the processes that torchrun started, if it did; yield this one's device."""
    device = "cpu"
    if torch.cuda.is_available():
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(device)
    joined = "RANK" in os.environ
    if joined:
        dist.init_process_group("gloo" if device == "cpu" else "nccl")
    try:
        yield device
    finally:
        if joined:
            dist.destroy_process_group()


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for; end the program if it is not possible."""
    module = "adam_tutorial.study.train_distributed"
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description="Train the digits' convolutional network. The last line printed is"
        " the SHA-256 of the final parameters and moments, the same from any number of"
        " processes.",
        epilog=f"In four processes: torchrun --nproc-per-node 4 -m {module} --steps 200"
        " --out final.safetensors",
    )
    add = parser.add_argument
    add("--steps", type=int, required=True, help="number of the last step")
    add("--out", type=Path, required=True, help="file for parameters and moments")
    add(
        "--checkpoints",
        type=Path,
        metavar="FOLDER",
        help="save there, and continue from the newest checkpoint in it",
    )
    add(
        "--every",
        type=int,
        default=50,
        help="steps from one checkpoint to the next (%(default)s)",
    )
    add(
        "--all-reduce",
        action="store_true",
        help="average as is usual; the bits depend on the number of processes then",
    )
    add(
        "--zero",
        action="store_true",
        help="divide the optimizer's state among the processes (ZeRO-1)",
    )
    add("--seed", type=int, default=Settings.seed, help="of all that is random")
    add("--lr", type=float, default=Settings.lr, help="learning rate (%(default)s)")
    add(
        "--batch-size",
        type=int,
        default=Settings.batch_size,
        help="examples of a step, by all processes together (%(default)s)",
    )
    add(
        "--micro-batches",
        type=int,
        default=Settings.micro_batches,
        help="parts of a batch, a power of two: at most so many processes can share"
        " the work, and another number gives other bits (%(default)s)",
    )
    chosen = parser.parse_args(given)
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    for name in ("steps", "every", "batch_size", "micro_batches"):
        if getattr(chosen, name) < 1:
            option = name.replace("_", "-")
            parser.error(f"--{option} must be at least 1, got {getattr(chosen, name)}")
    if chosen.batch_size > sum(SIZES[part] for part in ("train", "validation")):
        parser.error(f"--batch-size: there are 4,000 digits, got {chosen.batch_size}")
    if chosen.batch_size % chosen.micro_batches:
        parser.error(
            f"--batch-size {chosen.batch_size} cannot be divided into"
            f" --micro-batches {chosen.micro_batches} of one size"
        )
    for what, number in (
        ("--micro-batches", chosen.micro_batches),
        ("the number of processes", ranks),
    ):
        try:
            check_power_of_two(what, number)
        except ValueError as error:
            parser.error(str(error))
    if ranks > chosen.micro_batches:
        parser.error(
            f"{ranks} processes cannot share --micro-batches {chosen.micro_batches}"
        )
    if not chosen.out.absolute().parent.is_dir():
        parser.error(f"--out: the folder {chosen.out.parent} does not exist")
    if chosen.checkpoints is not None and chosen.checkpoints.is_file():
        parser.error(f"--checkpoints: {chosen.checkpoints} is not a folder")
    return chosen


def main(
    given: list[str] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Train as the command line says.

    Parameters
    ----------
    given : list of str, optional
        Arguments, by default those of the program.
    on_step : function, optional
        As for :func:`train`, called after the progress was printed.
    """
    chosen = arguments(given)
    # Other numbers of threads add up in another order.
    torch.set_num_threads(1)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    settings = Settings(chosen.seed, chosen.batch_size, chosen.micro_batches, chosen.lr)
    with process_group() as device:
        is_first = rank_of() == 0

        def begin(step: int) -> None:
            if is_first and step > 0:
                print(f"continuing from step {step}", flush=True)

        def report(step: int, loss: float) -> None:
            if is_first and (step % 50 == 0 or step == chosen.steps):
                print(f"step {step}: loss {loss:.4f}", flush=True)
            if on_step is not None:
                on_step(step, loss)

        examples = digits()
        trained = train(
            examples["train"],
            chosen.steps,
            settings,
            checkpoints=chosen.checkpoints,
            every=chosen.every,
            all_reduce=chosen.all_reduce,
            zero=chosen.zero,
            device=device,
            on_start=begin,
            on_step=report,
        )
        if is_first:
            _finish(chosen.out, trained, examples["test"])


def _finish(out: Path, trained: Trained, test: Examples) -> None:
    tensors = {f"model.{k}": v for k, v in trained.model.state_dict().items()}
    for number, entry in trained.optimizer["state"].items():
        tensors |= {f"optimizer.{number}.{key}": v for key, v in entry.items()}
    save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, out)
    model = trained.model.cpu()
    steps = len(trained.losses)
    print(f"accuracy on {len(test[1])} other digits: {evaluate(model, test).accuracy}")
    if steps:
        print(
            f"{steps} steps, {1000 * trained.seconds:.0f} ms each (median);"
            f" each process sent {trained.bytes_sent / steps / 1e6:.3f} MB a step"
        )
    print("SHA-256 of parameters and moments:")
    print(trained.fingerprint)


if __name__ == "__main__":
    main()
