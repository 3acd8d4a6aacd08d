"""Update rules that are not Adam, in the forms that libraries give them.

A program that takes the steps of one of them makes no mistake; it is another optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adam_tutorial import reference
from adam_tutorial._types import Array
from adam_tutorial.checking.programs import RuleProgram, Step
from adam_tutorial.libraries import eps_hat_at
from adam_tutorial.theory import bias_correction

__all__ = ["RULES", "KnownRule", "decaying"]

Start = Callable[..., Step]


@dataclass(frozen=True)
class KnownRule:
    """A rule in one of its forms.

    Parameters
    ----------
    name, form : str
        What it is called, and what distinguishes the form, such as where eps stands.
    start : function
        Takes the settings by name, returns a step.
    """

    name: str
    form: str
    start: Start


def _with(rule: Callable[..., Any], **fixed: float) -> Start:
    """Return programs of a rule, each given the settings that the rule takes."""
    program = RuleProgram(rule, fixed)
    return lambda **settings: program(
        **{k: v for k, v in settings.items() if k in program.takes and k not in fixed}
    )


def _renamed(rule: Callable[..., Any], setting: str, rate: str) -> Start:
    """Return programs of a rule whose only rate is set by beta1 or beta2."""
    return lambda **settings: RuleProgram(rule, {rate: settings[setting]})(
        lr=settings["lr"], eps=settings["eps"]
    )


def _radam_beside_v_hat(
    state: Any, g: Array, *, lr: float, beta1: float, beta2: float, eps: float
) -> tuple[Any, Array]:
    t = state.t + 1 if state else 1
    eps_hat = eps_hat_at(eps, t, beta2)
    return reference.radam(state, g, lr=lr, beta1=beta1, beta2=beta2, eps=eps_hat)


def _adamax_beside_u(
    state: Any, g: Array, *, lr: float, beta1: float, beta2: float, eps: float
) -> tuple[Any, Array]:
    state, _ = reference.adamax(state, g, lr=lr, beta1=beta1, beta2=beta2, eps=0.0)
    return state, -lr * state.m / bias_correction(beta1, state.t) / (state.u + eps)


def _adabelief_beside_root(
    state: Any, g: Array, *, lr: float, beta1: float, beta2: float, eps: float
) -> tuple[Any, Array]:
    state, _ = reference.adabelief(state, g, lr=lr, beta1=beta1, beta2=beta2, eps=0.0)
    m_hat = state.m / bias_correction(beta1, state.t)
    root = np.sqrt(state.v / bias_correction(beta2, state.t))
    return state, -lr * m_hat / (root + eps)


def _nadam(form: str, momentum_decay: float) -> KnownRule:
    start = _with(reference.nadam, momentum_decay=momentum_decay)
    return KnownRule("NAdam", form, start)


def _lion(name: str, form: str, **rates: str) -> KnownRule:
    """Return Lion, or the sign rules that it is with other rates."""

    def start(**settings: float) -> Step:
        chosen = {
            rate: settings[setting] if setting else 0.0
            for rate, setting in rates.items()
        }
        return _with(reference.lion)(**{**settings, **chosen})

    return KnownRule(name, form, start)


AFTER_ROOT, BESIDE_V = "eps beside the root of v_hat", "eps beside the root of v"
RULES: tuple[KnownRule, ...] = (
    KnownRule("RAdam", f"as in PyTorch: {BESIDE_V}", _with(reference.radam)),
    KnownRule("RAdam", f"as in Optax: {AFTER_ROOT}", _with(_radam_beside_v_hat)),
    KnownRule(
        "RAdam",
        f"adaptive from rho_t > 4, as in its paper, with {BESIDE_V}",
        _with(reference.radam, threshold=4.0),
    ),
    _nadam("as in PyTorch: the momentum rises with psi = 0.004", 4e-3),
    _nadam("as in Keras: the momentum rises with psi = 1", 1.0),
    # So large that the momentum has risen at the first step.
    _nadam("as in Optax: the momentum is beta1 from the first step", 1e9),
    KnownRule(
        "AdaBelief",
        "as in its paper: eps in s at every step and beside the root",
        _with(reference.adabelief),
    ),
    KnownRule(
        "AdaBelief", "as in Optax: eps beside the root", _with(_adabelief_beside_root)
    ),
    KnownRule(
        "AdaMax", "as in PyTorch and Optax: eps beside |g|", _with(reference.adamax)
    ),
    KnownRule("AdaMax", "as in Keras: eps beside u", _with(_adamax_beside_u)),
    KnownRule(
        "AdaMax", "as in its paper: without eps", _with(reference.adamax, eps=0.0)
    ),
    _lion("Lion", "as in its paper, with beta1 in the step and beta2 in the average"),
    _lion("signSGD", "the sign of the gradient", beta1="", beta2=""),
    _lion("Signum", "the sign of an average with beta1", beta2="beta1"),
    _lion("Signum", "the sign of an average with beta2", beta1="beta2"),
    KnownRule("Adafactor", "as in PyTorch", _with(reference.adafactor)),
    KnownRule(
        "RMSProp",
        "as in PyTorch: eps beside the root, no bias correction",
        _renamed(reference.rmsprop, "beta2", "beta"),
    ),
    KnownRule(
        "RMSProp",
        "with the rate beta1, eps beside the root and no bias correction",
        _renamed(reference.rmsprop, "beta1", "beta"),
    ),
    KnownRule(
        "RMSProp",
        "centred, as in PyTorch: eps beside the root, no bias correction",
        lambda **its: _with(reference.rmsprop, centered=True, beta=its["beta2"])(
            lr=its["lr"], eps=its["eps"]
        ),
    ),
    KnownRule(
        "AdaGrad", "as in PyTorch: eps beside the root", _with(reference.adagrad)
    ),
    KnownRule(
        "AdaDelta",
        "as in its paper: eps inside both roots",
        _renamed(reference.adadelta, "beta2", "rho"),
    ),
    KnownRule(
        "AdaDelta",
        "as in its paper, with rho = 0.9: eps inside both roots",
        _with(reference.adadelta, rho=0.9),
    ),
    KnownRule("gradient descent", "lr * g", _with(reference.gradient_descent)),
    *(
        KnownRule(
            f"gradient descent with {kind}", f"as in PyTorch, with the rate {said}", its
        )
        for kind, nesterov in (("momentum", False), ("Nesterov's momentum", True))
        for said, its in (
            ("0.9", _with(reference.momentum, nesterov=nesterov, beta=0.9)),
            ("beta1", _with(reference.momentum, nesterov=nesterov)),
        )
    ),
    KnownRule(
        "Adam with the schedules of the regret theorem",
        "lr / sqrt(t)",
        _with(reference.adam_regret),
    ),
)


def decaying(start: Start, kind: str) -> Start:
    """Return programs that decay; ``kind`` is a key of ``DECAYS``."""

    def make(*, weight_decay: float, **settings: float) -> Step:
        step, lr = start(**settings), settings["lr"]

        def decayed(theta: Array, gradient: Array) -> Array:
            penalty = weight_decay * theta if kind == "penalty" else 0.0
            after = step(theta, gradient + penalty)
            assert after is not None
            share = {"lr * decay": lr, "decay": 1.0, "grows": -lr}.get(kind, 0.0)
            after = after - share * weight_decay * theta
            if kind == "after":
                after = after * (1 - lr * weight_decay)
            return np.asarray(after)

        return decayed

    return make
