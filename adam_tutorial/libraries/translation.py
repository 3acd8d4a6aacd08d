"""Translate hyper-parameters between libraries, and name what has no translation."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adam_tutorial._arguments import check_setting
from adam_tutorial.libraries.epsilon import eps_at
from adam_tutorial.libraries.table import (
    CORRECTED,
    NO_WARMUP,
    TABLE,
    Convention,
    Library,
    Settings,
    conventions,
)

__all__ = ["Translation", "translate"]

# The effect of arguments that only some libraries have.
EFFECTS = {
    "momentum_decay": (
        "the momentum is halfway from beta1/2 to beta1 after about 17/momentum_decay "
        "steps"
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
        "it is added to s at every step and builds up there to eps_in_s/(1 - beta2)"
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


def translate(
    settings: Mapping[str, Any],
    *,
    source: Library,
    target: Library,
    optimizer: str = "adamw",
) -> Translation:
    """Return the arguments with which another library computes the same, if it can.

    Parameters
    ----------
    settings : mapping
        Arguments as the source names them; its defaults for those left out.
    source, target : {"paper", "torch", "adam_tutorial", "optax", "keras", "tensorflow"}
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
        A library, the optimizer or an argument is unknown, or a value is out of range.
    TypeError
        A value is not a number, or ``settings`` no mapping.

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
    if not isinstance(settings, Mapping):
        raise TypeError(
            f"settings must be a mapping such as {{'lr': 3e-4}}, got {settings!r}"
        )
    values = _read(settings, ours)
    differences = [
        *_translate_eps(values, ours, theirs),
        *_translate_decay(values, ours, theirs, optimizer.lower()),
        *_translate_maximum(values, ours, theirs),
        *_translate_rest(values, theirs),
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
    """Return the settings under the table's names, completed by the defaults."""
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
        if called == "weight_decay" and value is None:
            numbers = (0.0,)  # Keras's None
        if not isinstance(numbers, tuple | list) or len(numbers) != len(names):
            raise ValueError(f"betas must be two numbers, got {value!r}")
        for name, number in zip(names, numbers, strict=True):
            if not (name == "momentum_decay" and number == math.inf):  # no warm-up
                check_setting(name, number, called)
            values[name] = number
    return values


def _translate_eps(values: Settings, ours: Convention, theirs: Convention) -> list[str]:
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
            " = 1, and like itself as t grows; exact only with eps = 0"
        ]
    return [f"{said}the same only where eps is small against the gradients"]


def _translate_decay(
    values: Settings, ours: Convention, theirs: Convention, optimizer: str
) -> list[str]:
    decay, lr = values.setdefault("weight_decay", 0.0), values["lr"]
    if decay == 0 or ours.decay == theirs.decay:
        return []
    if {ours.decay, theirs.decay} == {"lr * decay", "decay"} and lr != 0:
        values["weight_decay"] = decay * lr if theirs.decay == "decay" else decay / lr
        return [
            f"a step shrinks a parameter by the share {ours.decay} in {ours.library},"
            f" {theirs.decay} in {theirs.library}:"
            f" {theirs.arguments['weight_decay']}={values['weight_decay']:.6g} is right"
            f" for the learning rate {lr}, also when a schedule multiplies both terms,"
            " as the paper's does; with another base learning rate, only one of the two"
            " decays changes with it"
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


def _translate_maximum(
    values: Settings, ours: Convention, theirs: Convention
) -> list[str]:
    # Without bias correction the two maxima are the same.
    same = ours.maximum == theirs.maximum or not (ours.maximum and theirs.maximum)
    if same or not values["correct_v"]:
        return []
    factor = eps_at(1.0, 1, values["beta2"])
    return [
        f"the maximum is taken {ours.maximum}, in {ours.library}, and {theirs.maximum}"
        f" in {theirs.library}: they differ from t = 2 on, after a large first gradient"
        f" in the end by a factor of {factor:.3g}"
    ]


def _translate_rest(values: Settings, theirs: Convention) -> list[str]:
    differences = []
    for name, why in EFFECTS.items():
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
        values["momentum_decay"] = NO_WARMUP
    return differences
