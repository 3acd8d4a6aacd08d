"""What each library computes under which name, and what it calls its arguments.

Libraries agree on the name Adam, but not on where eps stands, what weight decay is
multiplied by, or which maximum AMSGrad takes. The tests prove the table by following
the optimizers themselves. No library is imported here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

__all__ = ["CORRECTED", "TABLE", "Convention", "Settings", "conventions"]

Settings = dict[str, Any]


@dataclass(frozen=True)
class Convention:
    """What one library computes under one name, and how it calls its arguments.

    Parameters
    ----------
    library, name : str
        Where the optimizer is found.
    arguments : dict
        From this module's names (``lr``, ``beta1``, ``beta2``, ``eps``,
        ``weight_decay``, ...) to the library's. A pair of rates has one name,
        ``betas``.
    defaults : dict
        The library's defaults, under this module's names, and the values of what it
        does not let you choose.
    eps : str
        What eps is added to: ``"root of v_hat"``, ``"root of v"``, ``"|g|"``, ``"u"``,
        or ``""``.
    decay : str
        What ``weight_decay`` does: ``"lr * decay"`` or ``"decay"`` (the share of the
        parameter that a step takes away), ``"penalty"`` (added to the gradient), or
        ``""``.
    maximum : str
        What AMSGrad takes the maximum of.
    fixed : dict
        Arguments that the library needs to compute this optimizer at all.
    """

    library: str
    name: str
    arguments: Mapping[str, str]
    defaults: Mapping[str, Any]
    eps: str = "root of v_hat"
    decay: str = ""
    maximum: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)


ADAM = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
BELIEF = {**ADAM, "eps": 1e-16, "eps_in_s": 1e-16}
LION = {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99}
NO_EPS = {**ADAM, "eps": 0.0}
KERAS = {**ADAM, "eps": 1e-7}
CORRECTED, UNCORRECTED = (
    dict.fromkeys(("correct_m", "correct_v"), x) for x in (True, False)
)
OF_V, OF_V_HAT = "of v, corrected afterwards", "of the corrected v_hat"

NAMES = {
    "paper": ("alpha", "beta1", "beta2", "epsilon", "lambda"),
    "torch": ("lr", "betas", "betas", "eps", "weight_decay"),
    "adam_tutorial": ("lr", "betas", "betas", "eps", "weight_decay"),
    "optax": ("learning_rate", "b1", "b2", "eps", "weight_decay"),
    "keras": ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay"),
}


def _row(
    library: str,
    name: str,
    *,
    of: Mapping[str, Any] = ADAM,
    eps: str = "root of v_hat",
    decay: tuple[str, float] = ("", 0.0),
    more: Mapping[str, str] | None = None,
    **rest: Any,
) -> Convention:
    """Return a row of the table from what is particular to it.

    ``of`` holds the defaults, ``more`` the names that not every optimizer of the library has, and
    ``decay`` what the decay does, and its default.
    """
    names = dict(zip((*ADAM, "weight_decay"), NAMES[library], strict=True))
    missing = {*(() if eps else ("eps",)), *(() if decay[0] else ("weight_decay",))}
    arguments = {key: called for key, called in names.items() if key not in missing}
    defaults = {**of, **({"weight_decay": decay[1]} if decay[0] else {})}
    return Convention(
        library,
        name,
        {**arguments, **(more or {})},
        defaults,
        eps=eps,
        decay=decay[0],
        **rest,
    )


def _as_torch(library: str, module: str) -> dict[str, Convention]:
    """Return what torch.optim has, and adam_tutorial.optim with the same formulas."""
    row = partial(_row, library)
    penalty, none, decoupled = (
        ("penalty", 0.0),
        ("lr * decay", 0.0),
        ("lr * decay", 1e-2),
    )
    max_of_v: Settings = {
        "of": ADAM | CORRECTED,
        "maximum": OF_V,
        "fixed": {"amsgrad": True},
    }
    nadam: Settings = {
        "of": {**ADAM, "lr": 2e-3, "momentum_decay": 4e-3},
        "more": {"momentum_decay": "momentum_decay"},
    }
    radam: Settings = {"of": {**ADAM, "threshold": 5.0}, "eps": "root of v"}
    apart = {"decoupled_weight_decay": True}
    return {
        "adam": row(f"{module}.Adam", decay=penalty),
        "adamw": row(f"{module}.AdamW", decay=decoupled),
        "amsgrad": row(f"{module}.Adam", decay=penalty, **max_of_v),
        "amsgradw": row(f"{module}.AdamW", decay=decoupled, **max_of_v),
        "adamax": row(
            f"{module}.Adamax", of={**ADAM, "lr": 2e-3}, eps="|g|", decay=penalty
        ),
        "nadam": row(f"{module}.NAdam", decay=penalty, **nadam),
        "nadamw": row(f"{module}.NAdam", decay=none, fixed=apart, **nadam),
        "radam": row(f"{module}.RAdam", decay=penalty, **radam),
        "radamw": row(f"{module}.RAdam", decay=none, fixed=apart, **radam),
    }


def _as_keras() -> dict[str, Convention]:
    """Return what Keras has: eps beside the root of v, and a decay that is always decoupled."""
    row = partial(_row, "keras")
    none, adamw = ("lr * decay", 0.0), ("lr * decay", 4e-3)
    hat: Settings = {"of": KERAS, "eps": "root of v"}
    max_of_v = {
        **hat,
        "of": KERAS | CORRECTED,
        "maximum": OF_V,
        "fixed": {"amsgrad": True},
    }
    adamax = row("keras.optimizers.Adamax", of=KERAS, eps="u", decay=none)
    nadam = row(
        "keras.optimizers.Nadam", of={**KERAS, "momentum_decay": 1.0}, decay=none
    )
    return {
        "adam": row("keras.optimizers.Adam", decay=none, **hat),
        "adamw": row("keras.optimizers.AdamW", decay=adamw, **hat),
        "amsgrad": row("keras.optimizers.Adam", decay=none, **max_of_v),
        "amsgradw": row("keras.optimizers.AdamW", decay=adamw, **max_of_v),
        "adamax": adamax,
        "adamaxw": adamax,
        "nadam": nadam,
        "nadamw": nadam,
        "lion": row(
            "keras.optimizers.Lion", of={**LION, "lr": 1e-3}, eps="", decay=none
        ),
    }


def _as_optax() -> dict[str, Convention]:
    """Return what Optax has: the name of a function with a decoupled decay ends in w."""
    row, decay = partial(_row, "optax"), ("lr * decay", 1e-4)
    constant = {**ADAM, "momentum_decay": math.inf}
    switches = {"correct_m": "bias_correction_mu", "correct_v": "bias_correction_nu"}
    return {
        "adam": row("optax.adam"),
        "adamw": row("optax.adamw", decay=decay),
        "amsgrad": row(
            "optax.amsgrad", of=ADAM | CORRECTED, more=switches, maximum=OF_V_HAT
        ),
        "adamax": row("optax.adamax", eps="|g|"),
        "adamaxw": row("optax.adamaxw", eps="|g|", decay=decay),
        "nadam": row("optax.nadam", of=constant),
        "nadamw": row("optax.nadamw", of=constant, decay=decay),
        "radam": row(
            "optax.radam",
            of={**ADAM, "threshold": 5.0},
            more={"threshold": "threshold"},
        ),
        "adabelief": row("optax.adabelief", of=BELIEF, more={"eps_in_s": "eps_root"}),
        "lion": row("optax.lion", of=LION, eps="", decay=("lr * decay", 1e-3)),
    }


def _as_papers() -> dict[str, Convention]:
    """Return what the papers print, with Adam's defaults where they print none."""
    row = partial(_row, "paper")
    return {
        "adam": row("Kingma, Ba (2015), algorithm 1"),
        "adamw": row("Loshchilov, Hutter (2019), algorithm 2", decay=("decay", 0.0)),
        "amsgrad": row(
            "Reddi, Kale, Kumar (2018), algorithm 2", of=NO_EPS | UNCORRECTED, eps=""
        ),
        "adamax": row(
            "Kingma, Ba (2015), algorithm 2", of={**NO_EPS, "lr": 2e-3}, eps=""
        ),
        "radam": row(
            "Liu et al. (2020), algorithm 2", of={**NO_EPS, "threshold": 4.0}, eps=""
        ),
        "adabelief": row(
            "Zhuang et al. (2020), algorithm 2", of=BELIEF, more={"eps_in_s": "epsilon"}
        ),
        "lion": row(
            "Chen et al. (2023), algorithm 2",
            of=LION,
            eps="",
            decay=("lr * decay", 0.0),
        ),
    }


