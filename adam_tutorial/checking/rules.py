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
from adam_tutorial.checking.programs import Start, from_rule
from adam_tutorial.libraries import eps_hat_at
from adam_tutorial.libraries.table import NO_WARMUP
from adam_tutorial.theory import bias_correction

__all__ = ["RULES", "KnownRule"]


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


def _renamed(
    rule: Callable[..., Any], fixed: dict[str, Any] | None = None, **rates: str
) -> Start:
    """Return programs of a rule whose rates are set by others of Adam's settings."""
    return lambda **settings: from_rule(
        rule, **(fixed or {}), **{rate: settings[its] for rate, its in rates.items()}
    )(**settings)


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


AFTER_ROOT, BESIDE_V = "eps beside the root of v_hat", "eps beside the root of v"
RULES: tuple[KnownRule, ...] = (
    KnownRule("RAdam", f"as in PyTorch: {BESIDE_V}", from_rule(reference.radam)),
    KnownRule("RAdam", f"as in Optax: {AFTER_ROOT}", from_rule(_radam_beside_v_hat)),
    KnownRule(
        "RAdam",
        f"adaptive from rho_t > 4, as in its paper, with {BESIDE_V}",
        from_rule(reference.radam, threshold=4.0),
    ),
    *(
        KnownRule("NAdam", form, from_rule(reference.nadam, momentum_decay=psi))
        for form, psi in (
            ("as in PyTorch: the momentum rises with psi = 0.004", 4e-3),
            ("as in Keras: the momentum rises with psi = 1", 1.0),
            ("as in Optax: the momentum is beta1 from the first step", NO_WARMUP),
        )
    ),
    KnownRule(
        "AdaBelief",
        "as in its paper: eps in s at every step and beside the root",
        from_rule(reference.adabelief),
    ),
    KnownRule(
        "AdaBelief",
        "as in Optax: eps beside the root",
        from_rule(_adabelief_beside_root),
    ),
    KnownRule(
        "AdaMax", "as in PyTorch and Optax: eps beside |g|", from_rule(reference.adamax)
    ),
    KnownRule("AdaMax", "as in Keras: eps beside u", from_rule(_adamax_beside_u)),
    KnownRule(
        "AdaMax", "as in its paper: without eps", from_rule(reference.adamax, eps=0.0)
    ),
    KnownRule(
        "Lion",
        "as in its paper, with beta1 in the step and beta2 in the average",
        from_rule(reference.lion),
    ),
    # With other rates, Lion is one of the older sign rules.
    KnownRule(
        "signSGD",
        "the sign of the gradient",
        from_rule(reference.lion, beta1=0.0, beta2=0.0),
    ),
    KnownRule(
        "Signum",
        "the sign of an average with beta1",
        _renamed(reference.lion, beta2="beta1"),
    ),
    KnownRule(
        "Signum",
        "the sign of an average with beta2",
        _renamed(reference.lion, beta1="beta2"),
    ),
    KnownRule("Adafactor", "as in PyTorch", from_rule(reference.adafactor)),
    KnownRule(
        "RMSProp",
        "as in PyTorch: eps beside the root, no bias correction",
        _renamed(reference.rmsprop, beta="beta2"),
    ),
    KnownRule(
        "RMSProp",
        "with the rate beta1, eps beside the root and no bias correction",
        from_rule(reference.rmsprop),
    ),
    KnownRule(
        "RMSProp",
        "centred, as in PyTorch: eps beside the root, no bias correction",
        _renamed(reference.rmsprop, {"centered": True}, beta="beta2"),
    ),
    KnownRule(
        "AdaGrad", "as in PyTorch: eps beside the root", from_rule(reference.adagrad)
    ),
    KnownRule(
        "AdaDelta",
        "as in its paper: eps inside both roots",
        from_rule(reference.adadelta),
    ),
    KnownRule(
        "AdaDelta",
        "as in its paper, with rho = 0.9: eps inside both roots",
        from_rule(reference.adadelta, rho=0.9),
    ),
    KnownRule("gradient descent", "lr * g", from_rule(reference.gradient_descent)),
    *(
        KnownRule(
            f"gradient descent with {kind}", f"as in PyTorch, with the rate {said}", its
        )
        for kind, nesterov in (("momentum", False), ("Nesterov's momentum", True))
        for said, its in (
            ("0.9", from_rule(reference.momentum, nesterov=nesterov, beta=0.9)),
            ("beta1", from_rule(reference.momentum, nesterov=nesterov)),
        )
    ),
    KnownRule(
        "Adam with the schedules of the regret theorem",
        "lr / sqrt(t)",
        from_rule(reference.adam_regret),
    ),
)
