"""The numbers of the explorable ``step`` are those of the package."""

from __future__ import annotations

import math
import random
from typing import Any

import mpmath
import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from adam_tutorial import theory
from adam_tutorial.reference import AdamState, adam

from .computed import REL, assert_near, compute

pytestmark = pytest.mark.browser

# What float64 can square, with room at both ends.
DECADES = 280


def settings() -> list[dict[str, Any]]:
    """Return random settings, and every combination of the edges of the controls."""
    rng = random.Random(0)
    found: list[dict[str, Any]] = [{}]
    for sequence in ("grow", "spike", "jump"):
        found += [
            {"beta1": beta1, "beta2": beta2, "t": t, "R": R, "sequence": sequence}
            for beta1 in (0, 0.99)
            for beta2 in (0, 0.9999)
            for t in (1, 10_000)
            for R in ((1, 1000) if sequence == "jump" else (100,))
        ]
        found += [
            {
                "beta1": 1 - 0.01 ** rng.random(),
                "beta2": 1 - 1e-4 ** rng.random(),
                "t": round(10 ** rng.uniform(0, 3)),
                "R": 10 ** rng.uniform(0, 3),
                "sequence": sequence,
            }
            for _ in range(20)
        ]
    # The rates on the buttons, and one on the border where the bound ends.
    rates = (
        (0.9, 0.95),
        (0.9, 0.9),
        (0.95, 0.9),
        (0.99, 0.9801),
        (0.99, 0.05),
        (0.005, 0.9999),
    )
    found += [{"beta1": b1, "beta2": b2, "t": t} for b1, b2 in rates for t in (2, 1000)]
    return found


def supremum(t: int, beta1: float, beta2: float) -> float:
    """Return the longest step at t, also where its powers are too large for a float."""
    if beta2 == 0 < beta1:
        return 1.0 if t == 1 else math.inf
    try:
        return theory.step_supremum(t, beta1, beta2)
    except OverflowError:
        c = mpmath.mpf(beta1) ** 2 / beta2
        factor = (
            (1 - beta1)
            / math.sqrt(1 - beta2)
            * theory.step_size_factor(t, beta1, beta2)
        )
        return float(factor * mpmath.sqrt((c**t - 1) / (c - 1)))


def steps(
    gradients: Any, state: AdamState | None, beta1: float, beta2: float
) -> list[float]:
    """Return the steps of the reference, 0 until the first gradient that is not 0."""
    found = []
    for g in gradients:
        # While all is 0, eps is what makes 0/0 into 0.
        unborn = g == 0 and (state is None or state.v == 0)
        eps = 1e-300 if unborn else 0.0
        state, update = adam(state, g, lr=1.0, beta1=beta1, beta2=beta2, eps=eps)
        found.append(abs(float(update)))
    return found


