"""What a program of Adam computes: Algorithm 1, and every known way to get it wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Behaviour", "Behaviours"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Behaviour:
    """What a program computes. The defaults are Algorithm 1, without weight decay.

    Parameters
    ----------
    inputs : {"g, g**2", "g**2, g"}
        What goes into m and v.
    gather_m, gather_v : {"average", "sum", "exchanged"}
        ``beta * m + (1 - beta) * g``, the same without the factor ``1 - beta``, or with
        the two factors exchanged.
    squares : {"each", "sum", "mean"}
        The square of each entry, or one number for all entries.
    correct_m, correct_v : {"right", "no exponent", "missing", "multiplied", "stored"}
        How the start at zero is corrected.
    clock : int
        Added to the step number.
    eps : {"root of v_hat", "root of v", "in v_hat", "in v", "nothing", "update"}
        What eps is added to.
    fraction : {"m/root v", "m/v", "v/root m", "g/root v", "m"}
        What the learning rate multiplies.
    sign : int
        -1 goes down, 1 goes up.
    betas : {"right", "exchanged"}
        Which rate belongs to which average.
    maximum : {"", "v", "v_hat"}
        What AMSGrad takes the maximum of; empty for Adam.
    zeros : {"", "entry", "move", "step"}
        What is skipped where the gradient is zero: everything for that entry, only its
        move, or, if the whole gradient is zero, the step.
    keeps : {"all", "t", "nothing"}
        What survives from step to step; ``"t"``: m and v start again, t keeps counting.
    returns : {"theta", "update"}
        What a step returns.
    decay : {"", "lr * decay", "decay", "after", "penalty", "divided", "grows"}
        What the weight decay does; see :data:`adam_tutorial.checking.DECAYS`.
    lr, beta1, beta2, eps_value : float, optional
        A number used instead of the setting.
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
    """Many behaviours, as masks: the checker simulates thousands of them at once.

    Parameters
    ----------
    which : dict
        ``which[field][value]``, a mask of shape (n,): which behaviours have this value
        in this field.
    """

    which: Mapping[str, Mapping[Any, Mask]]

    @classmethod
    def of(cls, behaviours: Sequence[Behaviour]) -> Behaviours:
        """Return these behaviours as masks."""
        which: dict[str, dict[Any, Mask]] = {}
        for field in vars(Behaviour()):
            values = [getattr(behaviour, field) for behaviour in behaviours]
            which[field] = {
                value: np.array([other == value for other in values])
                for value in dict.fromkeys(values)
            }
        return cls(which)

    @classmethod
    def changed(
        cls,
        base: Behaviour,
        changes: Sequence[Mapping[str, Any]],
        chosen: NDArray[np.intp],
    ) -> Behaviours:
        """Return a behaviour with some changes: those in each row of ``chosen``.

        Parameters
        ----------
        base : Behaviour
            What all have where nothing is changed.
        changes : sequence of dict
            From fields to values.
        chosen : ndarray of shape (n, k)
            Places in ``changes``. The changes of one row are to different fields.
        """
        which = {
            field: {value: np.full(len(chosen), True)}
            for field, value in vars(base).items()
        }
        for place, change in enumerate(changes):
            changed = (chosen == place).any(axis=1)
            for field, value in change.items():
                for mask in which[field].values():
                    mask &= ~changed
                which[field][value] = which[field].get(value, False) | changed
        return cls(which)

    def __len__(self) -> int:
        return len(next(iter(self.which["sign"].values())))

    def __getitem__(self, index: int) -> Behaviour:
        return Behaviour(
            **{
                field: next(value for value, mask in masks.items() if mask[index])
                for field, masks in self.which.items()
            }
        )

    def take(self, indices: NDArray[np.intp]) -> Behaviours:
        """Return the behaviours at these indices."""
        return Behaviours(
            {
                field: {value: mask[indices] for value, mask in masks.items()}
                for field, masks in self.which.items()
            }
        )
