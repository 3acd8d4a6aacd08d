"""Optimizers to train with, in the place of those of :mod:`torch.optim`."""

from adam_tutorial.optim.adam import Adam, AdamW
from adam_tutorial.optim.variants import AdaBelief, Adamax, Lion, NAdam, RAdam

__all__ = ["AdaBelief", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "RAdam"]
