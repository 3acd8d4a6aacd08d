"""From what was seen to the mistakes behind it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adam_tutorial.checking.behaviour import (
    Behaviour,
    Behaviours,
    imitate,
    imitate_all,
)
from adam_tutorial.checking.mistakes import (
    DECAY,
    DECAY_MISTAKES,
    DECAYS,
    IN_NUMPY,
    MISTAKES,
    MYTHS,
    NO_MAXIMUM,
)
from adam_tutorial.checking.probes import (
    DECAYING,
    NUMBERS,
    SMALL,
    ZEROS,
    Look,
    Probe,
    close,
    equal,
    same,
)
from adam_tutorial.checking.programs import Make, takes_weight_decay

__all__ = ["Difference", "Finding", "Report", "check_optimizer"]

Array = NDArray[np.float64]


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


@dataclass(frozen=True, eq=False)
class Difference:
    """Where a program that nothing explains first leaves the right path.

    Parameters
    ----------
    settings : dict
        What the program was made with: lr, beta1, beta2 and eps.
    gradients, thetas : array of shape (t, 4)
        What it was shown at steps 1 to t; the difference is at step t.
    moved, right : array of shape (4,)
        How far it moved at step t, and how far Algorithm 1 moves.
    """

    settings: dict[str, float]
    gradients: Array
    thetas: Array
    moved: Array
    right: Array


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
    difference : Difference, optional
        What to run again if no known mistake explains the steps.
    """

    verdict: str
    findings: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()
    difference: Difference | None = None

    @property
    def ok(self) -> bool:
        """Whether no mistake was found."""
        return not self.findings

    def __str__(self) -> str:
        lines = [self.verdict]
        for finding in self.findings:
            lines += [
                (
                    f"{'difference' if finding.name == UNKNOWN else 'mistake'}:"
                    f" {finding.name}"
                ),
                f"  seen:  {finding.seen}",
                f"  right: {finding.right}",
                f"  read:  chapter {finding.chapter}",
            ]
        lines += [f"remark: {remark.name}: {remark.seen}" for remark in self.remarks]
        return "\n".join(
            textwrap.fill(line, 76, subsequent_indent="         ") for line in lines
        )


UNKNOWN = "not a known mistake"

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
            (
                "v_hat",
                "right",
                "root of v_hat",
                "with the maximum of the corrected v_hat (Optax)",
            ),
            (
                "v",
                "right",
                "root of v",
                "with the maximum of v and ε̂ beside its root (Keras)",
            ),
            (
                "v",
                "missing",
                "root of v_hat",
                "without bias correction (as in its paper)",
            ),
        )
    },
}
RIGHT["AdamW"] = {
    f"AdamW: decay beside {name}": its for name, its in RIGHT["Adam"].items()
}


