"""What a program is: the rule, another rule, the rule with mistakes or with effects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain

import numpy as np

from adam_tutorial.checking.effect import Effect, leaves, moves_of
from adam_tutorial.checking.effects_on_gradients import effects_on_gradients
from adam_tutorial.checking.effects_on_parameters import effects_on_parameters
from adam_tutorial.checking.effects_on_updates import (
    effect_of_the_clock,
    effects_on_updates,
)
from adam_tutorial.checking.explanation import RIGHT, Explanation, explain
from adam_tutorial.checking.inputs import FALLING, LARGE
from adam_tutorial.checking.probes import Probe, Trace
from adam_tutorial.checking.programs import Start
from adam_tutorial.checking.report import Finding
from adam_tutorial.checking.rules import RULES
from adam_tutorial.checking.simulation import imitate

__all__ = ["RULE_NAMES", "identify", "right_programs"]

RULE_NAMES = (*RIGHT, *dict.fromkeys(rule.name for rule in RULES))

MOST_MISTAKES = 3


def right_programs(rule: str) -> dict[str, Start]:
    """Return what a correct program of a rule may be, by name."""
    if rule in RIGHT:
        return {name: partial(imitate, does) for name, does in RIGHT[rule].items()}
    return {f"{its.name} ({its.form})": its.start for its in RULES if its.name == rule}


def identify(probe: Probe, traces: Sequence[Trace], rule: str) -> Explanation | None:
    """Return what takes the steps of a program, the simplest first; None if nothing.

    ``traces`` are those of ``effects_on_updates`` and others, in which gradients are as
    small as eps, or zero.
    """
    if rule in RIGHT:
        found = explain(traces, rule, [0])
    else:
        found = next(
            (
                Explanation(name, start)
                for name, start in right_programs(rule).items()
                if all(leaves(start, trace) for trace in traces)
            ),
            None,
        )
    if found is None:
        found = _another_rule(traces, rule)
    if found is None and rule in RIGHT:
        found = explain(traces, rule, range(1, MOST_MISTAKES + 1))
    if found is None and len(traces) > 1:
        found = _with_an_effect(probe, traces, rule)
    return found


def _another_rule(traces: Sequence[Trace], rule: str) -> Explanation | None:
    others = {
        f"{its.name} ({its.form})": its.start for its in RULES if its.name != rule
    }
    if rule not in RIGHT:
        others = right_programs("Adam") | right_programs("AMSGrad") | others
    for name, start in others.items():
        if all(leaves(start, trace) for trace in traces):
            short = name.partition(" (")[0]
            finding = Finding(
                f"another rule: {short}",
                f"each step is that of {name}",
                f"the steps of {rule}, unless {short} is meant",
                "algorithm-1",
                "difference",
            )
            return Explanation(name, start, (finding,))
    return None


def _with_an_effect(
    probe: Probe, traces: Sequence[Trace], rule: str
) -> Explanation | None:
    """Return a right program with something added.

    The number that was read off two traces must fit the others, the gradients of the
    longer one backwards, and a large tensor.
    """
    if not all(np.isfinite(trace.moves).all() for trace in traces[:2]):
        return None
    more = [probe.watch(inputs) for inputs in (FALLING, LARGE)]
    every = [*traces, *(trace for trace in more if trace.failure is None)]
    for name, start in right_programs(rule).items():
        for effect in _effects(probe, traces[:2], start):
            if all(leaves(effect.start, trace) for trace in every):
                return Explanation(name, effect.start, (effect.finding,))
    return None


def _effects(probe: Probe, traces: Sequence[Trace], start: Start) -> list[Effect]:
    right = [moves_of(start, trace) for trace in traces]
    with np.errstate(all="ignore"):
        return list(
            chain(
                effects_on_updates(traces, right, start),
                effects_on_gradients(probe, start),
                effects_on_parameters(traces, right, start),
                effect_of_the_clock(traces, right, start),
            )
        )
