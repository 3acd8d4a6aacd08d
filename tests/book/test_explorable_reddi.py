"""The numbers of the explorable on Reddi's problem are those of the package."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

from adam_tutorial import theory
from adam_tutorial.reference import linear_trajectory
from adam_tutorial.study.objectives import PeriodicLosses

from .computed import ABS, REL, are_near, assert_near, compute

# All in one process: computing the cases takes longer than looking at them.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("reddi")]

Settings = dict[str, Any]
EDGES: dict[str, tuple[float, float]] = {
    "steep": (1.0, 20_000.0),
    "period": (2, 400),
    "beta1": (0.0, 0.99),
    "beta2": (0.0, 0.9999),
    "lr": (1e-3, 1.0),
    "steps": (100, 200_000),
}
START: Settings = {
    "problem": "own",
    "steep": 105.0,
    "period": 101,
    "beta1": 0.9,
    "beta2": 0.99,
    "lr": 0.01,
    "root": False,
    "steps": 200_000,
}
RARE = START | {"problem": "rare", "lr": 0.5, "root": True, "steps": 100_000}
THREE = START | {
    "problem": "three",
    "beta1": 0.0,
    "beta2": 0.1,
    "lr": 0.1,
    "steps": 2000,
}


def drawn(seed: int) -> Settings:
    """Return settings within the limits of the controls, the three problems in turn."""
    draw = random.Random(seed)
    return {
        "problem": ("three", "rare", "own")[seed % 3],
        "steep": 20_000 ** draw.random(),
        "period": draw.randint(2, 400 if draw.random() < 0.5 else 8),
        "beta1": 1 - 0.01 ** draw.random(),
        "beta2": 1 - 1e-4 ** draw.random(),
        "lr": 1e-3 ** draw.random(),
        "root": draw.random() < 0.5,
        "steps": round(100 * 100 ** draw.random()),
    }


AT_THE_EDGES = [
    START | {"problem": "own", name: edge}
    for name, ends in EDGES.items()
    for edge in ends
]
CASES = [
    START,
    RARE,
    RARE | {"root": False},
    THREE,
    # Columns of the linear axis that are narrower than a period, and wider than a third
    # of it.
    START | {"period": 400, "steps": 40_000},
    # No gradient outweighs the others; and the best point is the other one.
    START | {"problem": "own", "steep": 2.0, "period": 3},
    START | {"problem": "own", "steep": 1.5, "period": 8},
    # Everything is a sign, and Adam stands still.
    START | {"problem": "own", "period": 2, "beta1": 0.0, "beta2": 0.0},
    *AT_THE_EDGES,
    *(drawn(seed) for seed in range(30)),
]


def losses_of(settings: Settings) -> PeriodicLosses:
    named = {"three": (3.0, 1.0, 3), "rare": (1010.0, 10.0, 101)}
    own = (settings["steep"], 1.0, settings["period"])
    return PeriodicLosses(*named.get(settings["problem"], own))


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=REL, abs=ABS)


def check_line(
    line: dict[str, list[float]], values: NDArray[np.floating[Any]], period: int
) -> None:
    """Each point is one of the run, or an average over periods with this middle."""
    t, y = np.array(line["t"]), np.array(line["y"])
    assert np.all(np.diff(t) > 0)
    total = np.concatenate([[0.0], np.cumsum(values)])
    single = (t == np.floor(t)) & are_near(y, values[t.astype(int) - 1])
    for middle, value in zip(t[~single], y[~single], strict=True):
        allowed = max(REL * abs(value), ABS)
        for length in range(period, len(values) + 1, period):
            first = middle - (length + 1) / 2
            assert first >= 0
            low, high = int(first), int(first) + length
            mean = (total[high] - total[low]) / length
            if first == low and abs(mean - value) <= allowed:
                break
        else:
            pytest.fail(f"{value} at {middle} is no average over whole periods")


@pytest.fixture(scope="module")
def found(blank: Page, site: str) -> list[Settings]:
    """What the module computes, for each case."""
    # With no settings it takes those that it starts with.
    return compute(blank, site, "reddi", [{}, *CASES])


def test_it_starts_with_what_its_alternative_text_says(found: list[Settings]) -> None:
    start = found[0]
    assert start == found[1]
    assert start["threshold"] == pytest.approx(0.99765, abs=5e-6)
    assert start["lastPeriod"]["adam"]["high"] == 1
    assert start["lastPeriod"]["amsgrad"]["low"] == -1
    assert start["regret"] == pytest.approx({"adam": 0.13, "amsgrad": 0.037}, abs=5e-4)
    assert 2 * start["mean"] == pytest.approx(0.099, abs=5e-5)
    assert 6500 < first_at(START, 1) < 7000
    assert 24_500 < first_at(START, -1, keep_maximum=True) < 25_500


def first_at(settings: Settings, edge: int, *, keep_maximum: bool = False) -> int:
    """Return the number of steps after which a run is first at an edge."""
    path = linear_trajectory(
        losses_of(settings).gradients(settings["steps"]),
        lr=settings["lr"],
        beta1=settings["beta1"],
        beta2=settings["beta2"],
        correct_bias=False,
        keep_maximum=keep_maximum,
    )
    return int(np.flatnonzero(path == edge)[0])


def drift(steep: float, period: int, beta1: float, beta2: float) -> float:
    cycle = PeriodicLosses(steep, 1.0, period).gradients(period)
    return float(theory.periodic_drift(cycle, beta1, beta2))


def test_the_text_beside_it_is_right() -> None:
    """What the chapter says to try: each number, and that the run shows it."""
    assert drift(124, 101, 0.9, 0.99) > 0 > drift(125, 101, 0.9, 0.99)
    assert round(100 * theory.critical_excess(-101 * np.log(0.99))) == 130
    for steep, threshold in ((105, 0.9976), (101, 0.9995)):
        cycle = PeriodicLosses(steep, 1.0, 101).gradients(101)
        assert threshold < theory.critical_beta2(cycle, 0.9) < threshold + 1e-4
    for settings in (
        START | {"beta2": 0.998},
        START | {"steep": 101.0, "beta2": 0.9999},
    ):
        # Adam comes down within the steps of the plot, but not before AMSGrad.
        assert first_at(settings, -1) > first_at(settings, -1, keep_maximum=True)
    losses = PeriodicLosses(101.0, 1.0, 101)
    for keep_maximum in (False, True):
        path = linear_trajectory(
            losses.gradients(200_000),
            lr=0.01,
            beta1=0.9,
            beta2=0.9999,
            correct_bias=False,
            keep_maximum=keep_maximum,
        )
        # When both are down: what the last hundred periods cost.
        total = losses.regret(path[:-1])[100::101]
        assert total[-1] - total[-101] > 10_100 * 2 * losses.mean_gradient
    assert drift(200, 200, 0.0, 0.9999) < 0 < drift(201, 201, 0.0, 0.9999) < 2e-6
    assert drift(5600, 195, 0.0, 0.95) > 0 > drift(5700, 195, 0.0, 0.95)
    assert round(194 * theory.critical_excess(10), -1) == 5720


def test_another_problem_brings_its_settings(browser: Browser, site: str) -> None:
    page = browser.new_page()
    page.goto(site + "_static/explorables/index.html?name=reddi")
    page.wait_for_selector("[data-ready]")

    def shown() -> list[str]:
        # It is drawn in the next frame, which may hide controls.
        page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => setTimeout(done,"
            " 50)))"
        )
        found: list[str] = page.locator("output").evaluate_all(
            "all => all.filter(one => one.offsetParent).map(one => one.textContent)"
        )
        return found

    own = ["105", "101", "0.9", "0.99", "0.01", "200,000"]
    assert shown() == own
    page.get_by_label("slopes").select_option("three")
    assert shown() == ["0", "0.1", "0.1", "2,000"]
    page.get_by_label("slopes").select_option("rare")
    assert shown() == ["0.9", "0.99", "0.5", "100,000"]
    assert page.get_by_label("learning rate / √t").is_checked()
    page.get_by_label("slopes").select_option("own")
    assert shown() == own
    # Each whole number up to 400 has a place.
    page.get_by_label("steep slope C").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert shown()[0] == "125"
    page.get_by_role("button", name="Reset").click()
    assert shown() == own
    page.close()


@pytest.mark.parametrize("index", range(len(CASES)))
def test_the_runs_are_those_of_the_reference(found: list[Settings], index: int) -> None:
    settings, result = CASES[index], found[index + 1]
    losses = losses_of(settings)
    steps = settings["steps"]
    g = losses.gradients(steps)
    for name in ("adam", "amsgrad"):
        path = linear_trajectory(
            g,
            lr=settings["lr"],
            shrink_lr=settings["root"],
            beta1=settings["beta1"],
            beta2=settings["beta2"],
            correct_bias=False,
            keep_maximum=name == "amsgrad",
        )
        cost = losses.regret(path[:-1]) / np.arange(1, steps + 1)
        assert result["final"][name] == near(path[-1])
        assert result["regret"][name] == near(cost[-1])
        last = path[-losses.period :]
        assert result["lastPeriod"][name] == near(
            {"low": last.min(), "average": last.mean(), "high": last.max()}
        )
        for kind, values in (("paths", path), ("regrets", cost)):
            t, y = np.array(result[kind][name]["t"]), result[kind][name]["y"]
            assert_near(y, values[t - 1])
            # Few points, in order, from the first to the last, and none that stands out
            # is missing.
            assert len(t) <= 400
            assert np.all(np.diff(t) > 0)
            assert (t[0], t[-1]) == (1, len(values))
            assert (min(y), max(y)) == near((values.min(), values.max()))
            check_line(result[kind][name]["line"], values, losses.period)


@pytest.mark.parametrize("index", range(len(CASES)))
def test_the_drift_is_that_of_the_theory(found: list[Settings], index: int) -> None:
    settings, result = CASES[index], found[index + 1]
    losses = losses_of(settings)
    cycle = losses.gradients(losses.period)
    expected = theory.periodic_drift(cycle, settings["beta1"], settings["beta2"])
    assert result["drift"] == near(expected)
    assert result["mean"] == near(losses.mean_gradient)
    if losses.mean_gradient == 0:
        assert result["best"] is None
        assert result["threshold"] is None
    else:
        assert result["best"] == losses.optimum
        critical = theory.critical_beta2(cycle, settings["beta1"])
        assert result["threshold"] == pytest.approx(critical, rel=1e-9, abs=1e-9)
