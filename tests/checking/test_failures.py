"""Steps that give no parameters: each in a sentence, none in a traceback."""

# Programs are called with more than each of them uses.
# ruff: noqa: ARG001, ARG005

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adam_tutorial.checking import check_optimizer, plain_adam
from tests.checking.lines import Make, names


def after(steps: int, ends: Callable[[Any, Any], Any]) -> Make:
    """Return Adam for some steps, and then something else."""

    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam, t = plain_adam(lr, beta1, beta2, eps), 0

        def step(theta: Any, g: Any) -> Any:
            nonlocal t
            t += 1
            return adam(theta, g) if t <= steps else ends(theta, g)

        return step

    return make


def fails(theta: Any, g: Any) -> Any:
    raise KeyError("exp_avg")


def fails_at_length(theta: Any, g: Any) -> Any:
    raise RuntimeError("shapes differ\nand much more")


def rebinds(theta: Any, g: Any) -> None:
    theta = theta - g


CASES: list[tuple[Make, str, str]] = [
    (after(0, lambda *_: None), "returns nothing", "step 1 returned None and left"),
    (after(0, rebinds), "returns nothing", "a return is missing"),
    (after(3, lambda *_: None), "returns nothing", "step 4 returned None"),
    (after(0, lambda x, g: x), "theta never moves", "gives theta back as it was"),
    (after(0, lambda x, g: x.copy()), "theta never moves", "theta back as"),
    (after(0, lambda x, g: x * np.nan), "not a number", "is NaN after every step"),
    (after(0, lambda x, g: x * np.inf), "not a number", "is infinite or NaN after"),
    (after(2, lambda x, g: x * np.nan), "not a number", "from step 3 on theta is NaN"),
    (after(29, lambda x, g: x * np.nan), "not a number", "from step 30 on theta"),
    (after(0, lambda *_: 1 / 0), "raises an error", "step 1 raises ZeroDivisionError"),
    (after(2, lambda *_: 1 / 0), "raises an error", "step 3 raises ZeroDivisionError"),
    (after(0, fails), "raises an error", "step 1 raises KeyError: 'exp_avg'"),
    (
        after(4, fails_at_length),
        "raises an error",
        "step 5 raises RuntimeError: shapes",
    ),
    (after(24, fails), "raises an error", "step 25 raises KeyError"),
    (after(0, lambda *_: 3.0), "wrong shape", "shape (4,), got ()"),
    (after(1, lambda x, g: x[:2]), "wrong shape", "step 2 should return theta"),
    (after(0, lambda x, g: (x, g)), "returns no array", "a tuple of 2"),
    (after(0, lambda *_: "theta"), "returns no array", "a str"),
    (after(0, lambda *_: {"theta": 1}), "returns no array", "a dict"),
    (after(0, lambda *_: fails), "returns no array", "a function"),
    (after(0, lambda x, g: x + 1j), "returns no array", "complex128"),
    (after(0, lambda *_: [[1.0], [1.0, 2.0]]), "returns no array", "a list"),
    (lambda lr, beta1, beta2, eps: None, "cannot be made", "a return is missing"),
    (lambda lr, beta1, beta2, eps: 3.0, "cannot be made", "it returned 3.0"),
    (
        lambda lr, beta1, beta2, eps: {"m": 0}["state"],
        "cannot be made",
        "with lr=0.1, beta1=0.8, beta2=0.95, eps=1e-08 it raises KeyError: 'state'",
    ),
]


@pytest.mark.parametrize(("make", "name", "seen"), CASES)
def test_failure_is_a_sentence_of_the_report(make: Make, name: str, seen: str) -> None:
    report = check_optimizer(make)
    (finding,) = report.findings
    assert finding.name == name
    assert seen in finding.seen
    assert "\n" not in finding.seen
    assert not report.ok


def skips_zeros(value: Any) -> Make:
    """Return Adam that does something else where all gradients are zero."""

    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam = plain_adam(lr, beta1, beta2, eps)
        return lambda theta, g: adam(theta, g) if g.any() else value(theta, g)

    return make


@pytest.mark.parametrize(
    ("value", "name", "seen"),
    [
        (lambda *_: None, "returns nothing", "step 3 returned None"),
        (fails, "raises an error", "step 3 raises KeyError"),
    ],
)
def test_failure_for_zero_gradients_says_so(value: Any, name: str, seen: str) -> None:
    report = check_optimizer(skips_zeros(value))
    (finding,) = report.findings
    assert finding.name == name
    assert finding.seen.startswith(f"where some gradients are zero, {seen}")


def test_what_a_failing_program_does_before_is_compared_all_the_same() -> None:
    report = check_optimizer(after(24, fails))
    assert report.verdict == "1 mistake; otherwise it agrees with Algorithm 1"


def test_failures_for_ordinary_and_for_zero_gradients_are_two() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam = after(24, fails)(lr, beta1, beta2, eps)
        return lambda theta, g: adam(theta, g) if g.any() else None

    first, second = check_optimizer(make).findings
    assert first.seen.startswith("step 25 raises KeyError")
    assert second.seen.startswith("where some gradients are zero, step 3 returned")


def test_program_that_nothing_explains_and_that_fails_has_two_findings() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam = after(24, fails)(lr, beta1, beta2, eps)
        return lambda theta, g: adam(theta, np.sin(3 * g))

    assert names(check_optimizer(make)) == ["raises an error", "not a known mistake"]


def test_program_that_gives_no_numbers_at_other_settings_is_not_compared_there() -> (
    None
):
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam: Any = plain_adam(lr, beta1, beta2, eps)
        return lambda theta, g: adam(theta, g) * (np.nan if eps > 1e-6 else 1.0)

    (finding,) = check_optimizer(make).findings
    assert finding.name == "not a number"
    assert finding.seen == "from step 1 on theta is NaN"


def test_verdict_names_the_failure() -> None:
    report = check_optimizer(after(0, lambda *_: None))
    assert report.verdict == "does not agree with Algorithm 1: returns nothing"
    assert report.not_looked_at == "everything else"


def test_program_in_place_that_skips_steps_has_not_forgotten_to_return() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam, t = plain_adam(lr, beta1, beta2, eps), 0

        def step(theta: Any, g: Any) -> None:
            nonlocal t
            t += 1
            now = adam(theta, g)
            if t % 2 == 0:
                theta[...] = now

        return step

    report = check_optimizer(make)
    assert names(report) == ["steps left out"]
    assert "theta in place" in [remark.name for remark in report.remarks]
