"""adam_tutorial: the Adam optimizer, to read, to run and to train with.

The names below are the public ones; each module's documentation says more.
"""

from adam_tutorial import objectives, optim, reference, theory

__all__ = ["__version__", "objectives", "optim", "reference", "theory"]

__version__ = "0.1.0"
