"""Saving: what is asked of the objects, and the two ways to write it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from adam_tutorial._arguments import as_count
from adam_tutorial._warnings import warn
from adam_tutorial.checkpoint.container import pack
from adam_tutorial.checkpoint.encoding import Encoder
from adam_tutorial.checkpoint.files import name_of, prune, publish, steps_in
from adam_tutorial.checkpoint.random_states import capture

__all__ = ["PARTS", "Saver", "save"]

PARTS = ("model", "optimizer", "scheduler", "scaler", "sampler")
# An object with state_dict() and load_state_dict(), or several by name.
Part: TypeAlias = Any
# Where a file's name has no more digits.
LAST_STEP = 10**19 - 1


def save(
    folder: str | os.PathLike[str],
    step: int,
    *,
    model: Part = None,
    optimizer: Part = None,
    scheduler: Part = None,
    scaler: Part = None,
    sampler: Part = None,
    extra: Any = None,
    keep: int | None = 3,
) -> Path:
    """Save a training run as one file, which is whole and durable when this returns.

    The random states of Python, NumPy (its global generator), torch and its devices are
    saved too. If the machine stops at any moment, the folder holds the checkpoints that
    it held before, and either all or nothing of the new one.

    Parameters
    ----------
    folder : path
        Holds the checkpoints of one run; is made if it does not exist.
    step : int
        Number of steps done so far. :func:`load` takes the file with the highest.
    model, optimizer, scheduler, scaler, sampler : object or mapping, optional
        What has ``state_dict()``, or a mapping from names to such objects.
    extra : optional
        Anything else that is made of numbers, strings, tensors, arrays, and lists,
        tuples, sets and dictionaries of them.
    keep : int, optional
        How many checkpoints up to this step to keep; older ones are deleted after the
        new one is durable. None keeps all.

    Returns
    -------
    Path
        The file, such as ``folder/step-0000000200.safetensors``.

    Raises
    ------
    TypeError
        A part has no ``state_dict``, or a state holds what a file cannot, such as a
        function. The error says where, and nothing was written.
    ValueError
        ``step`` or ``keep`` is out of range, or a state contains itself.
    OSError
        The system refuses to write. The folder is as it was.

    Warns
    -----
    UserWarning
        The folder has a file with a higher step, which :func:`load` will prefer.

    Notes
    -----
    Needs memory for one copy of the state. Tensors of every dtype and device are saved
    from the CPU, parameters as tensors; sparse, quantized and distributed tensors are
    refused.

    Examples
    --------
    >>> import tempfile, torch
    >>> from adam_tutorial import checkpoint
    >>> model = torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = checkpoint.save(folder, 200, model=model, extra={"loss": 0.5})
    ...     loaded = checkpoint.load(folder, model=model)
    >>> path.name, loaded.step, loaded.extra
    ('step-0000000200.safetensors', 200, {'loss': 0.5})
    """
    count, kept = _checked(step, keep)
    parts = (model, optimizer, scheduler, scaler, sampler)
    return _write(Path(folder), count, _snapshot(count, parts, extra), kept)


class Saver:
    """Saves in the background, one checkpoint at a time.

    Parameters
    ----------
    folder : path
        Holds the checkpoints of one run; is made if it does not exist.
    keep : int, optional
        As in :func:`save`.

    Attributes
    ----------
    newest : Path or None
        The newest file that is durable.

    Notes
    -----
    :meth:`save` copies the state and returns; training may change it at once. The file
    gets its name after its bytes are on the disk. An error of the background is raised
    by the next call of any method, or at the end of the ``with`` block.

    Examples
    --------
    >>> import tempfile, torch
    >>> from adam_tutorial import checkpoint
    >>> model = torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with checkpoint.Saver(folder) as saver:
    ...         saver.save(1, model=model)
    ...     checkpoint.latest(folder).name
    'step-0000000001.safetensors'
    """

    newest: Path | None

    def __init__(self, folder: str | os.PathLike[str], *, keep: int | None = 3) -> None:
        _checked(0, keep)
        self.folder = Path(folder)
        self.keep = keep
        self.newest = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(
        self,
        step: int,
        *,
        model: Part = None,
        optimizer: Part = None,
        scheduler: Part = None,
        scaler: Part = None,
        sampler: Part = None,
        extra: Any = None,
    ) -> None:
        """Copy the state and start to write it, after the file before is durable.

        Raises
        ------
        TypeError, ValueError
            As :func:`save`.
        OSError
            The file before could not be written.
        """
        count, kept = _checked(step, self.keep)
        self.wait()
        parts = (model, optimizer, scheduler, scaler, sampler)
        pieces = _snapshot(count, parts, extra)
        # No daemon: a program that ends waits for the file.
        self._thread = threading.Thread(
            target=self._run, args=(count, pieces, kept), name="checkpoint.Saver"
        )
        self._thread.start()

    def _run(self, step: int, pieces: list[memoryview], keep: int | None) -> None:
        try:
            self.newest = _write(self.folder, step, pieces, keep)
        except BaseException as error:
            self._error = error

    def wait(self) -> Path | None:
        """Wait for the file that is being written; return the newest durable one.

        Raises
        ------
        OSError
            It could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self.newest

    def close(self) -> None:
        """Wait for the file that is being written; raise if it could not be."""
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.wait()
        except OSError as own:
            if error is None:
                raise
            error.add_note(f"the last checkpoint could not be written either: {own}")


def states(name: str, part: Part) -> Any:
    """Return the state of a part, or the states of several by name."""
    if hasattr(part, "state_dict"):
        return part.state_dict()
    if isinstance(part, Mapping) and all(
        hasattr(one, "state_dict") for one in part.values()
    ):
        return {key: one.state_dict() for key, one in part.items()}
    raise TypeError(
        f"{name} must have state_dict(), or be a mapping to such objects, got"
        f" {type(part).__name__}; a state dict of your own can be saved as extra"
    )


def _checked(step: int, keep: int | None) -> tuple[int, int | None]:
    count = as_count("step", step)
    if count > LAST_STEP:
        raise ValueError(f"step must be at most {LAST_STEP}, got {count}")
    return count, None if keep is None else as_count("keep", keep, least=1)


def _snapshot(step: int, parts: Sequence[Part], extra: Any) -> list[memoryview]:
    encoder = Encoder()
    forms = {}
    for name, part in zip(PARTS, parts, strict=True):
        if part is not None:
            state = encoder.encode(states(name, part), name)
            several = not hasattr(part, "state_dict")
            forms[name] = {"dict": {"several": several, "state": state}}
    content = {
        "step": encoder.encode(step, "step"),
        "parts": {"dict": forms},
        "extra": encoder.encode(extra, "extra"),
        "random_states": encoder.encode(capture(), "random_states"),
    }
    return pack({"dict": content}, encoder)


def _write(folder: Path, step: int, pieces: list[memoryview], keep: int | None) -> Path:
    path = publish(folder, name_of(step), pieces)
    prune(folder, step, keep)
    newest, _ = steps_in(folder)[0]
    if newest > step:
        warn(
            f"step {step} is saved, but {folder} has a checkpoint of step {newest},"
            " which load(folder) will take; a run that starts again from an earlier"
            " step should get a folder of its own"
        )
    return path
