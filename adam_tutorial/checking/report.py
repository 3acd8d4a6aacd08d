"""From what was seen to the mistakes behind it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from adam_tutorial.checking.behaviour import Behaviour, imitate
from adam_tutorial.checking.mistakes import DECAY, DECAYS, MISTAKES, NO_MAXIMUM, Mistake
from adam_tutorial.checking.probes import DECAYING, NUMBERS, SMALL, ZEROS, Look, Probe, equal, same
from adam_tutorial.checking.programs import Make, takes_weight_decay

__all__ = ["Finding", "Report", "check_optimizer"]


@dataclass(frozen=True)
class Finding:
    """One thing that was found out about a program.

    Parameters
    ----------
    name, seen, right : str
        What it is called, what the program does, and what would be right.
    chapter : str
        Where the book explains it.
    """

    name: str
    seen: str
    right: str
    chapter: str


@dataclass(frozen=True)
class Report:
    """What was found out about a program.

    Parameters
    ----------
    verdict : str
        One sentence.
    findings : tuple of Finding
        The mistakes; empty if there are none.
    remarks : tuple of Finding
        What is no mistake but good to know.
    """

    verdict: str
    findings: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no mistake was found."""
        return not self.findings

    def __str__(self) -> str:
        lines = [self.verdict]
        for finding in self.findings:
            lines += [
                f"mistake: {finding.name}",
                f"  seen:  {finding.seen}",
                f"  right: {finding.right}",
                f"  read:  chapter {finding.chapter}",
            ]
        lines += [f"remark: {remark.name}: {remark.seen}" for remark in self.remarks]
        return "\n".join(textwrap.fill(line, 76, subsequent_indent="         ") for line in lines)


# What each rule may be, and how a program that is right is called.
RIGHT: dict[str, dict[str, Behaviour]] = {
    "Adam": {
        "Algorithm 1": Behaviour(),
        "the efficient order (ε̂)": Behaviour(eps="root of v"),
    },
    "AMSGrad": {
        f"AMSGrad, {which}": Behaviour(
            maximum=maximum, correct_m=correct, correct_v=correct, eps=eps
        )
        for maximum, correct, eps, which in (
            (
                "v",
                "right",
                "root of v_hat",
                "with the maximum of v, corrected afterwards (PyTorch)",
            ),
            ("v_hat", "right", "root of v_hat", "with the maximum of the corrected v_hat (Optax)"),
            ("v", "right", "root of v", "with the maximum of v and ε̂ beside its root (Keras)"),
            ("v", "missing", "root of v_hat", "without bias correction (as in its paper)"),
        )
    },
}
RIGHT["AdamW"] = {f"AdamW: decay beside {name}": its for name, its in RIGHT["Adam"].items()}


def check_optimizer(make: Make, *, rule: str = "Adam") -> Report:
    """Watch a program of Adam and name the mistakes that it makes.

    Parameters
    ----------
    make : function
        ``make(lr=..., beta1=..., beta2=..., eps=...)`` returns ``step``, and
        ``step(theta, gradient)`` returns the parameters after one step, or changes ``theta`` in
        place and returns None. Arrays have one dimension and are float64. If ``make`` has a
        parameter ``weight_decay``, the decay is looked at too. What is written otherwise becomes
        such a function by :func:`~adam_tutorial.checking.from_torch` or
        :func:`~adam_tutorial.checking.from_rule`.
    rule : {"Adam", "AdamW", "AMSGrad"}
        What the program is meant to be. For ``"AdamW"`` an L2 penalty is a mistake; otherwise what
        ``weight_decay`` does is a remark.

    Returns
    -------
    Report
        ``str(report)`` is for reading, ``report.ok`` for tests.

    Raises
    ------
    ValueError
        ``rule`` is unknown, ``step`` returns another shape than that of ``theta``, or ``"AdamW"``
        is asked for and ``make`` has no ``weight_decay``.
    TypeError
        ``make`` does not take the four settings by name.

    Notes
    -----
    A program may compute in float32: steps are compared to five digits. What a mistake changes by
    less is not seen, and neither is what shows only after more than a dozen steps.

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
      read:  chapter 9. Adam in NumPy
    """
    if rule not in RIGHT:
        raise ValueError(f"rule must be one of {sorted(RIGHT)}, got {rule!r}")
    decays = takes_weight_decay(make)
    if rule == "AdamW" and not decays:
        raise ValueError("make must have a parameter weight_decay to be checked as AdamW")
    run = Probe(make, decays)
    first = run.watch(NUMBERS)
    again = run.watch(NUMBERS)
    # A state that outlives its program spoils what is watched later: only the first look counts.
    leaks = not equal(first, again)
    looks = [first] if leaks else [first, run.watch(SMALL), run.watch(ZEROS)]
    shared = leaks or not equal(first, run.watch_beside_another(NUMBERS))
    keeps_gradient = not leaks and not equal(first, run.watch(NUMBERS, reuse_gradient=True))

    found = _explain(looks, rule)
    findings: list[Finding] = []
    remarks: list[Finding] = []
    if shared:
        findings.append(SHARED)
    if keeps_gradient:
        findings.append(KEEPS_GRADIENT)
    if found is not None:
        findings += found.findings
    elif not leaks:
        findings.append(_unknown(first, rule))
    if decays and found is not None and not leaks:
        decay = _look_at_decay(run, found.behaviour, rule)
        if decay is not None:
            kind, finding = decay
            (findings if kind == "mistake" else remarks).append(finding)
    if run.gradient_was_changed:
        findings.append(CHANGES_GRADIENT)
    if run.theta_was_changed:
        remarks.append(CHANGES_THETA)
    if not leaks and np.isfinite(looks[-1].moves).all() and not run.survives_float16():
        remarks.append(FLOAT16)
    return Report(_verdict(findings, found), tuple(findings), tuple(remarks))


