"""The fewest known mistakes that explain the steps of a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adam_tutorial.checking.behaviour import Behaviour, Behaviours, Mask
from adam_tutorial.checking.mistakes import MISTAKES, NO_MAXIMUM, Mistake
from adam_tutorial.checking.probes import Trace, agree
from adam_tutorial.checking.programs import Start
from adam_tutorial.checking.report import Finding
from adam_tutorial.checking.simulation import Simulation, imitate

__all__ = ["RIGHT", "Explanation", "consistent", "explain"]

Indices = NDArray[np.intp]

# What a correct program of each rule may compute, and what that is called.
RIGHT: dict[str, dict[str, Behaviour]] = {
    "Adam": {
        "Algorithm 1": Behaviour(),
        "the efficient order (eps-hat)": Behaviour(eps="root of v"),
    },
    "AMSGrad": {
        "AMSGrad, with the maximum of v, corrected afterwards (PyTorch)": Behaviour(
            maximum="v"
        ),
        "AMSGrad, with the maximum of the corrected v_hat (Optax)": Behaviour(
            maximum="v_hat"
        ),
        "AMSGrad, with the maximum of v and eps-hat beside its root (Keras)": Behaviour(
            maximum="v", eps="root of v"
        ),
        "AMSGrad, without bias correction (as in its paper)": Behaviour(
            maximum="v", correct_m="missing", correct_v="missing"
        ),
    },
}
RIGHT["AdamW"] = {
    f"AdamW: decay beside {name}": behaviour
    for name, behaviour in RIGHT["Adam"].items()
}


@dataclass(frozen=True)
class Explanation:
    """What a program is apart from its mistakes, and what those are.

    Parameters
    ----------
    name : str
        Of the right program.
    start : function
        Makes programs that take the same steps.
    findings : tuple of Finding
    behaviour : Behaviour, optional
        Of the program, if it is a form of Algorithm 1.
    """

    name: str
    start: Start
    findings: tuple[Finding, ...] = ()
    behaviour: Behaviour | None = None


def explain(
    traces: Sequence[Trace], rule: str, mistakes_at_once: Iterable[int]
) -> Explanation | None:
    """Return the fewest mistakes that explain the traces; None if none do."""
    findings = [Finding(m.name, seen, m.right, m.topic) for m, seen, _ in _forms(rule)]
    for number in mistakes_at_once:
        # Forms of one mistake that explain equally well are one explanation: the first.
        found: dict[frozenset[str], Explanation] = {}
        chosen, wrong = _wrong_programs(rule, number)
        for name, behaviours in wrong.items():
            for index in consistent(behaviours, traces):
                its = tuple(findings[place] for place in chosen[index])
                does = behaviours[index]
                found.setdefault(
                    frozenset(finding.name for finding in its),
                    Explanation(name, partial(imitate, does), its, does),
                )
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            return _undecided(found.values())
    return None


def _forms(rule: str) -> list[tuple[Mistake, str, Mapping[str, Any]]]:
    """Return every form of every mistake, its description and what it changes."""
    mistakes = [m for m in MISTAKES if rule != "AMSGrad" or "maximum" not in m.name]
    if rule == "AMSGrad":
        mistakes.append(NO_MAXIMUM)
    return [(m, seen, change) for m in mistakes for seen, change in m.forms.items()]


@lru_cache  # more than ten thousand, and the same for every program
def _wrong_programs(rule: str, number: int) -> tuple[Indices, dict[str, Behaviours]]:
    """Return all choices of so many forms, and each right program changed by them."""
    changes = [change for _, _, change in _forms(rule)]
    chosen = _combinations(changes, number)
    return chosen, {
        name: Behaviours.changed(right, changes, chosen)
        for name, right in RIGHT[rule].items()
    }


def consistent(behaviours: Behaviours, traces: Sequence[Trace]) -> Indices:
    """Return the indices of the behaviours that leave these traces.

    The first step alone refutes nearly all of them. Only the rest takes all steps.
    """
    left: Indices = np.arange(len(behaviours))
    first = traces[0]
    for trace in (replace(first, moves=first.moves[:1]), *traces):
        if len(left):
            left = left[_leave(behaviours.take(left), trace)]
    return left


def _leave(behaviours: Behaviours, trace: Trace) -> Mask:
    """Return which of the behaviours leave this trace."""
    simulation = Simulation(behaviours, **trace.inputs.settings)
    which = np.full(len(behaviours), True)
    for theta, gradient, move in zip(
        trace.inputs.thetas, trace.inputs.gradients, trace.moves, strict=False
    ):
        simulated = simulation.step(theta, gradient) - theta[..., None]
        alike = agree(simulated, move[..., None])
        which &= alike.reshape(-1, len(behaviours)).all(axis=0)
    return which


def _combinations(changes: Sequence[Mapping[str, Any]], number: int) -> Indices:
    """Return all combinations of changes to different fields, shape (n, number)."""
    apart = np.array([[a.keys().isdisjoint(b) for b in changes] for a in changes])
    chosen = np.array(list(combinations(range(len(changes)), number)), dtype=np.intp)
    possible = np.full(len(chosen), True)
    for i, j in combinations(range(number), 2):
        possible &= apart[chosen[:, i], chosen[:, j]]
    kept: Indices = chosen[possible]
    return kept


def _undecided(explanations: Iterable[Explanation]) -> Explanation:
    """Return one finding that names all explanations that are equally good."""
    every = list(explanations)
    names = [" and ".join(finding.name for finding in one.findings) for one in every]
    finding = Finding(
        ", or ".join(names),
        "each of these would take the same steps",
        "; or ".join(finding.right for one in every for finding in one.findings),
        every[0].findings[0].topic,
    )
    return replace(every[0], findings=(finding,))
