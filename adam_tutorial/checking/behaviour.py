"""Algorithm 1, and what is made of it: one program that can be wrong in every known way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Behaviour", "imitate"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Behaviour:
    """What a program computes. The defaults are Algorithm 1 of the paper, without weight decay.

    Parameters
    ----------
    inputs : {"g, g**2", "g**2, g"}
        What m and v gather.
    gather_m, gather_v : {"average", "sum", "exchanged"}
        ``beta * m + (1 - beta) * g``, the same without the factor ``1 - beta``, or with the two
        factors exchanged.
    squares : {"each", "sum", "mean"}
        The square of each entry, or one number for all entries.
    correct_m, correct_v : {"right", "no exponent", "missing", "multiplied", "stored"}
        What is done about the start at zero.
    clock : int
        Added to the number of the step.
    eps : {"root of v_hat", "root of v", "in v_hat", "in v", "nothing", "update"}
        What eps is added to.
    fraction : {"m/root v", "m/v", "v/root m", "g/root v", "m"}
        What is multiplied by the learning rate.
    sign : int
        -1 goes down, 1 goes up.
    betas : {"right", "exchanged"}
        Which rate belongs to which average.
    maximum : {"", "v", "v_hat"}
        What AMSGrad takes the maximum of; empty for Adam.
    zeros : {"", "entry", "move", "step"}
        What is left out where the gradient is zero: all of the entry, only its move, or
        the whole step if all of the gradient is zero.
    keeps : {"all", "t", "nothing"}
        What is kept from step to step; ``"t"``: m and v begin again, the count runs on.
    returns : {"theta", "update"}
        What a step returns.
    decay : {"", "lr * decay", "decay", "penalty", "divided", "grows"}
        What the weight decay does; see :data:`adam_tutorial.checking.DECAYS`.
    lr, beta1, beta2, eps_value : float, optional
        A number that is used in the place of the setting.
    """

    inputs: str = "g, g**2"
    gather_m: str = "average"
    gather_v: str = "average"
    squares: str = "each"
    correct_m: str = "right"
    correct_v: str = "right"
    clock: int = 0
    eps: str = "root of v_hat"
    fraction: str = "m/root v"
    sign: int = -1
    betas: str = "right"
    maximum: str = ""
    zeros: str = ""
    keeps: str = "all"
    returns: str = "theta"
    decay: str = ""
    lr: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    eps_value: float | None = None


@dataclass(frozen=True)
class Behaviours:
    """Many behaviours.

    Parameters
    ----------
    having : dict
        For each field, and each value of it, which behaviours have this value.
    """

    having: Mapping[str, Mapping[Any, Mask]]

    @classmethod
    def of(cls, behaviours: Sequence[Behaviour]) -> Behaviours:
        """Return these behaviours."""
        columns = {
            name: [getattr(one, name) for one in behaviours]
            for name in vars(Behaviour())
        }
        return cls(
            {
                name: {
                    value: np.array([own == value for own in column])
                    for value in dict.fromkeys(column)
                }
                for name, column in columns.items()
            }
        )

    def __len__(self) -> int:
        return len(next(iter(self.having["sign"].values())))

    def __getitem__(self, k: int) -> Behaviour:
        return Behaviour(
            **{
                name: next(value for value, has in values.items() if has[k])
                for name, values in self.having.items()
            }
        )

    def take(self, these: NDArray[np.intp]) -> Behaviours:
        """Return those with these numbers."""
        return Behaviours(
            {
                name: {value: has[these] for value, has in values.items()}
                for name, values in self.having.items()
            }
        )


def imitate(
    behaviour: Behaviour,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
) -> Callable[[Array, Array], Array]:
    """Return the step of a program that behaves like this.

    Parameters
    ----------
    behaviour : Behaviour
    lr, beta1, beta2, eps, weight_decay : float
        The settings that the program is given.

    Returns
    -------
    function
        Takes ``(theta, gradient)``, returns the new ``theta``; keeps its state inside.

    Examples
    --------
    Without bias correction, the first step of the default Adam is 3.16 times as long:

    >>> settings = {"lr": 1.0, "beta1": 0.9, "beta2": 0.999, "eps": 0.0}
    >>> step = imitate(Behaviour(correct_m="missing", correct_v="missing"), **settings)
    >>> step(np.zeros(2), np.array([5.0, -0.01])).round(2).tolist()
    [-3.16, 3.16]
    """
    step = imitate_all(
        Behaviours.of([behaviour]),
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
    )
    return lambda theta, gradient: step(theta, gradient)[..., 0]


def imitate_all(
    behaviours: Behaviours,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
) -> Callable[[Array, Array], Array]:
    """Return the step of many programs at once, one for each behaviour.

    Parameters
    ----------
    behaviours : Behaviours
        One or more.
    lr, beta1, beta2, eps, weight_decay : float
        The settings that all of them are given.

    Returns
    -------
    function
        Takes ``(theta, gradient)``, of shape (d,) each, the same for all programs;
        returns the new ``theta`` of each, shape (d, n).
    """
    having = {
        name: [(value, has) for value, has in values.items() if has.any()]
        for name, values in behaviours.having.items()
    }

    def choose(name: str, options: dict[Any, Any], otherwise: Any = None) -> Any:
        """Return the option that each program takes; as it is if all take the same."""
        (value, _), *others = having[name]
        chosen = options.get(value, otherwise)
        for value, has in others:
            chosen = np.where(has, options.get(value, otherwise), chosen)
        return chosen

    def number(name: str, setting: float) -> Any:
        """Return the number that each program uses: its own, or the setting."""
        own = {value: value for value, _ in having[name] if value is not None}
        return choose(name, own, setting)

    lr, beta1, beta2 = number("lr", lr), number("beta1", beta1), number("beta2", beta2)
    eps, clock, sign = number("eps_value", eps), number("clock", 0), number("sign", 0)
    beta1, beta2 = (
        choose("betas", {"right": beta1, "exchanged": beta2}),
        choose("betas", {"right": beta2, "exchanged": beta1}),
    )
    zero = np.zeros(())
    t: Any = 0
    m, v, v_max = zero, zero, zero

    def average(name: str, old: Array, new: Array, beta: Any) -> Array:
        options = {
            "average": beta * old + (1 - beta) * new,
            "sum": beta * old + new,
            "exchanged": (1 - beta) * old + beta * new,
        }
        return np.asarray(choose(name, options))

    def correction(name: str, beta: Any) -> Any:
        """Return what an average is multiplied by; infinity at t = 0."""
        weight = np.asarray(1 - beta ** (t + clock))
        options = {
            "right": 1 / weight,
            "stored": 1 / weight,
            "no exponent": 1 / np.asarray(1 - beta),
            "missing": np.ones(()),
            "multiplied": weight,
        }
        return choose(name, options)

    # Dividing by zero is what some mistakes do.
    @np.errstate(all="ignore")
    def step(theta: Array, gradient: Array) -> Array:
        nonlocal t, m, v, v_max
        theta, gradient = np.asarray(theta)[..., None], np.asarray(gradient)[..., None]
        t = choose("keeps", {"nothing": 0}, t)
        m, v, v_max = (choose("keeps", {"all": x}, zero) for x in (m, v, v_max))
        before = t, m, v, v_max
        skips = choose("zeros", {"step": not gradient.any()}, False)
        g = choose("decay", {"penalty": gradient + weight_decay * theta}, gradient)
        lives = choose("zeros", {"entry": g != 0}, True)
        moves = choose("zeros", {"entry": g != 0, "move": g != 0}, True)

        t = t + 1
        entries = tuple(range(g.ndim - 1))
        squares = {
            "each": g**2,
            "sum": (g**2).sum(axis=entries, keepdims=True),
            "mean": (g**2).mean(axis=entries, keepdims=True),
        }
        square = choose("squares", squares)
        into_m = choose("inputs", {"g, g**2": g, "g**2, g": square})
        into_v = choose("inputs", {"g, g**2": square, "g**2, g": g})
        m = np.where(lives, average("gather_m", m, into_m, beta1), m)
        v = np.where(lives, average("gather_v", v, into_v, beta2), v)
        factor_m, factor_v = (
            correction("correct_m", beta1),
            correction("correct_v", beta2),
        )
        m_hat, root_factor = m * factor_m, np.sqrt(factor_v)
        v_max = np.maximum(v_max, choose("maximum", {"v_hat": v * factor_v}, v))
        used_v = choose("maximum", {"": v, "v": v_max, "v_hat": v_max / factor_v})
        v_hat = choose("maximum", {"v_hat": v_max}, used_v * factor_v)
        divisors = {
            "root of v_hat": np.sqrt(v_hat) + eps,
            "root of v": (np.sqrt(used_v) + eps) * root_factor,
            "in v_hat": np.sqrt(v_hat + eps),
            "in v": np.sqrt(used_v + eps) * root_factor,
        }
        divisor = choose("eps", divisors, np.sqrt(v_hat))
        outside = choose("eps", {"nothing": 0.0, "update": 0.0}, eps)
        m_hat_and_decay = m_hat + weight_decay * theta
        numerator = choose("decay", {"divided": m_hat_and_decay}, m_hat)
        fractions = {
            "m/root v": numerator / divisor,
            "m/v": numerator / (v_hat + outside),
            "v/root m": v_hat / (np.sqrt(m_hat) + outside),
            "g/root v": g / divisor,
            "m": numerator,
        }
        update = np.where(moves, sign * lr * choose("fraction", fractions), 0.0)
        update = choose("eps", {"update": update + eps}, update)
        m = choose("correct_m", {"stored": m_hat}, m)
        v = choose("correct_v", {"stored": v_hat}, v)
        rates = {"lr * decay": lr, "decay": 1.0, "grows": -lr}
        update = update - choose("decay", rates, 0.0) * weight_decay * theta
        after = choose("returns", {"theta": theta + update, "update": update})
        if np.any(skips):
            now = t, m, v, v_max
            pairs = zip(before, now, strict=True)
            t, m, v, v_max = (np.where(skips, old, new) for old, new in pairs)
            after = np.where(skips, theta, after)
        return np.broadcast_to(after, (*theta.shape[:-1], len(behaviours)))

    return step
