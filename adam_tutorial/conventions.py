"""Translate hyper-parameters from one library into another, and say what has no translation.

Libraries agree on the name Adam, and not on where eps stands, what weight decay is multiplied by,
or which maximum AMSGrad takes. The table of this module holds what each of them computes; the tests
prove it by following the libraries themselves. No library is imported here.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adam_tutorial.theory import bias_correction

__all__ = ["Convention", "Translation", "conventions", "eps_hat_factor", "translate"]

Settings = dict[str, Any]


@dataclass(frozen=True)
class Convention:
    """What one library computes under one name, and how it calls its arguments.

    Parameters
    ----------
    name : str
        Where the optimizer is found.
    arguments : dict
        From this module's names (``lr``, ``beta1``, ``beta2``, ``eps``, ``weight_decay``, ...) to
        the library's. A pair of rates has one name, ``betas``.
    defaults : dict
        The library's defaults, under this module's names.
    eps : str
        What eps is added to: ``"root of v_hat"``, ``"root of v"``, ``"|g|"``, ``"u"``, or ``""``.
    decay : str
        What ``weight_decay`` does: ``"lr * decay"`` or ``"decay"`` (the share of the parameter that
        a step takes away), ``"penalty"`` (added to the gradient), or ``""``.
    details : dict
        What else distinguishes the formula from its namesakes.
    fixed : dict
        Arguments that the library needs to compute this optimizer at all.
    """

    name: str
    arguments: Mapping[str, str]
    defaults: Mapping[str, Any]
    eps: str = "root of v_hat"
    decay: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Translation:
    """The same settings for another library.

    Parameters
    ----------
    name : str
        The optimizer to call.
    arguments : dict
        Its arguments, all of them, defaults of the source included.
    differences : tuple of str
        A sentence for everything that could not be translated exactly; empty if the two compute
        the same.
    """

    name: str
    arguments: Settings
    differences: tuple[str, ...]


def _named(pattern: str, *names: str) -> dict[str, str]:
    """Pair this module's names with a library's, given in the same order."""
    return dict(zip(pattern.split(), names, strict=True))


ADAM = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
_RATES = "lr beta1 beta2 eps"
_PAPER = _named(_RATES, "alpha", "beta1", "beta2", "epsilon")
_TORCH = _named(_RATES, "lr", "betas", "betas", "eps")
_OPTAX = _named(_RATES, "learning_rate", "b1", "b2", "eps")
_KERAS = _named(_RATES, "learning_rate", "beta_1", "beta_2", "epsilon")
_KERAS_ADAM = {**ADAM, "eps": 1e-7}
_WITH_DECAY = {"weight_decay": "weight_decay"}


def _torch_like(module: str) -> dict[str, Convention]:
    """Return what torch.optim has, and adam_tutorial.optim with the same formulas."""
    both = {**_TORCH, **_WITH_DECAY}
    return {
        "adam": Convention(f"{module}.Adam", both, {**ADAM, "weight_decay": 0.0}, decay="penalty"),
        "adamw": Convention(
            f"{module}.AdamW", both, {**ADAM, "weight_decay": 1e-2}, decay="lr * decay"
        ),
        "amsgrad": Convention(
            f"{module}.Adam",
            both,
            {**ADAM, "weight_decay": 0.0},
            decay="penalty",
            details={"maximum": "of v, corrected afterwards"},
            fixed={"amsgrad": True},
        ),
        "adamax": Convention(
            f"{module}.Adamax",
            both,
            {**ADAM, "lr": 2e-3, "weight_decay": 0.0},
            eps="|g|",
            decay="penalty",
        ),
        "nadam": Convention(
            f"{module}.NAdam",
            {**both, "momentum_decay": "momentum_decay"},
            {**ADAM, "lr": 2e-3, "weight_decay": 0.0, "momentum_decay": 4e-3},
            decay="penalty",
        ),
        "radam": Convention(
            f"{module}.RAdam",
            both,
            {**ADAM, "weight_decay": 0.0},
            eps="root of v",
            decay="penalty",
        ),
    }


_LION = {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0}
_LION_IN_TORCH = {**_named("lr beta1 beta2", "lr", "betas", "betas"), **_WITH_DECAY}
_KERAS_CONVENTIONS = {
    "adam": Convention(
        "keras.optimizers.Adam",
        {**_KERAS, **_WITH_DECAY},
        {**_KERAS_ADAM, "weight_decay": 0.0},
        eps="root of v",
        decay="lr * decay",
    ),
    "adamw": Convention(
        "keras.optimizers.AdamW",
        {**_KERAS, **_WITH_DECAY},
        {**_KERAS_ADAM, "weight_decay": 4e-3},
        eps="root of v",
        decay="lr * decay",
    ),
    "amsgrad": Convention(
        "keras.optimizers.Adam",
        {**_KERAS, **_WITH_DECAY},
        {**_KERAS_ADAM, "weight_decay": 0.0},
        eps="root of v",
        decay="lr * decay",
        details={"maximum": "of v, corrected afterwards"},
        fixed={"amsgrad": True},
    ),
    "adamax": Convention(
        "keras.optimizers.Adamax",
        {**_KERAS, **_WITH_DECAY},
        {**_KERAS_ADAM, "weight_decay": 0.0},
        eps="u",
        decay="lr * decay",
    ),
    "nadam": Convention(
        "keras.optimizers.Nadam",
        {**_KERAS, **_WITH_DECAY},
        {**_KERAS_ADAM, "weight_decay": 0.0, "momentum_decay": 1.0},
        decay="lr * decay",
    ),
    "lion": Convention(
        "keras.optimizers.Lion",
        {**_named("lr beta1 beta2", "learning_rate", "beta_1", "beta_2"), **_WITH_DECAY},
        {**_LION, "lr": 1e-3},
        eps="",
        decay="lr * decay",
    ),
}

# (library, optimizer) -> what it computes. TensorFlow's tf.keras is Keras.
TABLE: dict[str, dict[str, Convention]] = {
    "paper": {
        "adam": Convention("Algorithm 1", _PAPER, ADAM),
        "adamw": Convention(
            "Algorithm 2 of Loshchilov and Hutter",
            {**_PAPER, "weight_decay": "lambda"},
            {**ADAM, "weight_decay": 0.0},
            decay="decay",
        ),
        "adamax": Convention(
            "Algorithm 2",
            _named("lr beta1 beta2", "alpha", "beta1", "beta2"),
            {"lr": 2e-3, "beta1": 0.9, "beta2": 0.999, "eps": 0.0},
            eps="",
        ),
    },
    "torch": _torch_like("torch.optim"),
    "adam_tutorial": {
        **_torch_like("adam_tutorial.optim"),
        "lion": Convention(
            "adam_tutorial.optim.Lion", _LION_IN_TORCH, _LION, eps="", decay="lr * decay"
        ),
    },
    "optax": {
        "adam": Convention("optax.adam", _OPTAX, ADAM),
        "adamw": Convention(
            "optax.adamw",
            {**_OPTAX, **_WITH_DECAY},
            {**ADAM, "weight_decay": 1e-4},
            decay="lr * decay",
        ),
        "amsgrad": Convention(
            "optax.amsgrad", _OPTAX, ADAM, details={"maximum": "of the corrected v_hat"}
        ),
        "adamax": Convention("optax.adamax", _OPTAX, ADAM, eps="|g|"),
        "nadam": Convention("optax.nadam", _OPTAX, {**ADAM, "momentum_decay": math.inf}),
        "radam": Convention("optax.radam", _OPTAX, ADAM),
        "lion": Convention(
            "optax.lion",
            {**_named("lr beta1 beta2", "learning_rate", "b1", "b2"), **_WITH_DECAY},
            {**_LION, "weight_decay": 1e-3},
            eps="",
            decay="lr * decay",
        ),
    },
    "keras": _KERAS_CONVENTIONS,
    "tensorflow": _KERAS_CONVENTIONS,
}


def conventions(library: str, optimizer: str) -> Convention:
    """Return what a library computes under the name of an optimizer.

    Parameters
    ----------
    library : {"paper", "torch", "adam_tutorial", "optax", "keras", "tensorflow"}
        ``"paper"`` is the one that introduced the optimizer.
    optimizer : {"adam", "adamw", "amsgrad", "adamax", "nadam", "radam", "lion"}

    Raises
    ------
    ValueError
        There is no such library here, or it has no such optimizer.
    """
    if library not in TABLE:
        raise ValueError(f"library must be one of {sorted(TABLE)}, got {library!r}")
    if optimizer not in TABLE[library]:
        raise ValueError(f"{library} has {sorted(TABLE[library])}, got optimizer={optimizer!r}")
    return TABLE[library][optimizer]


def eps_hat_factor(t: int, beta2: float = 0.999) -> float:
    """Return by what a constant eps-hat must be multiplied to get the eps that acts like it.

    ``1 / sqrt(1 - beta2**t)``: 31.6 at the first step and the default beta2, 1 in the end.

    Parameters
    ----------
    t : int
        Number of the step, from 1.
    beta2 : float
        Decay rate in [0, 1).

    Raises
    ------
    ValueError
        An argument is out of range.

    Examples
    --------
    >>> round(eps_hat_factor(1), 1), round(eps_hat_factor(5000), 3)
    (31.6, 1.003)
    """
    return 1 / math.sqrt(bias_correction(beta2, t))


def translate(
    settings: Mapping[str, Any], *, source: str, target: str, optimizer: str = "adam"
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
        A library, the optimizer or an argument is unknown.

    Examples
    --------
    >>> moved = translate({"lr": 3e-4, "weight_decay": 0.1}, source="torch", target="optax",
    ...                   optimizer="adamw")
    >>> moved.name, moved.arguments["weight_decay"], moved.differences
    ('optax.adamw', 0.1, ())
    >>> moved = translate({"learning_rate": 1e-3}, source="keras", target="torch")
    >>> moved.arguments["eps"]
    1e-07
    >>> print(moved.differences[0])
    keras adds eps=1e-07 to the root of v, torch to the root of v_hat: ...
    """
    ours, theirs = conventions(source, optimizer), conventions(target, optimizer)
    values = _read(settings, ours, source)
    differences = [
        *_move_eps(values, ours, theirs, source, target),
        *_move_decay(values, ours, theirs, source, target),
        *_move_rest(values, ours, theirs, source, target),
    ]
    arguments: Settings = dict(theirs.fixed)
    for name, called in theirs.arguments.items():
        if called == "betas":
            arguments["betas"] = (values["beta1"], values["beta2"])
        else:
            arguments[called] = values.get(name, theirs.defaults[name])
    return Translation(theirs.name, arguments, tuple(differences))


