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
from typing import Any, Literal

__all__ = [
    "CORRECTED",
    "NO_WARMUP",
    "TABLE",
    "Convention",
    "Library",
    "Settings",
    "conventions",
]

Settings = dict[str, Any]
Library = Literal["paper", "torch", "adam_tutorial", "optax", "keras", "tensorflow"]


@dataclass(frozen=True)
class Convention:
    """What a library computes under one name, and what it calls its arguments.

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
        What ``weight_decay`` does: ``"lr * decay"`` or ``"decay"`` (by which share a
        step shrinks the parameter), ``"penalty"`` (added to the gradient), or ``""``.
    maximum : str
        What AMSGrad takes the maximum of.
    fixed : dict
        Arguments that the library needs to compute this optimizer at all.
    """

    library: Library
    name: str
    arguments: Mapping[str, str]
    defaults: Mapping[str, Any]
    eps: str = "root of v_hat"
    decay: str = ""
    maximum: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)


# NAdam's momentum_decay where the momentum does not warm up: no library takes infinity,
# and 0.96**1e9 is 0 too.
NO_WARMUP = 1e9
ADAM = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
BELIEF = {**ADAM, "eps": 1e-16, "eps_in_s": 1e-16}
LION = {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99}
NO_EPS = {**ADAM, "eps": 0.0}
KERAS = {**ADAM, "eps": 1e-7}
CORRECTED, UNCORRECTED = (
    dict.fromkeys(("correct_m", "correct_v"), x) for x in (True, False)
)
MAX_OF_V, MAX_OF_V_HAT = "of v, corrected afterwards", "of the corrected v_hat"

NAMES = {
    "paper": ("alpha", "beta1", "beta2", "epsilon", "lambda"),
    "torch": ("lr", "betas", "betas", "eps", "weight_decay"),
    "adam_tutorial": ("lr", "betas", "betas", "eps", "weight_decay"),
    "optax": ("learning_rate", "b1", "b2", "eps", "weight_decay"),
    "keras": ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay"),
}


def _row(
    library: Library,
    name: str,
    *,
    defaults: Mapping[str, Any] = ADAM,
    eps: str = "root of v_hat",
    decay: tuple[str, float] = ("", 0.0),
    extra: Mapping[str, str] | None = None,
    **rest: Any,
) -> Convention:
    """Return a row of the table from what is particular to it.

    ``decay`` is what the decay does and its default; ``extra`` maps arguments that not
    every optimizer of the library has to their names.
    """
    names = dict(zip((*ADAM, "weight_decay"), NAMES[library], strict=True))
    missing = {*(() if eps else ("eps",)), *(() if decay[0] else ("weight_decay",))}
    arguments = {key: called for key, called in names.items() if key not in missing}
    return Convention(
        library,
        name,
        {**arguments, **(extra or {})},
        {**defaults, **({"weight_decay": decay[1]} if decay[0] else {})},
        eps=eps,
        decay=decay[0],
        **rest,
    )


def _as_torch(library: Library, module: str) -> dict[str, Convention]:
    """Return what torch.optim has, and adam_tutorial.optim with the same formulas."""
    row = partial(_row, library)
    penalty, none, decoupled = (
        ("penalty", 0.0),
        ("lr * decay", 0.0),
        ("lr * decay", 1e-2),
    )
    max_of_v: Settings = {
        "defaults": ADAM | CORRECTED,
        "maximum": MAX_OF_V,
        "fixed": {"amsgrad": True},
    }
    nadam: Settings = {
        "defaults": {**ADAM, "lr": 2e-3, "momentum_decay": 4e-3},
        "extra": {"momentum_decay": "momentum_decay"},
    }
    radam: Settings = {"defaults": {**ADAM, "threshold": 5.0}, "eps": "root of v"}
    switch = {"decoupled_weight_decay": True}
    return {
        "adam": row(f"{module}.Adam", decay=penalty),
        "adamw": row(f"{module}.AdamW", decay=decoupled),
        "amsgrad": row(f"{module}.Adam", decay=penalty, **max_of_v),
        "amsgradw": row(f"{module}.AdamW", decay=decoupled, **max_of_v),
        "adamax": row(
            f"{module}.Adamax", defaults={**ADAM, "lr": 2e-3}, eps="|g|", decay=penalty
        ),
        "nadam": row(f"{module}.NAdam", decay=penalty, **nadam),
        "nadamw": row(f"{module}.NAdam", decay=none, fixed=switch, **nadam),
        "radam": row(f"{module}.RAdam", decay=penalty, **radam),
        "radamw": row(f"{module}.RAdam", decay=none, fixed=switch, **radam),
    }


