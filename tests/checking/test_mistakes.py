"""Each mistake is made by a program that makes no other; the report names it."""

from __future__ import annotations

import pytest

from adam_tutorial.checking import (
    MISTAKES,
    Behaviour,
    check_optimizer,
    imitate,
    plain_adam,
)
from adam_tutorial.study.notebook import edited
from tests.checking.lines import (
    COUNT,
    FRACTION,
    GATHER_M,
    GATHER_V,
    M_HAT,
    RETURN,
    ROOT,
    START,
    V_HAT,
    Change,
    names,
    without_decay,
)

ONLY_WHERE = "np.where(gradient != 0, {}, {})"
WITH_MAXIMUM = (
    (START, "t, m, v, v_max = 0, np.zeros(()), np.zeros(()), np.zeros(())"),
    ("nonlocal t, m, v", "nonlocal t, m, v, v_max"),
)


# The name of the mistake, a piece of what is seen, and the lines that make it.
PROGRAMS: list[tuple[str, str, tuple[Change, ...]]] = [
    (
        "no exponent",
        ": m and v",
        ((M_HAT, "m_hat = m / (1 - beta1)"), (V_HAT, "v_hat = v / (1 - beta2)")),
    ),
    ("no exponent", ": m and v", ((COUNT, "t = 1"),)),
    ("no exponent", "only m", ((M_HAT, "m_hat = m / (1 - beta1)"),)),
    ("no exponent", "only v", ((V_HAT, "v_hat = v / (1 - beta2)"),)),
    (
        "corrected average stored",
        ": m and v",
        (
            (M_HAT, "m_hat = m = m / (1 - beta1**t)"),
            (V_HAT, "v_hat = v = v / (1 - beta2**t)"),
        ),
    ),
    (
        "corrected average stored",
        "only m",
        ((M_HAT, "m = m / (1 - beta1**t); m_hat = m"),),
    ),
    (
        "corrected average stored",
        "only v",
        ((V_HAT, "v = v / (1 - beta2**t); v_hat = v"),),
    ),
    (
        "bias correction missing",
        ": m and v",
        ((M_HAT, "m_hat = m"), (V_HAT, "v_hat = v")),
    ),
    ("bias correction missing", "only m", ((M_HAT, "m_hat = m"),)),
    ("bias correction missing", "only v", ((V_HAT, "v_hat = v"),)),
    (
        "bias correction multiplied",
        ": m and v",
        ((M_HAT, "m_hat = m * (1 - beta1**t)"), (V_HAT, "v_hat = v * (1 - beta2**t)")),
    ),
    ("bias correction multiplied", "only m", ((M_HAT, "m_hat = m * (1 - beta1**t)"),)),
    ("bias correction multiplied", "only v", ((V_HAT, "v_hat = v * (1 - beta2**t)"),)),
    (
        "t starts at 0",
        "divides by 1 - beta**0",
        ((START, "t, m, v = -1, np.zeros(()), np.zeros(())"),),
    ),
    (
        "t starts at 0",
        "divides by 1 - beta**0",
        (
            (START, "t, m, v = -1, np.zeros(()), np.zeros(())"),
            (M_HAT, "m_hat = m * float(1 / (1 - beta1**t))"),
        ),
    ),
    ("t is one ahead", "t = 2", ((START, "t, m, v = 1, np.zeros(()), np.zeros(())"),)),
    ("eps inside the root", "sqrt(v_hat + eps)", ((ROOT, "np.sqrt(v_hat + eps)"),)),
    (
        "eps inside the root",
        "sqrt(v + eps)",
        ((ROOT, "np.sqrt((v + eps) / (1 - beta2**t))"),),
    ),
    ("eps has no effect", "0/0", ((ROOT, "np.sqrt(v_hat)"),)),
    (
        "eps added to the parameter",
        "bracket",
        ((FRACTION, "m_hat / np.sqrt(v_hat) + eps"),),
    ),
    ("no square root", "v_hat + eps", ((ROOT, "(v_hat + eps)"),)),
    (
        "m and v exchanged",
        "root of m_hat",
        ((FRACTION, "v_hat / (np.sqrt(m_hat) + eps)"),),
    ),
    (
        "m and v exchanged",
        "gathers",
        (
            (GATHER_M, "beta1 * m + (1 - beta1) * gradient * gradient\n"),
            (GATHER_V, "beta2 * v + (1 - beta2) * gradient"),
        ),
    ),
    ("no momentum", "gradient", ((RETURN, "return theta - lr * gradient"),)),
    ("no division", "lr * m_hat", ((FRACTION, "m_hat"),)),
    (
        "factor 1 - beta missing",
        "m and v",
        ((GATHER_M, "beta1 * m + gradient\n"), (GATHER_V, "beta2 * v + gradient**2")),
    ),
    ("factor 1 - beta missing", "only m", ((GATHER_M, "beta1 * m + gradient\n"),)),
    ("factor 1 - beta missing", "only v", ((GATHER_V, "beta2 * v + gradient**2"),)),
    (
        "beta and 1 - beta exchanged",
        "m and v",
        (
            (GATHER_M, "(1 - beta1) * m + beta1 * gradient\n"),
            (GATHER_V, "(1 - beta2) * v + beta2 * gradient**2"),
        ),
    ),
    (
        "beta and 1 - beta exchanged",
        "only m",
        ((GATHER_M, "(1 - beta1) * m + beta1 * gradient\n"),),
    ),
    (
        "beta and 1 - beta exchanged",
        "only v",
        ((GATHER_V, "(1 - beta2) * v + beta2 * gradient**2"),),
    ),
    (
        "beta1 and beta2 exchanged",
        "m decays with beta2",
        ((START, f"beta1, beta2 = beta2, beta1; {START}"),),
    ),
    ("one v for all entries", "sum", (("gradient**2", "gradient @ gradient"),)),
    ("one v for all entries", "mean", (("gradient**2", "np.mean(gradient**2)"),)),
    ("wrong sign", "uphill", ((RETURN, "return theta + lr * m_hat"),)),
    ("returns the update", "added to theta", ((RETURN, "return -lr * m_hat"),)),
    ("state forgotten", "first step", ((COUNT, "t, m, v = 1, 0.0, 0.0"),)),
    ("state forgotten", "t keeps counting", ((COUNT, "t, m, v = t + 1, 0.0, 0.0"),)),
    (
        "zero gradient",
        "is skipped",
        (
            (GATHER_M, ONLY_WHERE.format(GATHER_M.strip(), "m") + "\n"),
            (GATHER_V, ONLY_WHERE.format(GATHER_V, "v")),
            (f"lr * {FRACTION}", f"lr * (gradient != 0) * {FRACTION}"),
        ),
    ),
    (
        "zero gradient",
        "does not move",
        ((f"lr * {FRACTION}", f"lr * (gradient != 0) * {FRACTION}"),),
    ),
    (
        "zero gradient",
        "a step",
        (
            (
                COUNT,
                f"if not gradient.any():\n            return theta\n        {COUNT}",
            ),
        ),
    ),
    (
        "takes a maximum",
        "corrected afterwards",
        (
            *WITH_MAXIMUM,
            (V_HAT, "v_max = np.maximum(v_max, v); v_hat = v_max / (1 - beta2**t)"),
        ),
    ),
    (
        "takes a maximum",
        "of the corrected v_hat",
        (
            *WITH_MAXIMUM,
            (V_HAT, "v_max = np.maximum(v_max, v / (1 - beta2**t)); v_hat = v_max"),
        ),
    ),
    ("setting ignored", "lr is", ((START, f"lr = 1e-3; {START}"),)),
    ("setting ignored", "beta1 is", ((START, f"beta1 = 0.9; {START}"),)),
    ("setting ignored", "beta2 is", ((START, f"beta2 = 0.999; {START}"),)),
    ("setting ignored", "eps is", ((START, f"eps = 1e-8; {START}"),)),
]