def _read(settings: Mapping[str, Any], convention: Convention, library: str) -> Settings:
    """Return the settings under this module's names, gaps filled with the library's defaults."""
    values = dict(convention.defaults)
    known = {called: name for name, called in convention.arguments.items()}
    for called, value in settings.items():
        if called in convention.fixed and value == convention.fixed[called]:
            continue
        if called not in known:
            near = difflib.get_close_matches(called, known, n=1)
            hint = f"; meant {near[0]!r}?" if near else f"; it takes {sorted(known)}"
            raise ValueError(f"{convention.name} of {library} has no {called!r} here{hint}")
        if called == "betas":
            values["beta1"], values["beta2"] = value
        else:
            values[known[called]] = 0.0 if value is None else value
    return values


def _move_eps(
    values: Settings, ours: Convention, theirs: Convention, source: str, target: str
) -> list[str]:
    eps = values.get("eps", 0.0)
    if ours.eps == theirs.eps or eps == 0:
        return []
    if not theirs.eps:
        return [f"{target} has no eps: it divides by 0 where every gradient was 0"]
    said = f"{source} adds eps={eps} to the {ours.eps}, {target} to the {theirs.eps}"
    if {ours.eps, theirs.eps} == {"root of v", "root of v_hat"}:
        factor = eps_hat_factor(1, values["beta2"])
        way = "larger" if theirs.eps == "root of v" else "smaller"
        return [
            f"{said}: a constant acts like one {factor:.3g} times {way} at t = 1, and the same "
            "for t to infinity; exact only with eps = 0"
        ]
    return [f"{said}: the same only where eps is small against the gradients"]


