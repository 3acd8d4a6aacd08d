"""Checkpoints that survive a crash, refuse damage and resume to the last bit.

>>> from adam_tutorial import checkpoint

In a training loop::

    try:
        step = checkpoint.load(folder, model=model, optimizer=optimizer).step
    except FileNotFoundError:
        step = 0
    while step < steps:
        ...
        step += 1
        if step % 100 == 0:
            checkpoint.save(folder, step, model=model, optimizer=optimizer)

Each checkpoint is one file, which any reader of safetensors can open. Loading runs no
code.
"""

from adam_tutorial.checkpoint.errors import CheckpointError
from adam_tutorial.checkpoint.loading import Loaded, latest, load
from adam_tutorial.checkpoint.sampler import ShuffledBatches
from adam_tutorial.checkpoint.saving import Saver, save

__all__ = [
    "CheckpointError",
    "Loaded",
    "Saver",
    "ShuffledBatches",
    "latest",
    "load",
    "save",
]
