"""Programs that behave as described, one or thousands of them in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adam_tutorial._types import Array
from adam_tutorial.checking.behaviour import Behaviour, Behaviours
from adam_tutorial.checking.mistakes import decay_shares

__all__ = ["Simulation", "imitate"]


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
        The program's settings.

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
    one = Simulation(
        Behaviours.of([behaviour]),
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
    )
    return lambda theta, gradient: one.step(theta, gradient)[..., 0].copy()


class Simulation:
    """Programs with equal settings and different behaviours, which step together.

    Arrays have a last axis for the programs. What is the same for all of them is
    computed once, and has length 1 there or no such axis.

    Parameters
    ----------
    behaviours : Behaviours
        One program for each; at least one.
    lr, beta1, beta2, eps, weight_decay : float
        The settings of all programs.
    """

    def __init__(
        self,
        behaviours: Behaviours,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float = 0.0,
    ) -> None:
        self.number_of_programs = len(behaviours)
        self.which = {
            field: [(value, mask) for value, mask in masks.items() if mask.any()]
            for field, masks in behaviours.which.items()
        }
        self.lr = self._number("lr", lr)
        self.eps = self._number("eps_value", eps)
        self.clock, self.sign = self._number("clock", 0), self._number("sign", 0)
        betas = self._number("beta1", beta1), self._number("beta2", beta2)
        self.beta1 = self._choose("betas", {"right": betas[0], "exchanged": betas[1]})
        self.beta2 = self._choose("betas", {"right": betas[1], "exchanged": betas[0]})
        self.weight_decay = weight_decay
        self.t: Any = 0
        self.m = self.v = self.v_max = np.zeros(())

    # Some mistakes divide by zero.
    @np.errstate(all="ignore")
    def step(self, theta: Array, gradient: Array) -> Array:
        """Return what each program returns.

        Parameters
        ----------
        theta, gradient : ndarray of shape (d,)
            All programs are given the same.

        Returns
        -------
        ndarray of shape (d, n)
        """
        choose, weight_decay = self._choose, self.weight_decay
        theta, gradient = theta[..., None], gradient[..., None]
        self.t = choose("keeps", {"nothing": 0}, self.t)
        self.m, self.v, self.v_max = (
            choose("keeps", {"all": kept}, np.zeros(()))
            for kept in (self.m, self.v, self.v_max)
        )
        state = self.t, self.m, self.v, self.v_max

        g = choose("decay", {"penalty": gradient + weight_decay * theta}, gradient)
        moves = choose("zeros", {"entry": g != 0, "move": g != 0}, True)
        self.t = self.t + 1
        self._gather(g)
        update = np.where(moves, self.sign * self.lr * self._fraction(theta, g), 0.0)
        update = choose("eps", {"update": update + self.eps}, update)
        share = choose("decay", decay_shares(self.lr), 0.0)
        update = update - share * weight_decay * theta
        shrunk = (theta + update) * (1 - self.lr * weight_decay)
        update = choose("decay", {"after": shrunk - theta}, update)
        result = choose("returns", {"theta": theta + update, "update": update})

        skipped = choose("zeros", {"step": not gradient.any()}, False)
        if np.any(skipped):
            result = np.where(skipped, theta, result)
            self.t, self.m, self.v, self.v_max = (
                np.where(skipped, before, now)
                for before, now in zip(
                    state, (self.t, self.m, self.v, self.v_max), strict=True
                )
            )
        return np.broadcast_to(result, (*theta.shape[:-1], self.number_of_programs))

    def _gather(self, g: Array) -> None:
        """Let the gradient into m and v."""
        entries = tuple(range(g.ndim - 1))
        squares = {
            "each": g**2,
            "sum": (g**2).sum(axis=entries, keepdims=True),
            "mean": (g**2).mean(axis=entries, keepdims=True),
        }
        square = self._choose("squares", squares)
        into_m = self._choose("inputs", {"g, g**2": g, "g**2, g": square})
        into_v = self._choose("inputs", {"g, g**2": square, "g**2, g": g})
        gathers = self._choose("zeros", {"entry": g != 0}, True)
        m = self._average("gather_m", self.m, into_m, self.beta1)
        v = self._average("gather_v", self.v, into_v, self.beta2)
        self.m, self.v = np.where(gathers, m, self.m), np.where(gathers, v, self.v)

    def _average(self, field: str, old: Any, new: Any, beta: Any) -> Any:
        ways = {
            "average": beta * old + (1 - beta) * new,
            "sum": beta * old + new,
            "exchanged": (1 - beta) * old + beta * new,
        }
        return self._choose(field, ways)

    def _correction(self, field: str, beta: Any) -> Any:
        """Return what an average is multiplied by; infinity at t = 0."""
        weight = np.asarray(1 - beta ** (self.t + self.clock))
        factors = {
            "no exponent": 1 / np.asarray(1 - beta),
            "missing": np.ones(()),
            "multiplied": weight,
        }
        return self._choose(field, factors, 1 / weight)

    def _fraction(self, theta: Array, g: Array) -> Any:
        """Return what the learning rate multiplies."""
        choose, eps = self._choose, self.eps
        factor_m = self._correction("correct_m", self.beta1)
        factor_v = self._correction("correct_v", self.beta2)
        m_hat, v, v_hat = self.m * factor_m, self.v, self.v * factor_v
        self.v_max = np.maximum(self.v_max, choose("maximum", {"v_hat": v_hat}, v))
        v = choose("maximum", {"v": self.v_max, "v_hat": self.v_max / factor_v}, v)
        v_hat = choose("maximum", {"v_hat": self.v_max}, v * factor_v)
        # Some programs keep the corrected averages.
        self.m = choose("correct_m", {"stored": m_hat}, self.m)
        self.v = choose("correct_v", {"stored": v_hat}, self.v)

        divisors = {
            "root of v_hat": np.sqrt(v_hat) + eps,
            "root of v": (np.sqrt(v) + eps) * np.sqrt(factor_v),
            "in v_hat": np.sqrt(v_hat + eps),
            "in v": np.sqrt(v + eps) * np.sqrt(factor_v),
        }
        divisor = choose("eps", divisors, np.sqrt(v_hat))
        added = choose("eps", {"nothing": 0.0, "update": 0.0}, eps)
        decayed = m_hat + self.weight_decay * theta
        numerator = choose("decay", {"divided": decayed}, m_hat)
        fractions = {
            "m/root v": numerator / divisor,
            "m/v": numerator / (v_hat + added),
            "v/root m": v_hat / (np.sqrt(m_hat) + added),
            "g/root v": g / divisor,
            "m": numerator,
        }
        return choose("fraction", fractions)

    def _choose(self, field: str, options: Mapping[Any, Any], other: Any = None) -> Any:
        """Return the option for each program; the option itself if all have the same.

        So one program computes with Python's floats, in the precision of its gradients.
        """
        (value, _), *rest = self.which[field]
        chosen = options.get(value, other)
        for value, mask in rest:
            chosen = np.where(mask, options.get(value, other), chosen)
        return chosen

    def _number(self, field: str, setting: float) -> Any:
        """Return the number that each program uses: its own, or else the setting."""
        own = {value: value for value, _ in self.which[field] if value is not None}
        return self._choose(field, own, setting)