TABLE = {
    "paper": _as_papers(),
    "torch": _as_torch("torch", "torch.optim"),
    "adam_tutorial": {
        **_as_torch("adam_tutorial", "adam_tutorial.optim"),
        "adabelief": _row(
            "adam_tutorial",
            "adam_tutorial.optim.AdaBelief",
            of=BELIEF,
            decay=("lr * decay", 0.0),
            more={"eps_in_s": "eps"},
        ),
        "lion": _row(
            "adam_tutorial",
            "adam_tutorial.optim.Lion",
            of=LION,
            eps="",
            decay=("lr * decay", 0.0),
        ),
    },
    "optax": _as_optax(),
    "keras": _as_keras(),
}
# tf.keras is Keras; the Adam kernel of TensorFlow itself has its eps in the same place.
TABLE["tensorflow"] = {
    name: replace(row, library="tensorflow") for name, row in TABLE["keras"].items()
}


def conventions(library: str, optimizer: str) -> Convention:
    """Return what a library computes under the name of an optimizer.

    Parameters
    ----------
    library : {"paper", "torch", "adam_tutorial", "optax", "keras", "tensorflow"}
        ``"paper"`` is the one that introduced the optimizer; ``"tensorflow"`` has Keras's formulas.
    optimizer : str
        ``"adam"``, ``"amsgrad"``, ``"adamax"``, ``"nadam"``, ``"radam"``, ``"adabelief"`` or
        ``"lion"``. With a ``w`` at the end (``"adamw"``), the weight decay is decoupled.

    Raises
    ------
    ValueError
        There is no such library here, or it has no such optimizer.

    Examples
    --------
    >>> conventions("keras", "adam").eps, conventions("torch", "adam").eps
    ('root of v', 'root of v_hat')
    """
    if library not in TABLE:
        raise ValueError(f"library must be one of {sorted(TABLE)}, got {library!r}")
    if optimizer not in TABLE[library]:
        raise ValueError(
            f"{library} has {sorted(TABLE[library])}, got optimizer={optimizer!r}"
        )
    return TABLE[library][optimizer]
