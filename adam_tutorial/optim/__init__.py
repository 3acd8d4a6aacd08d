"""Optimizers to train with, in the place of those of :mod:`torch.optim`."""

from adam_tutorial.optim.adam import Adam, AdamW

__all__ = ["Adam", "AdamW"]
