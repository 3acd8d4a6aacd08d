"""Watch a program, explain its steps, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adam_tutorial.checking.decay import check_decay
from adam_tutorial.checking.explanation import RIGHT, Explanation
from adam_tutorial.checking.failures import broken, cause, no_numbers, standstill
from adam_tutorial.checking.handed import as_program
from adam_tutorial.checking.identification import (
    RULE_NAMES,
    identify,
    right_programs,
)
from adam_tutorial.checking.inputs import NUMBERS, RISING, SMALL, USUAL, ZEROS
from adam_tutorial.checking.probes import Probe, Trace, equal
from adam_tutorial.checking.programs import SETTINGS
from adam_tutorial.checking.report import UNKNOWN, Finding, Report
from adam_tutorial.checking.scope import (
    SHARED,
    Shapes,
    check_beside_another,
    check_groups,
    check_shapes,
)
from adam_tutorial.checking.unknown import describe

__all__ = ["check_optimizer"]

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
RANDOM = Finding(
    "steps that do not repeat",
    "new programs with the same settings and gradients take other steps each time, and"
    " the difference does not die away: they are random, or state outlives a program",
    "the same gradients give the same steps",
    "state",
)
TRAINS = Finding(
    "training mode",
    "it has a method train(), which was called before the first step, as in training",
    "call train() before training and eval() before evaluating",
    "settings",
)
ALGORITHM = (
    "m and v as averages, corrected for their start at zero; then theta - lr * m_hat /"
    " (sqrt(v_hat) + eps)"
)
VECTOR = "a vector of 4 entries"
FLOAT16 = {
    "zero": "a gradient of zero gives 0/0, because 1e-8 is rounded to zero",
    "small": (
        "theta becomes infinite for gradients below about 5e-3, because "
        "(1 - beta2) * g**2 is rounded to zero and m is not"
    ),
}


def check_optimizer(make: Any, *, rule: str = "Adam") -> Report:
    """Watch a program of Adam and name the mistakes it makes.

    Parameters
    ----------
    make : function, class or optimizer
        ``make(lr=..., beta1=..., beta2=..., eps=...)`` returns ``step``, and
        ``step(theta, gradient)`` returns the parameters after one step, or changes
        ``theta`` in place and returns None; or it returns an object with such a method
        ``step`` or ``update``. Arrays are float64, of any shape. If ``make`` has a
        parameter ``weight_decay``, the decay is checked too.
        A class of PyTorch optimizers is taken as by
        :func:`~adam_tutorial.checking.from_torch`, a rule of ``reference`` as by
        :func:`~adam_tutorial.checking.from_rule`. Of an optimizer, only its class and
        its defaults are used; it is not changed.
    rule : str
        What the program is meant to be: ``"Adam"``, ``"AdamW"``, ``"AMSGrad"``, or
        another that the checker knows, such as ``"RAdam"``. For ``"AdamW"`` an L2
        penalty is a mistake; otherwise what ``weight_decay`` does is a remark.

    Returns
    -------
    Report
        ``str(report)`` is for reading, ``report.ok`` for tests. A step that returns
        nothing, no number, or raises an error is a finding.

    Raises
    ------
    ValueError
        ``rule`` is unknown, or ``"AdamW"`` is asked for and ``make`` has no
        ``weight_decay``.
    TypeError
        ``make`` is nothing that makes steps, or does not take the four settings by
        name.

    Notes
    -----
    A program may compute in float32: steps are compared to five digits. A mistake that
    changes less is not seen, and neither is one that shows only after the fortieth
    step. At most three mistakes at once are tried.

    Examples
    --------
    >>> from adam_tutorial.checking import plain_adam
    >>> def forgetful(lr, beta1, beta2, eps):
    ...     def step(theta, gradient):
    ...         return plain_adam(lr, beta1, beta2, eps)(theta, gradient)
    ...
    ...     return step
    >>> report = check_optimizer(forgetful)
    >>> report.verdict
    '1 mistake; otherwise it agrees with Algorithm 1'
    >>> report.findings[0].name, report.findings[0].seen
    ('state forgotten between calls', 'every step is a first step')
    """
    if rule not in RULE_NAMES:
        raise ValueError(f"rule must be one of {sorted(RULE_NAMES)}, got {rule!r}")
    probe = Probe(as_program(make))
    if rule == "AdamW" and not probe.decays:
        raise ValueError(
            "make must have a parameter weight_decay to be checked as AdamW"
        )
    first = probe.watch(NUMBERS)
    stopped = broken(first) or standstill(first)
    if stopped is not None:
        verdict = f"does not agree with {_short(rule)}: {stopped.name}"
        return Report(verdict, (stopped,), _remarks(probe), None, *_looked_at(probe))
    again = probe.watch(NUMBERS)
    # A state that outlives its program spoils what is watched later: only the first
    # trace counts.
    if not equal(first, again):
        return _leaking(probe, first, again, rule)
    return _report(probe, first, rule)


def _report(probe: Probe, first: Trace, rule: str) -> Report:
    """Return the report on a program whose steps repeat."""
    traces, findings = [first], list[Finding]()
    for inputs, where in (
        (RISING, ""),
        (SMALL, "where gradients are as small as eps, "),
        (ZEROS, "where some gradients are zero, "),
    ):
        trace = probe.watch(inputs)
        if trace.failure is not None and len(trace.moves) < len(inputs.gradients):
            found = cause(trace.failure, inputs.settings)
            findings.append(replace(found, seen=f"{where}{found.seen}"))
        if len(trace.moves):
            traces.append(trace)
    beside, of_groups = check_beside_another(probe, first), None
    if beside is not None:
        findings.append(beside)
    elif probe.has_groups:
        of_groups = check_groups(probe)
        findings += of_groups or ()
    if not equal(first, probe.watch(NUMBERS, reuse_gradient=True)):
        findings.append(KEEPS_GRADIENT)
    explanation = identify(probe, traces, rule)
    difference = None
    remarks: list[Finding] = []
    if explanation is None:
        name, start = next(iter(right_programs(rule).items()))
        ended = filter(None, map(no_numbers, traces[:2]))
        ends = next((found for found in ended if found not in findings), None)
        difference, finding, measured = describe(
            probe, traces, start, ALGORITHM if rule in RIGHT else f"the steps of {name}"
        )
        findings.append(ends or finding)
        remarks += measured
    else:
        findings += explanation.findings
    shapes = check_shapes(probe, explanation)
    findings += shapes.findings
    if probe.decays and explanation is not None:
        decay = check_decay(probe, explanation, rule, alike=not shapes.findings)
        if decay is not None:
            kind, finding = decay
            (findings if kind == "mistake" else remarks).append(finding)
    if probe.gradient_was_changed:
        findings.append(CHANGES_GRADIENT)
    remarks += _remarks(probe)
    if np.isfinite(traces[-1].moves).all():
        reasons = [FLOAT16[its] for its in probe.fails_in_float16() if its in FLOAT16]
        if reasons:
            remarks.append(_float16(reasons))
    return Report(
        _verdict(findings, explanation, rule),
        tuple(findings),
        tuple(remarks),
        difference,
        *_looked_at(probe, shapes, groups=of_groups is not None),
    )


def _leaking(probe: Probe, first: Trace, again: Trace, rule: str) -> Report:
    """Return the report on a program that takes other steps the second time."""
    explanation = identify(probe, [first], rule)
    runs = [again, *(probe.watch(NUMBERS) for _ in range(6))]
    apart = [
        float(np.abs(a.moves - b.moves).max())
        for a, b in ((first, again), (runs[-2], runs[-1]))
        if a.moves.shape == b.moves.shape
    ]
    # What a state has kept fades, as gradients repeat; chance does not.
    random = explanation is None and len(apart) == 2 and apart[1] > apart[0] / 3
    findings = [RANDOM if random else SHARED]
    if explanation is not None:
        findings += explanation.findings
    if probe.gradient_was_changed:
        findings.append(CHANGES_GRADIENT)
    verdict = _verdict(findings, explanation, rule)
    return Report(verdict, tuple(findings), _remarks(probe), None, *_looked_at(probe))


def _remarks(probe: Probe) -> tuple[Finding, ...]:
    """Return what a program takes and does that is not a matter of right or wrong."""
    remarks = []
    if probe.theta_was_changed:
        remarks.append(CHANGES_THETA)
    missing = [name for name in SETTINGS if name not in probe.program.takes]
    if missing:
        seen = (
            f"it takes no {' and no '.join(missing)}; it was compared at"
            f" {', '.join(f'{name}={USUAL[name]:g}' for name in missing)}"
        )
        right = "Adam has lr, beta1, beta2 and eps"
        remarks.append(Finding("settings that it lacks", seen, right, "settings"))
    if getattr(probe.program, "trains", False):
        remarks.append(TRAINS)
    return tuple(remarks)


def _float16(reasons: Sequence[str]) -> Finding:
    """Return the remark about numbers that half precision cannot represent."""
    return Finding(
        "eps in float16",
        f"{'; '.join(reasons)}; float32 moments help",
        "compute the moments and the division in float32",
        "half-precision",
    )


def _looked_at(
    probe: Probe, shapes: Shapes | None = None, *, groups: bool = False
) -> tuple[str, str]:
    """Return what was looked at, and what was not."""
    if shapes is None:
        return f"10 steps of {VECTOR}", "everything else"
    names = ", ".join(str(shape).replace(",)", ")") for shape in shapes.tried)
    tried = f"tensors of the shapes {names}" if len(shapes.tried) > 1 else VECTOR
    refused = [*shapes.refused, "later steps", "training in low precision"]
    if groups:
        beside = "1 to 3 parameters, 1 and 2 groups"
    elif probe.has_groups:
        beside = "two parameters side by side"
        refused.append("groups")
    else:
        beside = "two programs side by side"
        refused.append("several parameters in one program")
    return f"up to 40 steps; {tried}; {beside}", "; ".join(refused)


def _short(rule: str) -> str:
    return "Algorithm 1" if rule in ("Adam", "AdamW") else rule


def _verdict(
    findings: Sequence[Finding], explanation: Explanation | None, rule: str
) -> str:
    if not findings and explanation is not None:
        return f"agrees with {explanation.name}"
    known = [finding for finding in findings if finding.name != UNKNOWN]
    other = [its for its in known if its.name.startswith("another rule")]
    known = [its for its in known if its not in other]
    counts = [
        f"{number} {kind}{'' if number == 1 else 's'}"
        for kind in ("mistake", "difference")
        if (number := sum(finding.kind == kind for finding in known))
    ]
    count = " and ".join(counts)
    if other:
        assert explanation is not None
        this = f"this is {explanation.name}, not {rule}"
        return f"{this}; {count}" if count else this
    if explanation is not None:
        return f"{count}; otherwise it agrees with {explanation.name}"
    unlike = f"does not agree with {_short(rule)}"
    if len(known) == len(findings):  # what a leaking state hides is not looked for
        return f"{count}; it {unlike}"
    unlike += "; no known mistake explains it"
    return f"{count}; otherwise it {unlike}" if known else unlike