SHARED = Finding(
    "state shared",
    "what happens to one parameter changes the steps of another",
    "each parameter has its own t, m and v (or one t that counts steps, not parameters)",
    "9. Adam in NumPy",
)
CHANGES_GRADIENT = Finding(
    "gradient changed in place",
    "after the step, the array with the gradient holds other numbers",
    "the gradient belongs to the caller: compute with a copy",
    "9. Adam in NumPy",
)
KEEPS_GRADIENT = Finding(
    "gradient kept by reference",
    "when the caller writes the next gradient into the same array, the state changes with it",
    "store a copy, not the array that was handed in",
    "9. Adam in NumPy",
)
CHANGES_THETA = Finding(
    "theta in place",
    "a step changes the array that it is given; copy it before you keep it",
    "either way is right",
    "9. Adam in NumPy",
)
FLOAT16 = Finding(
    "eps in float16",
    "a gradient of zero gives 0/0 there, because 1e-8 is rounded to zero; a larger eps or float32 "
    "moments help",
    "compute the moments and the division in float32",
    "12. Myths and mistakes",
)


def _explains(behaviour: Behaviour, look: Look) -> bool:
    """Return whether a program that behaves so would move like this."""
    step = imitate(behaviour, **look.questions.settings)
    shown = zip(look.questions.thetas, look.questions.gradients, look.moves, strict=False)
    return all(same(step(theta, gradient) - theta, move) for theta, gradient, move in shown)


@dataclass(frozen=True)
class _Explanation:
    name: str
    behaviour: Behaviour
    findings: tuple[Finding, ...]


def _explain(looks: Sequence[Look], rule: str) -> _Explanation | None:
    """Return the fewest mistakes that explain what was seen; None if three do not."""
    mistakes = [m for m in MISTAKES if rule != "AMSGrad" or "maximum" not in m.name]
    if rule == "AMSGrad":
        mistakes.append(NO_MAXIMUM)
    for number in range(4):
        found: dict[frozenset[str], _Explanation] = {}
        for explanation in _explanations(rule, mistakes, number):
            if all(_explains(explanation.behaviour, look) for look in looks):
                names = frozenset(finding.name for finding in explanation.findings)
                found.setdefault(names, explanation)
        if found:
            return next(iter(found.values())) if len(found) == 1 else _undecided(found.values())
    return None


def _explanations(rule: str, mistakes: Sequence[Mistake], number: int) -> Iterator[_Explanation]:
    """Yield every way to be right but for so many mistakes."""
    forms = [(m, seen, changes) for m in mistakes for seen, changes in m.forms.items()]
    for name, right in RIGHT[rule].items():
        for chosen in combinations(forms, number):
            changes: dict[str, Any] = {}
            for _, _, its in chosen:
                changes |= its
            if len(changes) < sum(len(its) for _, _, its in chosen):
                continue  # two of them change the same line
            yield _Explanation(
                name,
                replace(right, **changes),
                tuple(Finding(m.name, seen, m.right, m.chapter) for m, seen, _ in chosen),
            )


def _undecided(explanations: Iterable[_Explanation]) -> _Explanation:
    """Return one finding that names all explanations that are equally good."""
    every = list(explanations)
    names = [" and ".join(finding.name for finding in one.findings) for one in every]
    finding = Finding(
        ", or ".join(names),
        "each of these would take the same steps",
        "; or ".join(finding.right for one in every for finding in one.findings),
        every[0].findings[0].chapter,
    )
    return replace(every[0], findings=(finding,))


def _unknown(look: Look, rule: str) -> Finding:
    """Return where a program that nothing explains first leaves the right path."""
    behaviour = next(iter(RIGHT[rule].values()))
    step = imitate(behaviour, **look.questions.settings)
    where = "it parts from Algorithm 1 only where gradients are zero or as small as eps"
    for k, move in enumerate(look.moves):
        theta, g = look.questions.thetas[k], look.questions.gradients[k]
        right = step(theta, g) - theta
        if not same(right, move):
            where = f"at step {k + 1} it moves by {move.round(4)}, and right is {right.round(4)}"
            break
    return Finding(
        "not a known mistake",
        f"{where}; no known mistake, nor three of them together, explains it",
        "m and v as averages, corrected for their start at zero; then theta - lr * m_hat / "
        "(sqrt(v_hat) + eps)",
        "9. Adam in NumPy",
    )


def _look_at_decay(run: Probe, behaviour: Behaviour, rule: str) -> tuple[str, Finding] | None:
    """Return whether what the weight decay does is a "mistake" or a "remark", and what it does."""
    look = run.watch(DECAYING)
    does = [how for how in DECAYS if _explains(replace(behaviour, decay=how), look)]
    if len(does) > 1:  # other mistakes hide it
        return None
    right = "decoupled: theta - lr * weight_decay * theta, beside the step of Adam"
    if not does:
        return "mistake", Finding("weight decay", "it does none of what is known", right, DECAY)
    (how,) = does
    allowed = {"lr * decay", "decay"} | ({"penalty"} if rule != "AdamW" else set())
    kind = "remark" if how in allowed else "mistake"
    return kind, Finding("weight decay", DECAYS[how], right, DECAY)


def _verdict(findings: Sequence[Finding], found: _Explanation | None) -> str:
    if not findings and found is not None:
        return f"agrees with {found.name}"
    count = "1 mistake" if len(findings) == 1 else f"{len(findings)} mistakes"
    if found is None:
        return f"{count}; it does not agree with Algorithm 1"
    return f"{count}; otherwise it agrees with {found.name}"
