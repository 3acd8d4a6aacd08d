"""Update rules in NumPy, written as the papers write them.

They are for reading and for checking; train with ``optim``. A rule is a pure function
``(state, gradient) -> (state, update)``; the caller adds the update to the parameters.
The state before the first step is None. Nothing is changed in place, and a float32
gradient gives a float32 update. Rules that need the parameters, such as those with
weight decay, take them as ``theta``.

>>> import numpy as np
>>> theta, state = np.array([1.0, -2.0]), None
>>> for _ in range(3):
...     state, update = adam(state, gradient=2 * theta, lr=0.1)
...     theta = theta + update
>>> theta.round(3).tolist()
[0.702, -1.701]

``adam_blocked`` is the exception: it computes what ``adam`` does, in place and fast.

Each rule is in the file of its name, with the state that it keeps. ``rule.py`` has what
all rules share, ``walk.py`` follows a rule, ``linear_trajectory.py`` makes long runs on
linear losses.
"""

from adam_tutorial.reference.adabelief import adabelief
from adam_tutorial.reference.adadelta import AdaDeltaState, adadelta
from adam_tutorial.reference.adafactor import AdafactorState, adafactor
from adam_tutorial.reference.adagrad import AdaGradState, adagrad
from adam_tutorial.reference.adam import AdamState, adam
from adam_tutorial.reference.adam_blocked import adam_blocked
from adam_tutorial.reference.adam_efficient import adam_efficient
from adam_tutorial.reference.adam_l2 import adam_l2
from adam_tutorial.reference.adam_regret import adam_regret
from adam_tutorial.reference.adamax import AdaMaxState, adamax
from adam_tutorial.reference.adamw import adamw
from adam_tutorial.reference.amsgrad import AMSGradState, amsgrad
from adam_tutorial.reference.gradient_descent import gradient_descent
from adam_tutorial.reference.linear_trajectory import linear_trajectory
from adam_tutorial.reference.lion import LionState, lion
from adam_tutorial.reference.momentum import MomentumState, momentum
from adam_tutorial.reference.nadam import NAdamState, nadam
from adam_tutorial.reference.radam import radam
from adam_tutorial.reference.rmsprop import RMSPropState, rmsprop
from adam_tutorial.reference.rule import rule
from adam_tutorial.reference.temporal_average import AverageState, temporal_average
from adam_tutorial.reference.walk import Walk, trajectory, walk

__all__ = [
    "AMSGradState",
    "AdaDeltaState",
    "AdaGradState",
    "AdaMaxState",
    "AdafactorState",
    "AdamState",
    "AverageState",
    "LionState",
    "MomentumState",
    "NAdamState",
    "RMSPropState",
    "Walk",
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adam_blocked",
    "adam_efficient",
    "adam_l2",
    "adam_regret",
    "adamax",
    "adamw",
    "amsgrad",
    "gradient_descent",
    "linear_trajectory",
    "lion",
    "momentum",
    "nadam",
    "radam",
    "rmsprop",
    "rule",
    "temporal_average",
    "trajectory",
    "walk",
]
