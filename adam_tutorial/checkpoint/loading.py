"""Loading: from the newest good file, all parts or none, random states last."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from adam_tutorial._warnings import warn
from adam_tutorial.checkpoint.container import read, verify
from adam_tutorial.checkpoint.errors import CheckpointError
from adam_tutorial.checkpoint.files import step_of, steps_in
from adam_tutorial.checkpoint.random_states import capture, restore
from adam_tutorial.checkpoint.saving import PARTS, Part

__all__ = ["Loaded", "latest", "load"]

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """What :func:`load` found.

    Attributes
    ----------
    step : int
        Number of steps that had been done.
    extra : object
        What :func:`save` was given as ``extra``.
    path : Path
        The file.
    """

    step: int
    extra: Any
    path: Path


def load(
    path: str | os.PathLike[str],
    *,
    model: Part = None,
    optimizer: Part = None,
    scheduler: Part = None,
    scaler: Part = None,
    sampler: Part = None,
    random_states: bool = True,
) -> Loaded:
    """Continue from a checkpoint: put its states into the objects that are given.

    Nothing in the file is executed, and nothing is changed before the whole file was
    verified and found to hold all parts that are asked for.

    Parameters
    ----------
    path : path
        A file, or the folder of a run: then the file with the highest step that is
        good. A warning names those that were refused and says why.
    model, optimizer, scheduler, scaler, sampler : object or mapping, optional
        What has ``load_state_dict()``, or a mapping from names to such objects. What is
        not given is left out.
    random_states : bool
        Set the random generators of Python, NumPy, torch and its devices; done last, so
        that nothing draws from them afterwards.

    Returns
    -------
    Loaded
        ``step``, ``extra`` and ``path``.

    Raises
    ------
    FileNotFoundError
        There is no such file, or no checkpoint in the folder.
    CheckpointError
        The file is truncated, altered, of another kind or version; or none in the
        folder is good; or a part is missing from it. Nothing was changed.
    Exception
        What a ``load_state_dict`` raises, as where shapes differ. All parts and random
        states are put back first, from a copy on the CPU.

    Notes
    -----
    The digest finds every accident, but anyone who can write a file can compute it:
    load no stranger's numbers without thought, though they cannot run code. Memory: the
    file's size twice, and a copy of the state of the parts that are given.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(
            f"no checkpoint at {place}: there is no such file or folder. A run that has"
            " saved nothing yet starts at step 0"
        )
    if place.is_dir():
        file, content = _newest(place, _content)
    else:
        file, content = place, _content(place)
    given = (model, optimizer, scheduler, scaler, sampler)
    loads = []
    for name, part in zip(PARTS, given, strict=True):
        if part is not None:
            loads += _matched(file, name, part, content["parts"])
    _load_all(file, loads, content["random_states"] if random_states else None)
    return Loaded(content["step"], content["extra"], file)


def latest(folder: str | os.PathLike[str]) -> Path | None:
    """Return the file with the highest step that is whole, or None if there is none.

    Every byte of it is read. A warning names the files that were refused.

    Raises
    ------
    NotADirectoryError
        It is a file.
    """
    place = Path(folder)
    if not place.exists():
        return None
    try:
        return _newest(place, _verified)[0]
    except (FileNotFoundError, CheckpointError):
        return None


def _content(path: Path) -> Any:
    content = read(path)
    problem = _problem(content)
    if problem:
        raise CheckpointError(path, f"malformed: {problem}")
    _check_name(path, content["step"])
    return content


def _verified(path: Path) -> None:
    _check_name(path, verify(path))


def _check_name(path: Path, step: int) -> None:
    named = step_of(path)
    if named is not None and named != step:
        raise CheckpointError(path, f"it holds step {step}, not {named} as named")


def _problem(content: Any) -> str:
    """Say what else than a content of ours it is, or nothing."""
    if type(content) is not dict or {*content} != {
        *("step", "parts", "extra", "random_states")
    }:
        return "it has other entries"
    if type(content["step"]) is not int or content["step"] < 0:
        return "its step is no count"
    parts = content["parts"]
    if type(parts) is not dict or not {*parts} <= {*PARTS}:
        return "it has other parts"
    for part in parts.values():
        if (
            type(part) is not dict
            or {*part} != {"several", "state"}
            or not isinstance(part["state"], dict)
        ):
            return "a part has no state"
    return ""


def _newest(folder: Path, examine: Callable[[Path], T]) -> tuple[Path, T]:
    """Return the newest file that can be examined, and what comes of it."""
    refused: dict[Path, str] = {}
    while True:
        files = [path for _, path in steps_in(folder)]
        for path in files:
            if path in refused:
                continue
            try:
                found = examine(path)
            except FileNotFoundError:
                if not path.is_symlink():
                    break  # another process deleted it: there are newer ones
                refused[path] = "a link to nothing"
            except CheckpointError as error:
                refused[path] = error.reason
            except OSError as error:
                refused[path] = str(error)
            else:
                _say(folder, refused, f"; {path.name} is used")
                return path, found
        else:
            break
    if refused:
        _say(folder, refused, "; none is left")
        raise CheckpointError(folder, f"none of its {len(refused)} checkpoints is good")
    raise FileNotFoundError(
        f"no checkpoint in {folder}: it has no file like step-0000000200.safetensors. A"
        " run that has saved nothing yet starts at step 0"
    )


def _say(folder: Path, refused: Mapping[Path, str], end: str) -> None:
    if refused:
        each = "; ".join(f"{path.name}: {why}" for path, why in refused.items())
        warn(f"refused in {folder}: {each}{end}")


def _matched(
    path: Path, name: str, part: Part, parts: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """Return what to load: what it is called, the object and its state."""
    if name not in parts:
        held = ", ".join(parts) or "nothing"
        raise CheckpointError(path, f"it holds no {name}; it holds {held}")
    several, state = parts[name]["several"], parts[name]["state"]
    if hasattr(part, "load_state_dict"):
        if several:
            raise CheckpointError(
                path, f"it holds several, {name}={{{', '.join(map(repr, state))}}}"
            )
        return [(name, part, state)]
    if not isinstance(part, Mapping) or not all(
        hasattr(one, "load_state_dict") for one in part.values()
    ):
        raise TypeError(
            f"{name} must have load_state_dict(), or be a mapping to such objects, got"
            f" {type(part).__name__}"
        )
    for key in part:
        if not several or key not in state:
            raise CheckpointError(path, f"it holds no {name}[{key!r}]")
    return [(f"{name}[{key!r}]", one, state[key]) for key, one in part.items()]


def _load_all(path: Path, loads: list[tuple[str, Any, Any]], random: Any) -> None:
    before = [_on_cpu(part.state_dict()) for _, part, _ in loads]
    random_before = capture()
    name = "random_states"
    try:
        for name, part, state in loads:  # noqa: B007 - the last one is named below
            part.load_state_dict(state)
        if random is not None:
            name = "random_states"
            restore(random)
    except BaseException as error:
        error.add_note(f"This was {name} of {path}. What was loaded was put back.")
        for (name, part, _), state in zip(loads, before, strict=True):
            try:
                part.load_state_dict(state)
            except Exception as another:
                error.add_note(f"{name} could not be put back: {another}")
        restore(random_before)
        raise


def _on_cpu(value: Any) -> Any:
    """Return a copy of a state that takes no memory of an accelerator."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        copied = copy.copy(value)  # with a module's versions
        copied.update((key, _on_cpu(one)) for key, one in value.items())
        return copied
    if type(value) in (list, tuple):
        return type(value)(_on_cpu(one) for one in value)
    return copy.deepcopy(value)