def _as_keras() -> dict[str, Convention]:
    """Return what Keras has: eps beside the root of v, every decay decoupled."""
    row = partial(_row, "keras")
    none, adamw = ("lr * decay", 0.0), ("lr * decay", 4e-3)
    hat: Settings = {"defaults": KERAS, "eps": "root of v"}
    max_of_v = {
        **hat,
        "defaults": KERAS | CORRECTED,
        "maximum": MAX_OF_V,
        "fixed": {"amsgrad": True},
    }
    adamax = row("keras.optimizers.Adamax", defaults=KERAS, eps="u", decay=none)
    nadam = row(
        "keras.optimizers.Nadam", defaults={**KERAS, "momentum_decay": 1.0}, decay=none
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
            "keras.optimizers.Lion", defaults={**LION, "lr": 1e-3}, eps="", decay=none
        ),
    }


def _as_optax() -> dict[str, Convention]:
    """Return what Optax has: functions whose names end in w have a decoupled decay."""
    row, decay = partial(_row, "optax"), ("lr * decay", 1e-4)
    constant = {**ADAM, "momentum_decay": math.inf}
    switches = {"correct_m": "bias_correction_mu", "correct_v": "bias_correction_nu"}
    return {
        "adam": row("optax.adam"),
        "adamw": row("optax.adamw", decay=decay),
        "amsgrad": row(
            "optax.amsgrad",
            defaults=ADAM | CORRECTED,
            extra=switches,
            maximum=MAX_OF_V_HAT,
        ),
        "adamax": row("optax.adamax", eps="|g|"),
        "adamaxw": row("optax.adamaxw", eps="|g|", decay=decay),
        "nadam": row("optax.nadam", defaults=constant),
        "nadamw": row("optax.nadamw", defaults=constant, decay=decay),
        "radam": row(
            "optax.radam",
            defaults={**ADAM, "threshold": 5.0},
            extra={"threshold": "threshold"},
        ),
        "adabelief": row(
            "optax.adabelief", defaults=BELIEF, extra={"eps_in_s": "eps_root"}
        ),
        "lion": row("optax.lion", defaults=LION, eps="", decay=("lr * decay", 1e-3)),
    }


def _as_papers() -> dict[str, Convention]:
    """Return what the papers print, with Adam's defaults where they print none."""
    row = partial(_row, "paper")
    return {
        "adam": row("Kingma, Ba (2015), algorithm 1"),
        "adamw": row("Loshchilov, Hutter (2019), algorithm 2", decay=("decay", 0.0)),
        "amsgrad": row(
            "Reddi, Kale, Kumar (2018), algorithm 2",
            defaults=NO_EPS | UNCORRECTED,
            eps="",
        ),
        "adamax": row(
            "Kingma, Ba (2015), algorithm 2", defaults={**NO_EPS, "lr": 2e-3}, eps=""
        ),
        "radam": row(
            "Liu et al. (2020), algorithm 2",
            defaults={**NO_EPS, "threshold": 4.0},
            eps="",
        ),
        "adabelief": row(
            "Zhuang et al. (2020), algorithm 2",
            defaults=BELIEF,
            extra={"eps_in_s": "epsilon"},
        ),
        "lion": row(
            "Chen et al. (2023), algorithm 2",
            defaults=LION,
            eps="",
            decay=("lr * decay", 0.0),
        ),
    }


TABLE: dict[Library, dict[str, Convention]] = {
    "paper": _as_papers(),
    "torch": _as_torch("torch", "torch.optim"),
    "adam_tutorial": {
        **_as_torch("adam_tutorial", "adam_tutorial.optim"),
        "adabelief": _row(
            "adam_tutorial",
            "adam_tutorial.optim.AdaBelief",
            defaults=BELIEF,
            decay=("lr * decay", 0.0),
            extra={"eps_in_s": "eps"},
        ),
        "lion": _row(
            "adam_tutorial",
            "adam_tutorial.optim.Lion",
            defaults=LION,
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


def conventions(library: Library, optimizer: str) -> Convention:
    """Return what a library computes under the name of an optimizer.

    Parameters
    ----------
    library : {"paper", "torch", "adam_tutorial", "optax", "keras", "tensorflow"}
        ``"paper"`` is the one that introduced the optimizer; ``"tensorflow"`` has the
        formulas of Keras.
    optimizer : str
        ``"adam"``, ``"amsgrad"``, ``"adamax"``, ``"nadam"``, ``"radam"``,
        ``"adabelief"`` or ``"lion"``, in upper or lower case. With a ``w`` at the end
        (``"adamw"``), the weight decay is decoupled.

    Raises
    ------
    ValueError
        The table has no such library, or the library no such optimizer.

    Examples
    --------
    >>> conventions("keras", "adam").eps, conventions("torch", "adam").eps
    ('root of v', 'root of v_hat')
    """
    if library not in TABLE:
        raise ValueError(f"library must be one of {sorted(TABLE)}, got {library!r}")
    name = optimizer.lower() if isinstance(optimizer, str) else optimizer
    if name not in TABLE[library]:
        raise ValueError(
            f"{library} has {sorted(TABLE[library])}, got optimizer={optimizer!r}"
        )
    return TABLE[library][name]
