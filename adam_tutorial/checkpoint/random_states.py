"""The states of all random generators that a training run draws from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from adam_tutorial._warnings import warn

__all__ = ["capture", "restore"]


def capture() -> dict[str, Any]:
    """Return the states of Python, NumPy, torch and of each device that was used."""
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002
        "torch": torch.get_rng_state(),
        "cuda": [],
        "mps": None,
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore(states: dict[str, Any]) -> None:
    """Set all generators; warn if the devices are not those of the checkpoint."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    cuda, mps = states["cuda"], states["mps"]
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index, state in enumerate(cuda[:devices]):
        torch.cuda.set_rng_state(state, index)
    has_mps = torch.backends.mps.is_available()
    if mps is not None and has_mps:
        torch.mps.set_rng_state(mps)
    if len(cuda) > devices or (mps is not None and not has_mps):
        warn(
            "the checkpoint was made with devices that are not here: what is random on"
            " them will not be what it was"
        )
