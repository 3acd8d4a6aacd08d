"""Update rules in NumPy, written as the papers write them. Read them here; train with ``optim``.

A rule is a pure function ``(state, gradient) -> (state, update)``; the caller adds the
update to its parameters. ``None`` is the state before the first step. Nothing is
changed in place, and a float32 gradient gives a float32 update. Rules that need the
parameters (weight decay) take them as
``theta``.

>>> import numpy as np
>>> theta, state = np.array([1.0, -2.0]), None
>>> for _ in range(3):
...     state, update = adam(state, gradient=2 * theta, lr=0.1)
...     theta = theta + update
>>> theta.round(3).tolist()
[0.702, -1.701]

Where to look: ``classic`` holds what came before Adam, ``adam`` the paper's own
algorithms,
``variants`` what changes a line or two of Adam, ``rule`` what all rules share, ``online`` long runs
on linear losses.
"""

from adam_tutorial.reference.adam import (
    AdaMaxState,
    AdamState,
    AverageState,
    adam,
    adam_efficient,
    adam_regret,
    adamax,
    temporal_average,
)
from adam_tutorial.reference.classic import (
    AdaDeltaState,
    AdaGradState,
    MomentumState,
    RMSPropState,
    adadelta,
    adagrad,
    gradient_descent,
    momentum,
    rmsprop,
)
from adam_tutorial.reference.online import linear_trajectory
from adam_tutorial.reference.rule import rule, trajectory
from adam_tutorial.reference.variants import (
    AMSGradState,
    LionState,
    NAdamState,
    adabelief,
    adam_l2,
    adamw,
    amsgrad,
    lion,
    nadam,
    radam,
)

__all__ = [
    "AMSGradState",
    "AdaDeltaState",
    "AdaGradState",
    "AdaMaxState",
    "AdamState",
    "AverageState",
    "LionState",
    "MomentumState",
    "NAdamState",
    "RMSPropState",
    "adabelief",
    "adadelta",
    "adagrad",
    "adam",
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
]
