"""adam_tutorial: the Adam optimizer, to read, to run and to train with.

The names below are the public ones; each module's documentation says more.
"""

from adam_tutorial import objectives, optim, reference, theory
from adam_tutorial.checking import check_optimizer

__all__ = ["__version__", "check_optimizer", "objectives", "optim", "reference", "theory"]

__version__ = "0.1.0"
