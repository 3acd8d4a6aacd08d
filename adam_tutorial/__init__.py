"""adam_tutorial: the Adam optimizer, to read, to run and to train with.

======================  ===============================================================
``reference``           update rules in NumPy, written as the papers write them
``theory``              closed forms: bounds, limits, schedules
``optim``               drop-in optimizers for PyTorch
``checking``            names the mistakes of an Adam that you hand in
``libraries``           what other libraries compute; translates settings
``checkpoint``          saves training runs; survives crashes, refuses damage
``distributed``         the same bits from 1, 2, 4, ... processes; ZeRO-1 by hand
``doctor``              watches a training run, and says what Adam does in it
``bench``               how long a step takes, beside peers and the machine's limit
``study``               the laboratory: data, models, training, experiments
======================  ===============================================================

Importing ``reference``, ``theory`` or ``libraries`` loads NumPy and no PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adam_tutorial.checking import check_optimizer

    __version__: str

__all__ = ["__version__", "check_optimizer"]


def __getattr__(name: str) -> Any:
    # Subpackages are imported when they are first used: who reads a rule in NumPy
    # should not wait for PyTorch.
    import importlib

    if name == "__version__":
        # As pyproject.toml says; read from what pip installed.
        metadata = importlib.import_module("importlib.metadata")
        try:
            return metadata.version(__name__)
        except metadata.PackageNotFoundError:
            why = "adam_tutorial is not installed, and has no version"
            raise AttributeError(why) from None
    if name == "check_optimizer":
        return importlib.import_module("adam_tutorial.checking").check_optimizer
    if name in (
        "bench",
        "checking",
        "checkpoint",
        "distributed",
        "doctor",
        "libraries",
        "optim",
        "reference",
        "study",
        "theory",
    ):
        return importlib.import_module(f"adam_tutorial.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
