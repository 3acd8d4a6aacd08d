"""Translate hyper-parameters from one library into another, and say what has no translation.

Libraries agree on the name Adam, and not on where eps stands, what weight decay is
multiplied by, or which maximum AMSGrad takes. The table of this module holds what each
of them computes; the tests prove it by following the libraries themselves. No library
is imported here.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from typing import Any

from adam_tutorial.theory import bias_correction

__all__ = [
    "Convention",
    "Translation",
    "conventions",
    "eps_at",
    "eps_hat_at",
    "eps_hat_lag",
    "largest_eps_hat_lag",
    "translate",
]

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


@dataclass(frozen=True)
class Translation:
    """The same settings for another library.

    Parameters
    ----------
    name : str
        The optimizer to call.
    arguments : dict
        Its arguments, defaults of the source included.
    differences : tuple of str
        A sentence for everything that could not be translated exactly; empty if the two
        compute the same.
    """

    name: str
    arguments: Settings
    differences: tuple[str, ...]


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

# What only some libraries let you choose, and what it changes.
MATTERS = {
    "momentum_decay": (
        "the momentum comes half of its way from beta1/2 to beta1 in about "
        "17/momentum_decay steps"
    ),
    "threshold": (
        "with beta2 = 0.999 the first adaptive step is number 5 for a threshold of 4, "
        "number 6 for 5"
    ),
    "correct_m": "corrected, the step is longer by 1/(1 - beta1**t), which goes to 1",
    "correct_v": (
        "corrected, the step is shorter by sqrt(1 - beta2**t), which goes to 1"
    ),
    "eps_in_s": (
        "it is added to s at every step and gathers there to eps_in_s/(1 - beta2)"
    ),
}
# How a library without an L2 penalty in its optimizer gets one.
PENALTY = {
    "optax": (
        "optax.chain(optax.add_decayed_weights({decay}), {name}(...)) has the penalty"
    ),
    "keras": "keras.regularizers.L2({half}) is the penalty",
    "tensorflow": "tf.keras.regularizers.L2({half}) is the penalty",
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


def eps_at(eps_hat: float, t: int, beta2: float = 0.999) -> float:
    """Return the eps that acts at step t like ``eps_hat``: beside the root of v-hat, not of v.

    ``eps_hat / sqrt(1 - beta2**t)``: 31.6 times ``eps_hat`` at the first step and the default
    beta2, the same in the end.

    Parameters
    ----------
    eps_hat : float
        What Keras and TensorFlow call epsilon.
    t : int
        Number of the step, from 1.
    beta2 : float
        Decay rate in [0, 1).

    Raises
    ------
    ValueError
        ``t`` or ``beta2`` is out of range.

    Examples
    --------
    >>> round(eps_at(1e-3, 1), 4), round(eps_at(1e-3, 5000), 6)
    (0.0316, 0.001003)
    """
    return eps_hat / math.sqrt(bias_correction(beta2, t))


def eps_hat_at(eps: float, t: int, beta2: float = 0.999) -> float:
    """Return the eps-hat that acts at step t like ``eps``: the inverse of :func:`eps_at`.

    Parameters
    ----------
    eps : float
        What the paper, torch and Optax call eps.
    t, beta2
        As for :func:`eps_at`.

    Raises
    ------
    ValueError
        ``t`` or ``beta2`` is out of range.

    Examples
    --------
    >>> round(eps_hat_at(eps_at(0.5, t=3), t=3), 12)
    0.5
    """
    return eps * math.sqrt(bias_correction(beta2, t))


def eps_hat_lag(
    eps: float,
    size: float,
    steps: int,
    beta2: float = 0.999,
    *,
    eps_hat: float | None = None,
) -> float:
    """Return how far eps-hat beside the root of v stays behind eps beside that of v-hat.

    For a gradient that is always the same, in learning rates.

    Parameters
    ----------
    eps : float
        What Algorithm 1 adds, and the other too if ``eps_hat`` is not given.
    size : float
        Absolute value of the gradient, positive.
    steps : int
        Number of steps taken.
    beta2 : float
        Decay rate in [0, 1).
    eps_hat : float, optional
        Another number beside the root of v. If it is the larger one, about
        ``(eps_hat - eps)/size`` of every step is lost besides, and the lag has no bound.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(eps_hat_lag(1e-7, 1e-5, 1000), 2), round(eps_hat_lag(1e-7, 1e-5, 20_000), 2)
    (10.61, 12.72)
    >>> round(eps_hat_lag(1e-8, 1e-5, 20_000, eps_hat=1e-7), 2)
    190.76
    """
    eps_hat = eps if eps_hat is None else eps_hat
    _check_lag(eps, size)
    _check_lag(eps_hat, size, "eps_hat")
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps!r}")
    return math.fsum(
        size / (size + eps) - size / (size + eps_at(eps_hat, t, beta2))
        for t in range(1, steps + 1)
    )


def largest_eps_hat_lag(eps: float, size: float, beta2: float = 0.999) -> float:
    """Return what :func:`eps_hat_lag` of one number stays below for any number of steps.

    ``eps/size * 2*ln(2)/-ln(beta2)``: 1386 times ``eps/size`` at the default beta2.

    Parameters
    ----------
    eps, size, beta2
        As for :func:`eps_hat_lag`; ``beta2`` positive.

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(largest_eps_hat_lag(1e-7, 1e-5), 2)
    13.86
    """
    _check_lag(eps, size)
    if not 0 < beta2 < 1:
        raise ValueError(f"beta2 must be in (0, 1), got {beta2!r}")
    return eps / size * 2 * math.log(2) / -math.log(beta2)


def _check_lag(eps: float, size: float, name: str = "eps") -> None:
    if not (eps >= 0 and math.isfinite(eps)):
        raise ValueError(f"{name} must be finite and not negative, got {eps!r}")
    if not (size > 0 and math.isfinite(size)):
        raise ValueError(f"size must be positive and finite, got {size!r}")


def translate(
    settings: Mapping[str, Any], *, source: str, target: str, optimizer: str = "adamw"
) -> Translation:
    """Return the arguments with which another library computes the same, as far as it can.

    Parameters
    ----------
    settings : mapping
        Arguments as the source names them. What is left out has the source's default.
    source, target : str
        Libraries; see :func:`conventions`.
    optimizer : str
        The optimizer; see :func:`conventions`.

    Returns
    -------
    Translation
        With a sentence for every difference that remains.

    Raises
    ------
    ValueError
        A library, the optimizer or an argument is unknown, or a value is not a number.

    Examples
    --------
    >>> moved = translate({"lr": 3e-4}, source="torch", target="optax")
    >>> moved.name, moved.arguments["weight_decay"], moved.differences
    ('optax.adamw', 0.01, ())
    >>> moved = translate({"learning_rate": 1e-3}, source="keras", target="torch")
    >>> moved.arguments["eps"]
    1e-07
    >>> print(moved.differences[0])
    keras adds eps=1e-07 to the root of v, torch to the root of v_hat: ...
    """
    ours, theirs = conventions(source, optimizer), conventions(target, optimizer)
    values = _read(settings, ours)
    differences = [
        *_move_eps(values, ours, theirs),
        *_move_decay(values, ours, theirs, optimizer),
        *_move_maximum(values, ours, theirs),
        *_move_rest(values, theirs),
    ]
    arguments: Settings = dict(theirs.fixed)
    for name, called in theirs.arguments.items():
        value = values.get(name, theirs.defaults[name])
        if called == "betas":
            arguments["betas"] = (values["beta1"], values["beta2"])
        elif name not in CORRECTED or value != theirs.defaults[name]:
            # Older versions of Optax do not know the switches of the bias correction.
            arguments.setdefault(called, value)
    return Translation(theirs.name, arguments, tuple(differences))


def _read(settings: Mapping[str, Any], convention: Convention) -> Settings:
    """Return the settings under this module's names, gaps filled with the library's defaults."""
    values = dict(convention.defaults)
    known = set(convention.arguments.values())
    for called, value in settings.items():
        if called in convention.fixed and value == convention.fixed[called]:
            continue
        if called not in known:
            near = difflib.get_close_matches(called, known, n=1)
            hint = f"; meant {near[0]!r}?" if near else f"; it takes {sorted(known)}"
            raise ValueError(
                f"{convention.name} of {convention.library} has no {called!r}"
                f" here{hint}"
            )
        names = [name for name, its in convention.arguments.items() if its == called]
        numbers = value if called == "betas" else (value,) * len(names)
        if (
            called == "weight_decay" and value is None
        ):  # so Keras says that there is none
            numbers = (0.0,)
        if not isinstance(numbers, tuple | list) or len(numbers) != len(names):
            raise ValueError(f"betas must be two numbers, got {value!r}")
        if not all(isinstance(number, Real) for number in numbers):
            raise ValueError(f"{called} must be a number here, got {value!r}")
        values.update(zip(names, numbers, strict=True))
    return values


def _move_eps(values: Settings, ours: Convention, theirs: Convention) -> list[str]:
    eps = values.get("eps", 0.0)
    if ours.eps == theirs.eps or eps == 0:
        return []
    if not theirs.eps:
        return [
            f"{theirs.library} has no eps: it divides by 0 where every gradient was 0"
        ]
    said = (
        f"{ours.library} adds eps={eps} to the {ours.eps}, {theirs.library} to the"
        f" {theirs.eps}: "
    )
    if {ours.eps, theirs.eps} == {"root of v", "root of v_hat"}:
        factor = eps_at(1.0, 1, values["beta2"])
        way = "larger" if theirs.eps == "root of v" else "smaller"
        return [
            f"{said}there, the same number acts like one {factor:.3g} times {way} at t"
            " = 1, and like itself for t to infinity; exact only with eps = 0"
        ]
    return [f"{said}the same only where eps is small against the gradients"]


def _move_decay(
    values: Settings, ours: Convention, theirs: Convention, optimizer: str
) -> list[str]:
    decay, lr = values.setdefault("weight_decay", 0.0), values["lr"]
    if decay == 0 or ours.decay == theirs.decay:
        return []
    if {ours.decay, theirs.decay} == {"lr * decay", "decay"} and lr != 0:
        values["weight_decay"] = decay * lr if theirs.decay == "decay" else decay / lr
        return [
            f"a step takes the share {ours.decay} of a parameter away in"
            f" {ours.library}, {theirs.decay} in {theirs.library}:"
            f" {theirs.arguments['weight_decay']}={values['weight_decay']:.6g} is right"
            f" for the learning rate {lr}, also when a schedule multiplies both terms,"
            " as the paper's does; with another learning rate to begin with, only one"
            " of the two decays follows"
        ]
    values["weight_decay"] = 0.0
    does = {"penalty": "adds it to the gradient", "": "has none"}
    does |= dict.fromkeys(("lr * decay", "decay"), "shrinks the parameter by it")
    instead = ""
    if ours.decay == "penalty" and theirs.library in PENALTY:
        hint = PENALTY[theirs.library]
        instead = "; " + hint.format(decay=decay, half=decay / 2, name=theirs.name)
    elif ours.decay == "lr * decay" and f"{optimizer}w" in TABLE[theirs.library]:
        instead = f"; translate it as optimizer={optimizer + 'w'!r}"
    return [
        f"weight_decay={decay} is left out: {ours.library} {does[ours.decay]},"
        f" {theirs.library} {does[theirs.decay]}, and no value makes the two"
        f" equal{instead}"
    ]


def _move_maximum(values: Settings, ours: Convention, theirs: Convention) -> list[str]:
    # Without bias correction there is only one maximum.
    same = ours.maximum == theirs.maximum or not (ours.maximum and theirs.maximum)
    if same or not values["correct_v"]:
        return []
    factor = eps_at(1.0, 1, values["beta2"])
    return [
        f"the maximum is taken {ours.maximum}, in {ours.library}, and {theirs.maximum}"
        f" in {theirs.library}: they part at t = 2, and after a large first gradient"
        f" their steps come to differ {factor:.3g} times"
    ]


def _move_rest(values: Settings, theirs: Convention) -> list[str]:
    differences = []
    for name, why in MATTERS.items():
        called = theirs.arguments.get(name)
        # AdaBelief's two eps may be one argument.
        shared = called is not None and called == theirs.arguments.get("eps")
        has = values["eps"] if shared else theirs.defaults.get(name)
        if name in values and values[name] != has and (called is None or shared):
            differences.append(
                f"{name}={values[name]} has no counterpart: in {theirs.library} it is"
                f" always {has}; {why}"
            )
    if values.get("momentum_decay") == math.inf:
        # No library takes infinity; 0.96**(1e9) is 0 as well, so the momentum does not
        # warm up.
        values["momentum_decay"] = 1e9
    return differences