def check(given: dict[str, Any], found: dict[str, Any]) -> None:
    """Compare what the module computes with the package."""
    chosen: dict[str, Any] = {
        "beta1": 0.9,
        "beta2": 0.999,
        "t": 100,
        "sequence": "grow",
    } | given
    beta1, beta2, t = (chosen[key] for key in ("beta1", "beta2", "t"))
    unbounded = beta2 == 0 < beta1
    limit = math.inf if unbounded else theory.step_supremum(None, beta1, beta2)
    paper = theory.paper_step_bound(beta1, beta2)
    assert found["limit"] == pytest.approx(limit, rel=REL)
    assert found["paper"] == pytest.approx(paper, rel=REL)
    assert found["longest"] == max(found["steps"])
    broken = [
        k
        for k, s in zip(found["x"], found["steps"], strict=True)
        if s > paper * (1 + REL)
    ]
    assert found["first"] == (broken[0] if broken else None)
    if broken:
        assert found["breaking"] == found["steps"][found["x"].index(broken[0])]
    assert found["breakable"] == (limit > paper * (1 + REL))
    # The theory adds up t terms for each t: of many steps some must do.
    some = np.unique(np.linspace(1, t, t if t <= 1000 else 30).astype(int))
    bounds = [supremum(int(k), beta1, beta2) for k in some]

    if chosen["sequence"] == "jump":
        R, before = chosen["R"], len(found["x"]) - t
        assert before >= 3
        assert found["x"] == list(range(1 - before, t + 1))
        gradients = np.r_[np.ones(before), np.full(t, R)]
        state = AdamState(10**6, np.array(1.0), np.array(1.0))
        expected = steps(gradients, state, beta1, beta2)
        assert_near(found["bound"], [limit] * (before + t))
        closed = [theory.jump_step(k, R, beta1, beta2) for k in range(1, t + 1)]
        assert_near(expected[before:], closed)
        assert_near(found["gradients"], gradients / R)
    elif chosen["sequence"] == "spike" or 0 in (beta1, beta2):
        assert found["shown"] == "spike"
        gradients = np.r_[np.zeros(t - 1), 1.0]
        expected = steps(gradients, None, beta1, beta2)
        assert found["gradients"] == gradients.tolist()
        first = (1 - beta1) / math.sqrt(1 - beta2)
        factors = [theory.step_size_factor(k, beta1, beta2) for k in range(1, t + 1)]
        assert_near(found["earlier"], [first * f for f in factors])
        if beta1 == 0:
            assert expected[-1] == pytest.approx(bounds[-1], rel=REL)
    else:
        decades = (t - 1) * math.log10(beta2 / beta1)
        assert found["decades"] == pytest.approx(decades, rel=REL, abs=REL)
        # Gradients that grow take the longest step at every t.
        expected = None
        assert_near(np.array(found["steps"])[some - 1], bounds)
        if abs(decades) < DECADES:
            gradients = theory.step_supremum_gradients(t, beta1, beta2)
            assert_near(found["gradients"], gradients / gradients.max())
            middle = 10 ** (decades / 2)
            expected = steps(gradients * middle, None, beta1, beta2)
    if expected is not None:
        assert_near(found["steps"], expected)
    if chosen["sequence"] != "jump":
        assert found["x"] == list(range(1, t + 1))
        assert_near(np.array(found["bound"])[some - 1], bounds)


def test_the_explorable_computes_what_the_package_computes(
    blank: Page, site: str
) -> None:
    given = settings()
    assert len(given) >= 30
    found = compute(blank, site, "step", given)
    for one, numbers in zip(given, found, strict=True):
        check(one, numbers)


WORDS = {
    "": "The paper’s bound, 3.162, is not broken up to step 100.",
    "t:300": (
        "The paper’s bound, 3.162, is first broken at step 210; at step 300 by"
        " 17\u00a0%."
    ),
    "b2:0.95,t:2": "The paper’s bound, 1, is broken at step 2, by 0.036\u00a0%.",
    "b1:0.9,b2:0.95,t:2": (
        "Longest step of this sequence: 1.0004 learning rates, at step 2.\n"
    ),
    "seq:jump,r:4": "is first broken",
    "seq:jump,r:3": "is not broken by this sequence; others break it.",
    "seq:spike,t:10000": "The paper’s bound, 3.1623, is not broken by this sequence;",
}


@pytest.mark.parametrize(("settings", "words"), WORDS.items())
def test_the_words_say_when_the_bound_is_broken(
    browser: Browser, site: str, settings: str, words: str
) -> None:
    page = browser.new_page()
    page.goto(site + f"_static/explorables/index.html?name=step&step={settings}")
    page.wait_for_function(
        "words =>"
        " document.querySelector('p[role=status]')?.textContent.includes(words)",
        arg=words,
    )
    # A dot marks the crossing.
    broken = "not broken" not in page.locator("p[role=status]").inner_text()
    assert page.locator(".ex-crossing circle").count() == broken
    page.close()


def test_the_chapter_says_what_is_seen() -> None:
    paper = theory.paper_step_bound()
    # The still picture ends at step 100.
    assert theory.step_supremum(100) == pytest.approx(2.24, abs=0.005)
    assert 99 * math.log10(0.999 / 0.9) == pytest.approx(4.5, abs=0.05)
    assert theory.step_supremum(209) < paper < theory.step_supremum(210)
    lone = [paper * theory.step_size_factor(t) for t in range(1, 10_001)]
    assert max(lone) == lone[-1] < paper
    assert theory.step_supremum(2, 0.9, 0.95) == pytest.approx(1.0004, abs=0.00005)
