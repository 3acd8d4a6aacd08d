"""Known mistakes in programs of Adam, each as a change of Algorithm 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = [
    "DECAYS",
    "DECAY_MISTAKES",
    "MISTAKES",
    "NO_MAXIMUM",
    "Mistake",
    "Topic",
    "decay_shares",
]

# What a finding is about. Texts that explain findings can be looked up by these keys.
Topic: TypeAlias = Literal[
    "algorithm-1",
    "amsgrad",
    "arrays",
    "bias-correction",
    "division",
    "epsilon",
    "half-precision",
    "momentum",
    "moving-averages",
    "settings",
    "state",
    "update",
    "weight-decay",
    "zero-gradients",
]


@dataclass(frozen=True)
class Mistake:
    """A mistake, its forms, and what is right.

    Parameters
    ----------
    name : str
    forms : dict
        From a description of what the program does to the fields of
        :class:`~adam_tutorial.checking.Behaviour` that it changes.
    right : str
        What would be right.
    topic : str
        The key of its subject, such as ``"bias-correction"``.
    """

    name: str
    forms: Mapping[str, Mapping[str, Any]] = field(repr=False)
    right: str
    topic: Topic


def _in_averages(what: str, key: str, value: str) -> dict[str, dict[str, str]]:
    """Return the three forms of a mistake in one average or both."""
    m, v = {f"{key}_m": value}, {f"{key}_v": value}
    return {f"{what}: m and v": m | v, f"{what}: only m": m, f"{what}: only v": v}


def _instead_of(name: str, default: float) -> dict[str, dict[str, float]]:
    key = "eps_value" if name == "eps" else name
    return {f"{name} is {default:g}, regardless of the setting": {key: default}}


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "no exponent in the bias correction",
        _in_averages(
            "divided by 1 - beta (or by 1 - beta**t with t stuck at 1)",
            "correct",
            "no exponent",
        ),
        "divide by 1 - beta**t, with t = 1, 2, 3, ...",
        "bias-correction",
    ),
    Mistake(
        "corrected average stored",
        _in_averages(
            "overwritten with its correction, which is corrected again",
            "correct",
            "stored",
        ),
        "m_hat and v_hat are for this step only; keep m and v as they are",
        "bias-correction",
    ),
    Mistake(
        "bias correction missing",
        _in_averages("not divided by 1 - beta**t", "correct", "missing"),
        "divide m by 1 - beta1**t and v by 1 - beta2**t",
        "bias-correction",
    ),
    Mistake(
        "bias correction multiplied",
        _in_averages("multiplied by 1 - beta**t", "correct", "multiplied"),
        "divide by 1 - beta**t",
        "bias-correction",
    ),
    Mistake(
        "t starts at 0",
        {"the first step divides by 1 - beta**0, which is zero": {"clock": -1}},
        "count the step before the correction: the first is t = 1",
        "bias-correction",
    ),
    Mistake(
        "t is one ahead",
        {"the first step is corrected with t = 2": {"clock": 1}},
        "the first step is t = 1",
        "bias-correction",
    ),
    Mistake(
        "eps inside the root",
        {
            "the divisor is sqrt(v_hat + eps)": {"eps": "in v_hat"},
            "the divisor is sqrt(v + eps), before the correction": {"eps": "in v"},
        },
        "sqrt(v_hat) + eps",
        "epsilon",
    ),
    Mistake(
        "eps has no effect",
        {"nothing is added to the root, and 0/0 is not a number": {"eps": "nothing"}},
        "sqrt(v_hat) + eps",
        "epsilon",
    ),
    Mistake(
        "eps added to the parameter",
        {
            "eps is added to the result, not to the divisor: a bracket is missing": {
                "eps": "update"
            }
        },
        "lr * m_hat / (sqrt(v_hat) + eps), with the bracket",
        "epsilon",
    ),
    Mistake(
        "no square root",
        {"m_hat is divided by v_hat + eps": {"fraction": "m/v"}},
        "divide by the root of v_hat",
        "division",
    ),
    Mistake(
        "m and v exchanged",
        {
            "v_hat is divided by the root of m_hat": {"fraction": "v/root m"},
            "m gathers squares, v gathers gradients": {"inputs": "g**2, g"},
        },
        "m_hat, of gradients, divided by the root of v_hat, of squares",
        "division",
    ),
    Mistake(
        "no momentum",
        {"the gradient takes the place of m_hat": {"fraction": "g/root v"}},
        "the numerator is m_hat",
        "momentum",
    ),
    Mistake(
        "no division",
        {"the step is lr * m_hat": {"fraction": "m"}},
        "divide m_hat by sqrt(v_hat) + eps",
        "division",
    ),
    Mistake(
        "factor 1 - beta missing",
        _in_averages(
            "the gradient is added without the factor 1 - beta", "gather", "sum"
        ),
        "m = beta1 * m + (1 - beta1) * g, and v likewise",
        "moving-averages",
    ),
    Mistake(
        "beta and 1 - beta exchanged",
        _in_averages(
            "beta weights the new value, 1 - beta the old", "gather", "exchanged"
        ),
        "beta belongs to the old average: m = beta1 * m + (1 - beta1) * g",
        "moving-averages",
    ),
    Mistake(
        "beta1 and beta2 exchanged",
        {"m decays with beta2, v with beta1": {"betas": "exchanged"}},
        "beta1 belongs to m, beta2 to v",
        "moving-averages",
    ),
    Mistake(
        "one v for all entries",
        {
            "v gathers the sum of the squares": {"squares": "sum"},
            "v gathers the mean of the squares": {"squares": "mean"},
        },
        "v has the shape of the gradient: g**2, entry by entry",
        "division",
    ),
    Mistake(
        "wrong sign",
        {"theta moves along the gradient, uphill": {"sign": 1}},
        "theta - lr * m_hat / (sqrt(v_hat) + eps)",
        "update",
    ),
    Mistake(
        "returns the update",
        {"what a step returns is what should be added to theta": {"returns": "update"}},
        "return theta after the step",
        "update",
    ),
    Mistake(
        "state forgotten between calls",
        {
            "every step is a first step": {"keeps": "nothing"},
            "m and v restart at every step, t keeps counting": {"keeps": "t"},
        },
        "t, m and v live longer than one call",
        "state",
    ),
    Mistake(
        "zero gradient taken for no gradient",
        {
            "an entry with gradient zero is skipped": {"zeros": "entry"},
            "an entry with gradient zero does not move": {"zeros": "move"},
            "a step with gradient zero is skipped": {"zeros": "step"},
        },
        "m and v decay at every step, and an entry moves as long as m is not zero",
        "zero-gradients",
    ),
    Mistake(
        "takes a maximum, as AMSGrad does",
        {
            "the maximum of v, corrected afterwards (PyTorch, Keras)": {"maximum": "v"},
            "the maximum of the corrected v_hat (Optax)": {"maximum": "v_hat"},
        },
        "Adam divides by the root of v_hat itself",
        "amsgrad",
    ),
    Mistake(
        "setting ignored",
        _instead_of("lr", 1e-3)
        | _instead_of("beta1", 0.9)
        | _instead_of("beta2", 0.999)
        | _instead_of("eps", 1e-8),
        "use the settings that make was called with",
        "settings",
    ),
)

DECAYS: dict[str, str] = {
    "lr * decay": (
        "a step takes lr * weight_decay of theta away (decoupled, as in PyTorch)"
    ),
    "decay": (
        "a step takes weight_decay of theta away, not times lr (decoupled, as in the"
        " paper)"
    ),
    "after": (
        "a step takes lr * weight_decay of theta away after it has moved, not of the"
        " theta that it was given"
    ),
    "penalty": (
        "weight_decay * theta is added to the gradient (L2 penalty, as in"
        " torch.optim.Adam)"
    ),
    "divided": (
        "weight_decay * theta is added to m_hat and divided by the root of v_hat"
    ),
    "grows": "a step adds lr * weight_decay of theta: the decay has the wrong sign",
    "": "weight_decay has no effect",
}

# What the mistake is called where a decay is one.
DECAY_MISTAKES: dict[str, str] = {
    "penalty": "L2 penalty instead of weight decay",
    "after": "weight decay after the step",
    "divided": "weight decay inside the division",
    "grows": "weight decay with the wrong sign",
    "": "weight decay without effect",
}


def decay_shares(lr: float) -> dict[str, float]:
    """Return what the decays beside the step multiply by ``weight_decay * theta``."""
    return {"lr * decay": lr, "decay": 1.0, "grows": -lr}


NO_MAXIMUM = Mistake(
    "takes no maximum",
    {"the divisor becomes smaller again": {"maximum": ""}},
    "AMSGrad divides by the root of the largest v so far",
    "amsgrad",
)