def _move_decay(
    values: Settings, ours: Convention, theirs: Convention, source: str, target: str
) -> list[str]:
    decay = values.get("weight_decay", 0.0)
    if decay == 0 or ours.decay == theirs.decay:
        values["weight_decay"] = decay
        return []
    shares = {"lr * decay", "decay"}
    if {ours.decay, theirs.decay} == shares:
        lr = values["lr"]
        values["weight_decay"] = decay * lr if theirs.decay == "decay" else decay / lr
        return [
            f"{source} takes the share {ours.decay} of a parameter away at each step, {target} "
            f"{theirs.decay}: weight_decay={values['weight_decay']:.6g} is right for the learning "
            f"rate {lr}; when a schedule changes it, only one of the two decays follows"
        ]
    values["weight_decay"] = 0.0
    says = {
        "penalty": "adds it to the gradient",
        "": "has none",
        "decay": "shrinks the parameter by it",
        "lr * decay": "shrinks the parameter by it",
    }
    return [
        f"weight_decay={decay} is left out: {source} {says[ours.decay]}, {target} "
        f"{says[theirs.decay]}, and no value makes the two equal"
    ]


def _move_rest(
    values: Settings, ours: Convention, theirs: Convention, source: str, target: str
) -> list[str]:
    differences = [
        f"the {name} is taken {ours.details[name]} in {source}, {theirs.details[name]} in {target}"
        for name in ours.details
        if name in theirs.details and ours.details[name] != theirs.details[name]
    ]
    if "momentum_decay" in values and "momentum_decay" not in theirs.arguments:
        fixed = theirs.defaults["momentum_decay"]
        if values["momentum_decay"] != fixed:
            differences.append(
                f"momentum_decay={values['momentum_decay']} has no counterpart: in {target} it is "
                f"always {fixed}"
            )
    if values.get("momentum_decay") == math.inf:
        # No library takes infinity; 0.96**(1e9) is 0 as well, so the momentum does not warm up.
        values["momentum_decay"] = 1e9
    return differences
