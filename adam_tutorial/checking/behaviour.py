"""Algorithm 1, and what is made of it: one program that can be wrong in every known way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Behaviour", "imitate"]

Array = NDArray[np.float64]


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
    does = behaviour
    lr = lr if does.lr is None else does.lr
    beta1 = beta1 if does.beta1 is None else does.beta1
    beta2 = beta2 if does.beta2 is None else does.beta2
    eps = eps if does.eps_value is None else does.eps_value
    if does.betas == "exchanged":
        beta1, beta2 = beta2, beta1
    t, m, v, v_max = 0, np.zeros(()), np.zeros(()), np.zeros(())

    # Dividing by zero is what some mistakes do.
    @np.errstate(all="ignore")
    def step(theta: Array, gradient: Array) -> Array:
        nonlocal t, m, v, v_max
        if does.keeps != "all":
            m, v, v_max = np.zeros(()), np.zeros(()), np.zeros(())
        if does.keeps == "nothing":
            t = 0
        if does.zeros == "step" and not gradient.any():
            return theta
        g = gradient + weight_decay * theta if does.decay == "penalty" else gradient
        moves = g != 0 if does.zeros in ("entry", "move") else np.full(g.shape, True)
        lives = moves if does.zeros == "entry" else True

        t += 1
        square = {
            "each": g**2,
            "sum": np.full(g.shape, (g**2).sum()),
            "mean": np.full(g.shape, (g**2).mean()),
        }[does.squares]
        new_m, new_v = (g, square) if does.inputs == "g, g**2" else (square, g)
        m = np.where(lives, _gathered(m, new_m, beta1, does.gather_m), m)
        v = np.where(lives, _gathered(v, new_v, beta2, does.gather_v), v)
        factor_m = _correction(beta1, t + does.clock, does.correct_m)
        factor_v = _correction(beta2, t + does.clock, does.correct_v)
        m_hat, root_factor = m * factor_m, np.sqrt(factor_v)
        if does.maximum == "v_hat":
            v_max = np.maximum(v_max, v * factor_v)
            v_hat, used_v = v_max, v_max / factor_v
        else:
            v_max = np.maximum(v_max, v)
            used_v = v_max if does.maximum else v
            v_hat = used_v * factor_v
        divisors: dict[str, Callable[[], Array]] = {
            "root of v_hat": lambda: np.sqrt(v_hat) + eps,
            "root of v": lambda: (np.sqrt(used_v) + eps) * root_factor,
            "in v_hat": lambda: np.sqrt(v_hat + eps),
            "in v": lambda: np.sqrt(used_v + eps) * root_factor,
        }
        divisor = divisors.get(does.eps, lambda: np.sqrt(v_hat))()
        outside = 0.0 if does.eps in ("nothing", "update") else eps
        numerator = m_hat + weight_decay * theta if does.decay == "divided" else m_hat
        fractions: dict[str, Callable[[], Array]] = {
            "m/root v": lambda: numerator / divisor,
            "m/v": lambda: numerator / (v_hat + outside),
            "v/root m": lambda: v_hat / (np.sqrt(m_hat) + outside),
            "g/root v": lambda: g / divisor,
            "m": lambda: numerator,
        }
        update = np.where(moves, does.sign * lr * fractions[does.fraction](), 0.0)
        if does.eps == "update":
            update = update + eps
        if does.correct_m == "stored":
            m = m_hat
        if does.correct_v == "stored":
            v = v_hat
        share = {"lr * decay": lr, "decay": 1.0, "grows": -lr}.get(
            does.decay, 0.0
        ) * weight_decay
        update = update - share * theta
        return np.asarray(update if does.returns == "update" else theta + update)

    return step


def _gathered(old: Array, new: Array, beta: float, how: str) -> Array:
    of_old = 1 - beta if how == "exchanged" else beta
    of_new = {"average": 1 - beta, "sum": 1.0, "exchanged": beta}[how]
    return of_old * old + of_new * new


def _correction(beta: float, t: int, how: str) -> np.float64:
    """Return what an average is multiplied by; infinity at t = 0."""
    weight = np.float64(1 - beta**t)
    if how == "missing":
        return np.float64(1)
    if how == "multiplied":
        return weight
    return np.float64(1) / (1 - beta if how == "no exponent" else weight)
