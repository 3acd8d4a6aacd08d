"""Optimizers to train with, instead of those of :mod:`torch.optim`."""

from adam_tutorial.optim.adabelief import AdaBelief
from adam_tutorial.optim.adafactor import Adafactor
from adam_tutorial.optim.adam import Adam
from adam_tutorial.optim.adamax import Adamax
from adam_tutorial.optim.adamw import AdamW
from adam_tutorial.optim.lion import Lion
from adam_tutorial.optim.nadam import NAdam
from adam_tutorial.optim.radam import RAdam

__all__ = [
    "AdaBelief",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "RAdam",
]
