"""Watch a program, explain its steps, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adam_tutorial.checking.behaviour import Behaviour, Behaviours
from adam_tutorial.checking.explanation import RIGHT, Explanation, consistent, explain
from adam_tutorial.checking.mistakes import DECAY_MISTAKES, DECAYS
from adam_tutorial.checking.probes import (
    DECAYING,
    NUMBERS,
    SMALL,
    ZEROS,
    Probe,
    Trace,
    agree,
    equal,
)
from adam_tutorial.checking.programs import Make, takes_weight_decay
from adam_tutorial.checking.report import UNKNOWN, Difference, Finding, Report
from adam_tutorial.checking.simulation import imitate

__all__ = ["check_optimizer"]

SHARED = Finding(
    "state shared",
    "what happens to one parameter changes the steps of another",
    "each parameter has its own t, m and v (or one t that counts steps, not"
    " parameters)",
    "state",
)
CHANGES_GRADIENT = Finding(
    "gradient changed in place",
    "after the step, the array with the gradient holds other numbers",
    "the gradient belongs to the caller: compute with a copy",
    "arrays",
)
KEEPS_GRADIENT = Finding(
    "gradient kept by reference",
    "when the caller writes the next gradient into the same array, the state changes"
    " with it",
    "store a copy, not the array that was handed in",
    "arrays",
)
CHANGES_THETA = Finding(
    "theta in place",
    "a step changes the array that it is given; copy it before you keep it",
    "either way is right",
    "arrays",
)
FLOAT16 = {
    "zero": "a gradient of zero gives 0/0, because 1e-8 is rounded to zero",
    "small": (
        "theta becomes infinite for gradients below about 5e-3, because "
        "(1 - beta2) * g**2 is rounded to zero and m is not"
    ),
}


def check_optimizer(make: Make, *, rule: str = "Adam") -> Report:
    """Watch a program of Adam and name the mistakes it makes.

    Parameters
    ----------
    make : function
        ``make(lr=..., beta1=..., beta2=..., eps=...)`` returns ``step``, and
        ``step(theta, gradient)`` returns the parameters after one step, or changes
        ``theta`` in place and returns None. Arrays have one dimension and are float64.
        If ``make`` has a parameter ``weight_decay``, the decay is checked too.
        :func:`~adam_tutorial.checking.from_torch` and
        :func:`~adam_tutorial.checking.from_rule` make such a function from other
        kinds of program.
    rule : {"Adam", "AdamW", "AMSGrad"}
        What the program is meant to be. For ``"AdamW"`` an L2 penalty is a mistake;
        otherwise what ``weight_decay`` does is a remark.

    Returns
    -------
    Report
        ``str(report)`` is for reading, ``report.ok`` for tests.

    Raises
    ------
    ValueError
        ``rule`` is unknown, ``step`` changes the shape of ``theta``, or ``"AdamW"`` is
        asked for and ``make`` has no ``weight_decay``.
    TypeError
        ``make`` does not take the four settings by name.

    Notes
    -----
    A program may compute in float32: steps are compared to five digits. A mistake that
    changes less is not seen, and neither is one that shows only after the tenth step.
    At most three mistakes at once are tried.

    Examples
    --------
    >>> from adam_tutorial.checking import plain_adam
    >>> def forgetful(lr, beta1, beta2, eps):
    ...     def step(theta, gradient):
    ...         return plain_adam(lr, beta1, beta2, eps)(theta, gradient)
    ...
    ...     return step
    >>> print(check_optimizer(forgetful))
    1 mistake; otherwise it agrees with Algorithm 1
    mistake: state forgotten between calls
      seen:  every step is a first step
      right: t, m and v live longer than one call
      topic: state
    """
    if rule not in RIGHT:
        raise ValueError(f"rule must be one of {sorted(RIGHT)}, got {rule!r}")
    decays = takes_weight_decay(make)
    if rule == "AdamW" and not decays:
        raise ValueError(
            "make must have a parameter weight_decay to be checked as AdamW"
        )
    probe = Probe(make, decays)
    first = probe.watch(NUMBERS)
    again = probe.watch(NUMBERS)
    # A state that outlives its program spoils what is watched later: only the first
    # trace counts.
    leaks = not equal(first, again)
    traces = [first] if leaks else [first, probe.watch(SMALL), probe.watch(ZEROS)]
    shared = leaks or not equal(first, probe.watch_beside_another(NUMBERS))
    keeps_gradient = not leaks and not equal(
        first, probe.watch(NUMBERS, reuse_gradient=True)
    )

    explanation = explain(traces, rule)
    findings: list[Finding] = []
    remarks: list[Finding] = []
    difference = None
    if shared:
        findings.append(SHARED)
    if keeps_gradient:
        findings.append(KEEPS_GRADIENT)
    if explanation is not None:
        findings += explanation.findings
    elif not leaks:
        difference, finding = _unknown(traces, rule)
        findings.append(finding)
    if decays and explanation is not None and not leaks:
        decay = _check_decay(probe, explanation.behaviour, rule)
        if decay is not None:
            kind, finding = decay
            (findings if kind == "mistake" else remarks).append(finding)
    if probe.gradient_was_changed:
        findings.append(CHANGES_GRADIENT)
    if probe.theta_was_changed:
        remarks.append(CHANGES_THETA)
    if not leaks and np.isfinite(traces[-1].moves).all():
        fails = probe.fails_in_float16()
        reasons = [FLOAT16[name] for name in fails if name in FLOAT16]
        if reasons:
            remarks.append(_float16(reasons))
    verdict = _verdict(findings, explanation, rule)
    return Report(verdict, tuple(findings), tuple(remarks), difference)


def _float16(reasons: Sequence[str]) -> Finding:
    """Return the remark about numbers that half precision cannot represent."""
    return Finding(
        "eps in float16",
        f"{'; '.join(reasons)}; float32 moments help",
        "compute the moments and the division in float32",
        "half-precision",
    )


def _unknown(traces: Sequence[Trace], rule: str) -> tuple[Difference, Finding]:
    """Return the first wrong step of a program whose steps nothing explains."""
    difference = next(
        found for trace in traces if (found := _difference(trace, rule)) is not None
    )
    ordinary = difference.settings == traces[0].inputs.settings
    where = "" if ordinary else "only where gradients are zero or as small as eps: "
    given = ", ".join(
        f"{name}={value:g}" for name, value in difference.settings.items()
    )
    return difference, Finding(
        UNKNOWN,
        f"{where}at step {len(difference.gradients)} it moves by"
        f" {difference.moved.round(4)} instead of {difference.right.round(4)}; the"
        f" gradient is {difference.gradients[-1].round(4)}, with {given}",
        "m and v as averages, corrected for their start at zero; then theta - lr *"
        " m_hat / (sqrt(v_hat) + eps)",
        "algorithm-1",
    )


def _difference(trace: Trace, rule: str) -> Difference | None:
    """Return the first step that is not that of the rule."""
    inputs = trace.inputs
    step = imitate(next(iter(RIGHT[rule].values())), **inputs.settings)
    for k, moved in enumerate(trace.moves):
        right = step(inputs.thetas[k], inputs.gradients[k]) - inputs.thetas[k]
        if not agree(right, moved).all():
            given = inputs.gradients[: k + 1], inputs.thetas[: k + 1]
            return Difference(dict(inputs.settings), *given, moved, right)
    return None


def _check_decay(
    probe: Probe, behaviour: Behaviour, rule: str
) -> tuple[str, Finding] | None:
    """Return "mistake" or "remark", and what the weight decay does."""
    kinds = list(DECAYS)
    behaviours = Behaviours.of([replace(behaviour, decay=kind) for kind in kinds])
    does = [kinds[k] for k in consistent(behaviours, [probe.watch(DECAYING)])]
    if len(does) > 1:  # other mistakes hide it
        return None
    right = "decoupled: theta - lr * weight_decay * theta, beside the step of Adam"
    if not does:
        name, seen = "weight decay of no known kind", "it is none of the known kinds"
        return "mistake", Finding(name, seen, right, "weight-decay")
    (kind,) = does
    allowed = {"lr * decay", "decay"} | ({"penalty"} if rule != "AdamW" else set())
    if kind in allowed:
        name = "weight decay"
        return "remark", Finding(name, DECAYS[kind], right, "weight-decay")
    name = DECAY_MISTAKES[kind]
    return "mistake", Finding(name, DECAYS[kind], right, "weight-decay")


def _verdict(
    findings: Sequence[Finding], explanation: Explanation | None, rule: str
) -> str:
    if not findings and explanation is not None:
        return f"agrees with {explanation.name}"
    known = [finding for finding in findings if finding.name != UNKNOWN]
    count = "1 mistake" if len(known) == 1 else f"{len(known)} mistakes"
    if explanation is not None:
        return f"{count}; otherwise it agrees with {explanation.name}"
    name = "AMSGrad" if rule == "AMSGrad" else "Algorithm 1"
    unlike = f"does not agree with {name}"
    if len(known) == len(findings):  # what a leaking state hides is not looked for
        return f"{count}; it {unlike}"
    unlike += "; no known mistake explains it"
    return f"{count}; otherwise it {unlike}" if known else unlike