def check_optimizer(make: Make, *, rule: str = "Adam") -> Report:
    """Watch a program of Adam and name the mistakes that it makes.

    Parameters
    ----------
    make : function
        ``make(lr=..., beta1=..., beta2=..., eps=...)`` returns ``step``, and
        ``step(theta, gradient)`` returns the parameters after one step, or changes ``theta`` in
        place and returns None. Arrays have one dimension and are float64. If ``make``
        has a parameter ``weight_decay``, the decay is looked at too. What is written
        otherwise becomes such a function by :func:`~adam_tutorial.checking.from_torch`
        or :func:`~adam_tutorial.checking.from_rule`.
    rule : {"Adam", "AdamW", "AMSGrad"}
        What the program is meant to be. For ``"AdamW"`` an L2 penalty is a mistake;
        otherwise what
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
    A program may compute in float32: steps are compared to five digits. What a mistake
    changes by less is not seen, and neither is what shows only after the tenth step. No
    more than three mistakes at once are tried.

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
        raise ValueError(
            "make must have a parameter weight_decay to be checked as AdamW"
        )
    run = Probe(make, decays)
    first = run.watch(NUMBERS)
    again = run.watch(NUMBERS)
    # A state that outlives its program spoils what is watched later: only the first
    # look counts.
    leaks = not equal(first, again)
    looks = [first] if leaks else [first, run.watch(SMALL), run.watch(ZEROS)]
    shared = leaks or not equal(first, run.watch_beside_another(NUMBERS))
    keeps_gradient = not leaks and not equal(
        first, run.watch(NUMBERS, reuse_gradient=True)
    )

    found = _explain(looks, rule)
    findings: list[Finding] = []
    remarks: list[Finding] = []
    difference = None
    if shared:
        findings.append(SHARED)
    if keeps_gradient:
        findings.append(KEEPS_GRADIENT)
    if found is not None:
        findings += found.findings
    elif not leaks:
        difference, finding = _unknown(looks, rule)
        findings.append(finding)
    if decays and found is not None and not leaks:
        decay = _look_at_decay(run, found.behaviour, rule)
        if decay is not None:
            kind, finding = decay
            (findings if kind == "mistake" else remarks).append(finding)
    if run.gradient_was_changed:
        findings.append(CHANGES_GRADIENT)
    if run.theta_was_changed:
        remarks.append(CHANGES_THETA)
    if not leaks and np.isfinite(looks[-1].moves).all():
        reasons = [FLOAT16[name] for name in run.fails_in_float16() if name in FLOAT16]
        if reasons:
            remarks.append(_float16(reasons))
    verdict = _verdict(findings, found, rule)
    return Report(verdict, tuple(findings), tuple(remarks), difference)


SHARED = Finding(
    "state shared",
    "what happens to one parameter changes the steps of another",
    "each parameter has its own t, m and v (or one t that counts steps, not"
    " parameters)",
    IN_NUMPY,
)
CHANGES_GRADIENT = Finding(
    "gradient changed in place",
    "after the step, the array with the gradient holds other numbers",
    "the gradient belongs to the caller: compute with a copy",
    IN_NUMPY,
)
KEEPS_GRADIENT = Finding(
    "gradient kept by reference",
    "when the caller writes the next gradient into the same array, the state changes"
    " with it",
    "store a copy, not the array that was handed in",
    IN_NUMPY,
)
CHANGES_THETA = Finding(
    "theta in place",
    "a step changes the array that it is given; copy it before you keep it",
    "either way is right",
    IN_NUMPY,
)
FLOAT16 = {
    "zero": "a gradient of zero gives 0/0, because 1e-8 is rounded to zero",
    "small": (
        "theta becomes infinite for gradients below about 5e-3, because "
        "(1 - beta2) * g**2 is rounded to zero and m is not"
    ),
}


def _float16(reasons: Sequence[str]) -> Finding:
    """Return the remark about numbers that half precision does not know."""
    return Finding(
        "eps in float16",
        f"{'; '.join(reasons)}; float32 moments help",
        "compute the moments and the division in float32",
        MYTHS,
    )


def _explaining(behaviours: Behaviours, looks: Sequence[Look]) -> NDArray[np.intp]:
    """Return the numbers of the behaviours that would move as was seen.

    The first step refutes nearly all of them; only what is left walks on.
    """
    first = looks[0]
    left = np.arange(len(behaviours))
    for look in (replace(first, moves=first.moves[:1]), *looks):
        if len(left):
            left = left[_would_move_like(behaviours.take(left), look)]
    return left


def _would_move_like(behaviours: Behaviours, look: Look) -> NDArray[np.bool_]:
    """Return for each behaviour whether it would move like this."""
    step = imitate_all(behaviours, **look.questions.settings)
    alike = np.full(len(behaviours), True)
    for theta, gradient, move in zip(
        look.questions.thetas, look.questions.gradients, look.moves, strict=False
    ):
        would = step(theta, gradient) - theta[:, None]
        alike &= close(would, move[:, None]).all(axis=0)
    return alike


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
    forms = [
        (Finding(m.name, seen, m.right, m.chapter), changes)
        for m in mistakes
        for seen, changes in m.forms.items()
    ]
    for number in range(4):
        found: dict[frozenset[str], _Explanation] = {}
        chosen = _combined([changes for _, changes in forms], number)
        for name, right in RIGHT[rule].items():
            behaviours = _changed(right, [changes for _, changes in forms], chosen)
            for k in _explaining(behaviours, looks):
                findings = tuple(forms[form][0] for form in chosen[k])
                names = frozenset(finding.name for finding in findings)
                found.setdefault(names, _Explanation(name, behaviours[k], findings))
        if found:
            return (
                next(iter(found.values()))
                if len(found) == 1
                else _undecided(found.values())
            )
    return None


def _combined(forms: Sequence[Mapping[str, Any]], number: int) -> NDArray[np.intp]:
    """Return all combinations of so many forms that change different lines.

    Shape (n, number): the places of the forms in the sequence.
    """
    apart = np.array([[not a.keys() & b.keys() for a in forms] for b in forms])
    chosen = np.array(list(combinations(range(len(forms)), number)), dtype=np.intp)
    possible = np.full(len(chosen), True)
    for i, j in combinations(range(number), 2):
        possible &= apart[chosen[:, i], chosen[:, j]]
    possible_ones: NDArray[np.intp] = chosen[possible]
    return possible_ones


def _changed(
    right: Behaviour, forms: Sequence[Mapping[str, Any]], chosen: NDArray[np.intp]
) -> Behaviours:
    """Return what is right with the changes of the chosen forms, shape (n, number)."""
    having = {
        name: {value: np.full(len(chosen), True)} for name, value in vars(right).items()
    }
    for k, changes in enumerate(forms):
        has = (chosen == k).any(axis=1)
        for name, value in changes.items():
            for others in having[name].values():
                others &= ~has
            having[name][value] = having[name].get(value, False) | has
    return Behaviours(having)


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


def _unknown(looks: Sequence[Look], rule: str) -> tuple[Difference, Finding]:
    """Return where a program that nothing explains first leaves the right path."""
    difference = next(
        found for look in looks if (found := _difference(look, rule)) is not None
    )
    ordinary = difference.settings == looks[0].questions.settings
    where = "" if ordinary else "only where gradients are zero or as small as eps: "
    given = ", ".join(
        f"{name}={value:g}" for name, value in difference.settings.items()
    )
    return difference, Finding(
        UNKNOWN,
        f"{where}at step {len(difference.gradients)} it moves by"
        f" {difference.moved.round(4)}, and right is {difference.right.round(4)}; the"
        f" gradient is {difference.gradients[-1].round(4)}, with {given}",
        "m and v as averages, corrected for their start at zero; then theta - lr *"
        " m_hat / (sqrt(v_hat) + eps)",
        IN_NUMPY,
    )


def _difference(look: Look, rule: str) -> Difference | None:
    """Return the first step that is not that of the rule."""
    asked = look.questions
    step = imitate(next(iter(RIGHT[rule].values())), **asked.settings)
    for k, moved in enumerate(look.moves):
        right = step(asked.thetas[k], asked.gradients[k]) - asked.thetas[k]
        if not same(right, moved):
            shown = asked.gradients[: k + 1], asked.thetas[: k + 1]
            return Difference(dict(asked.settings), *shown, moved, right)
    return None


def _look_at_decay(
    run: Probe, behaviour: Behaviour, rule: str
) -> tuple[str, Finding] | None:
    """Return whether what the weight decay does is a "mistake" or a "remark", and what it does."""
    look = run.watch(DECAYING)
    decays = list(DECAYS)
    behaviours = Behaviours.of([replace(behaviour, decay=how) for how in decays])
    does = [decays[k] for k in _explaining(behaviours, [look])]
    if len(does) > 1:  # other mistakes hide it
        return None
    right = "decoupled: theta - lr * weight_decay * theta, beside the step of Adam"
    if not does:
        name = "weight decay of no known kind"
        return "mistake", Finding(name, "it does none of what is known", right, DECAY)
    (how,) = does
    allowed = {"lr * decay", "decay"} | ({"penalty"} if rule != "AdamW" else set())
    if how in allowed:
        return "remark", Finding("weight decay", DECAYS[how], right, DECAY)
    return "mistake", Finding(DECAY_MISTAKES[how], DECAYS[how], right, DECAY)


def _verdict(findings: Sequence[Finding], found: _Explanation | None, rule: str) -> str:
    if not findings and found is not None:
        return f"agrees with {found.name}"
    known = [finding for finding in findings if finding.name != UNKNOWN]
    count = "1 mistake" if len(known) == 1 else f"{len(known)} mistakes"
    if found is not None:
        return f"{count}; otherwise it agrees with {found.name}"
    name = "AMSGrad" if rule == "AMSGrad" else "Algorithm 1"
    unlike = f"does not agree with {name}"
    if len(known) == len(findings):  # what a leaking state hides is not looked for
        return f"{count}; it {unlike}"
    unlike += "; no known mistake explains it"
    return f"{count}; otherwise it {unlike}" if known else unlike