@pytest.mark.parametrize(("name", "seen", "changes"), PROGRAMS)
def test_one_mistake_is_found_and_no_other(
    name: str, seen: str, changes: tuple[Change, ...]
) -> None:
    report = check_optimizer(without_decay(edited(plain_adam, *changes)))
    (finding,) = report.findings
    assert finding.name.startswith(name)
    assert seen in finding.seen
    assert not report.ok
    assert report.verdict == "1 mistake; otherwise it agrees with Algorithm 1"


def test_every_form_of_every_mistake_has_a_program_here() -> None:
    for mistake in MISTAKES:
        for form in mistake.forms:
            assert any(
                mistake.name.startswith(name) and seen in form
                for name, seen, _ in PROGRAMS
            ), (mistake.name, form)


@pytest.mark.parametrize(
    "right", [Behaviour(eps="root of v"), Behaviour()], ids=lambda b: b.eps
)
def test_mistakes_are_found_in_both_orders_of_the_paper(right: Behaviour) -> None:
    for mistake in MISTAKES:
        for seen, changes in mistake.forms.items():
            behaviour = Behaviour(**{**vars(right), **changes})
            report = check_optimizer(
                lambda lr, beta1, beta2, eps, does=behaviour: imitate(
                    does, lr=lr, beta1=beta1, beta2=beta2, eps=eps
                )
            )
            assert names(report) == [mistake.name], seen
