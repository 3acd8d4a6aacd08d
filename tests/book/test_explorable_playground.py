"""The playground's numbers are those of the reference, for every surface and rule."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from adam_tutorial import reference
from adam_tutorial.reference.rule import takes_theta
from adam_tutorial.study.objectives import Quadratic, Rosenbrock
from tests.optimizers import CASES

from .conftest import SITE
from .visit import Visit

pytestmark = pytest.mark.browser

Gradient = Callable[[np.ndarray], np.ndarray]
MODULE = "_static/explorables/playground.mjs"
RULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "sgd": (reference.gradient_descent, {}),
    "momentum": (reference.momentum, {}),
    "nesterov": (reference.momentum, {"nesterov": True}),
    "adagrad": (reference.adagrad, {}),
    "rmsprop": (reference.rmsprop, {}),
    **{case.explorable: (case.rule, {}) for case in CASES if case.explorable},
}
PYTHON_NAMES = {
    "correctBias": "correct_bias",
    "weightDecay": "weight_decay",
    "momentumDecay": "momentum_decay",
}


def beale(p: np.ndarray) -> np.ndarray:
    x, y = p
    slope = np.zeros(2)
    for i, c in enumerate((1.5, 2.25, 2.625), start=1):
        r = c - x + x * y**i
        slope += 2 * r * np.array([y**i - 1, i * x * y ** (i - 1)])
    return slope


def himmelblau(p: np.ndarray) -> np.ndarray:
    x, y = p
    a, b = x**2 + y - 11, x + y**2 - 7
    return np.array([4 * x * a + 2 * b, 2 * a + 4 * y * b])


def surfaces(angle: float, scale: float = 25.0) -> dict[str, Gradient]:
    return {
        "ravine": Quadratic((1.0, scale), angle).gradient,
        "saddle": lambda p: np.array([p[0], -p[1] + p[1] ** 3 / 4]),
        "rosenbrock": Rosenbrock().gradient,
        "beale": beale,
        "himmelblau": himmelblau,
        "noisy": lambda p: p,
        "plateau": lambda p: p * math.exp(-(p @ p) / 2),
        "own": lambda p: np.array(
            [
                2 * math.cos(2 * p[0]) * p[1] + p[0] / 2,
                math.sin(2 * p[0]) - math.exp(-p[1]),
            ]
        ),
    }


def follow(
    kind: str,
    settings: dict[str, Any],
    gradient: Gradient,
    start: list[float],
    errors: np.ndarray,
) -> np.ndarray:
    rule, fixed = RULES[kind]
    state, theta, points = None, np.array(start), [np.array(start)]
    for error in errors:
        where = {"theta": theta} if takes_theta(rule) else {}
        state, update = rule(
            state, gradient(theta) + error, **settings, **fixed, **where
        )
        theta = theta + update
        points.append(theta)
    return np.array(points)


# Their steps are in proportion to the gradient, which is in the hundreds on some
# surfaces.
IN_PROPORTION = ("sgd", "momentum", "nesterov", "radam")


def random_settings(
    rng: np.random.Generator, kind: str, fields: list[dict[str, Any]]
) -> dict[str, Any]:
    """Draw settings within their sliders; small learning rates keep all on the map."""
    shift = 2 if kind in IN_PROPORTION else 0
    drawn: dict[str, Any] = {}
    for field in fields:
        key = field["key"]
        if key == "lr":
            drawn[key] = 10 ** (rng.uniform(-4, -2.5) - shift)
        elif field.get("tick"):
            drawn[key] = bool(rng.integers(2))
        elif field.get("scale") == "decay":
            drawn[key] = rng.choice([0.0, 1 - (1 - field["max"]) ** rng.uniform(0, 1)])
        elif key == "eps":
            drawn[key] = 10 ** rng.uniform(-12, 0)
        else:
            drawn[key] = rng.uniform(field["min"], field["max"])
    return drawn


def test_paths_are_those_of_the_reference(blank: Page, site: str) -> None:
    fields = blank.evaluate(
        """async (site) => {
            const { OPTIMIZERS } = await import(site);
            const pairs = Object.entries(OPTIMIZERS);
            return Object.fromEntries(pairs.map(([k, o]) => [k, o.fields]));
        }""",
        site + MODULE,
    )
    assert set(fields) == set(RULES)
    rng = np.random.default_rng(0)
    cases = []
    for surface in surfaces(0.0):
        for kind in RULES:
            start = rng.uniform(-1, 1, 2).tolist()
            settings = random_settings(rng, kind, fields[kind])
            shape = {
                "angle": rng.uniform(0, math.pi / 2),
                "scale": 10 ** rng.uniform(0, 3),
            }
            cases.append((surface, kind, start, settings, shape))
    found = blank.evaluate(
        """async ([site, cases]) => {
            const { compute, noise } = await import(site);
            const formula = "sin(2x) y + x^2/4 + exp(-y)";
            const runs = cases.map(([surface, kind, start, settings, shape]) => {
                const optimizers = [{ kind, ...settings }];
                const shared = { ...shape, steps: 40, seed: 3, formula };
                return compute({ surface, start, optimizers, ...shared })[0];
            });
            return [runs, noise(3, 40)];
        }""",
        [site + MODULE, cases],
    )
    runs, noise = found
    for (surface, kind, start, settings, shape), run in zip(cases, runs, strict=True):
        errors = np.array(noise) if surface == "noisy" else np.zeros((40, 2))
        named = {PYTHON_NAMES.get(key, key): value for key, value in settings.items()}
        wanted = follow(kind, named, surfaces(**shape)[surface], start, errors)
        assert np.allclose(run["points"], wanted, rtol=1e-9, atol=1e-9), (
            surface,
            kind,
            settings,
        )
        moved = np.hypot(*np.diff(wanted, axis=0).T)
        assert np.allclose(run["lengths"], moved, rtol=1e-6, atol=1e-12), (
            surface,
            kind,
        )


FORMULAS = [
    "(1 - x)^2 + 5 (y - x^2)^2",
    "100 (y - x^2)^2 + (1 - x)^2",
    "1000 x^2 + y^2",
    "x^4 + y^4",
    "sin(3x) cos(3y) + x^2/10",
    "abs(x) + abs(y)",
    "0.001 x^2 + 0.002 y^2",
]


@pytest.mark.parametrize(
    ("surface", "formula"),
    [
        *((name, "") for name in surfaces(0.0) if name != "own"),
        *(("own", formula) for formula in FORMULAS),
    ],
)
def test_every_optimizer_gets_lower_at_the_rates_it_begins_with(
    blank: Page, site: str, surface: str, formula: str
) -> None:
    runs = blank.evaluate(
        """async ([site, surface, formula]) => {
            const { OPTIMIZERS, compute, rates } = await import(site);
            const shape = { surface, formula };
            const usual = rates(shape);
            const optimizers = Object.keys(OPTIMIZERS).map((kind) =>
                kind in usual ? { kind, lr: usual[kind] } : { kind });
            const runs = compute({ ...shape, optimizers, steps: 300 });
            return runs.map(({ losses }, k) => [optimizers[k], losses]);
        }""",
        [site + MODULE, surface, formula],
    )
    assert len(runs) == len(RULES)
    for optimizer, losses in runs:
        assert len(losses) == 301, optimizer
        # The first steps of an adaptive method do not know how steep it is.
        assert max(losses) < 100 * abs(losses[0]), optimizer
        assert losses[-1] < losses[0], optimizer


def test_it_begins_with_a_valley_in_which_adam_is_ahead(site_page: Page) -> None:
    """Its coordinates differ in scale; no rate of gradient descent suits both."""
    ends = site_page.evaluate(
        """async ([module, settings]) => {
            const { compute } = await import(module);
            const end = (options) => compute(options).map((run) => run.losses.at(-1));
            const given = JSON.parse(settings);
            const rates = Array.from({ length: 200 }, (_, k) => 10 ** (-4 + k / 50));
            const others = end({
                ...given, optimizers: rates.map((lr) => ({ kind: "sgd", lr })),
            });
            return [...end(given), Math.min(...others.filter(Number.isFinite))];
        }""",
        [
            "/" + MODULE,
            site_page.locator("[data-explorable]").get_attribute("data-settings"),
        ],
    )
    descent, adam, best = ends
    assert adam < descent / 10
    assert adam < best / 10


def test_map_and_the_setting_that_is_moved_are_on_the_screen_together(
    site_page: Page,
) -> None:
    figure = site_page.locator("figure[data-explorable]")
    figure.get_by_role("button", name="More settings").click()
    controls = figure.locator("input:visible, select:visible")
    assert controls.count() >= 12
    for control in controls.all():
        away = control.evaluate(
            """(control) => {
                control.scrollIntoView({ block: "center", behavior: "instant" });
                const map = document.querySelector(".ex-map").getBoundingClientRect();
                const view = document.querySelector(".ex-view").getBoundingClientRect();
                const own = control.getBoundingClientRect();
                const seen = Math.min(map.bottom, innerHeight) - Math.max(map.top, 0);
                const free = own.top >= view.bottom || own.bottom <= view.top;
                const { top, bottom } = own;
                return { seen: seen / map.height, free, top, bottom };
            }"""
        )
        name = control.evaluate("one => one.outerHTML")
        assert away["seen"] > 0.99, name
        assert away["free"], name
        assert away["top"] >= 0, name
        assert away["bottom"] <= 844, name


def test_a_run_that_leaves_the_picture_does_not_stretch_the_axes(
    site_page: Page,
) -> None:
    figure = site_page.locator("figure[data-explorable]")
    figure.get_by_label("learning rate, gradient descent").press("End")
    status = figure.get_by_role("status").filter(has_text="out of the picture at step")
    status.wait_for()
    written = figure.locator(".ex-view .ex-text text").evaluate_all(
        "all => all.map((one) => one.textContent.replace('−', '-'))"
    )
    numbers = [float(text) for text in written if text[-1:].isdigit()]
    assert len(numbers) > 6
    assert max(numbers) < 1e4
    assert "Adam, loss 0.00951" in status.inner_text()


def test_a_surface_brings_learning_rates_and_a_reader_keeps_his_own(
    site_page: Page,
) -> None:
    figure = site_page.locator("figure[data-explorable]")
    figure.get_by_role("button", name="More settings").click()
    figure.get_by_label("surface", exact=True).select_option("rosenbrock")
    rate = figure.locator("fieldset").first.get_by_label("learning rate")
    before = rate.input_value()
    figure.get_by_label("surface", exact=True).select_option("own")
    figure.get_by_label("f(x, y) =").fill("x^2 + y^2")
    gentle = figure.locator("fieldset").first.get_by_label("learning rate")
    assert float(gentle.input_value()) > float(before)
    gentle.press("ArrowLeft")
    chosen = gentle.input_value()
    figure.get_by_label("f(x, y) =").fill("100 x^2 + y^2")
    assert gentle.input_value() == chosen


@pytest.fixture
def site_page(browser: Browser, site: str) -> Iterator[Page]:
    """The landing page on a phone, its playground alive."""
    context = browser.new_context()
    opened = Visit(context, site, "book/index.html", "dark", 390)
    opened.page.set_viewport_size({"width": 390, "height": 844})
    opened.page.locator("figure[data-explorable]").scroll_into_view_if_needed()
    opened.page.wait_for_selector("figure[data-ready]", timeout=20_000)
    yield opened.page
    context.close()


def test_the_noise_is_normal_and_the_same_again(blank: Page, site: str) -> None:
    first, again, other = blank.evaluate(
        """async (site) => {
            const { noise } = await import(site);
            return [noise(1, 20000), noise(1, 20000), noise(2, 20000)];
        }""",
        site + MODULE,
    )
    assert first == again != other
    values = np.array(first)
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
    assert abs(np.corrcoef(values.T)[0, 1]) < 0.03
    assert abs((np.abs(values) < 1).mean() - 0.6827) < 0.01


@pytest.mark.parametrize(
    ("formula", "complaint"),
    [
        ("", "missing"),
        ("x +", "missing"),
        ("(x", "not closed"),
        ("x)", "not expected"),
        ("foo(x)", "not known"),
        ("constructor", "not known"),
        ("sin x", "bracket"),
        ("x; alert(1)", "not understood"),
        ("x" * 201, "longer"),
    ],
)
def test_what_is_no_formula_is_refused(
    blank: Page, site: str, formula: str, complaint: str
) -> None:
    message = blank.evaluate(
        """async ([site, formula]) => {
            const { parse } = await import(site);
            try { parse(formula); return "" } catch (error) { return error.message }
        }""",
        [site + "_static/explorables/formula.mjs", formula],
    )
    assert complaint in message


@pytest.mark.parametrize(
    ("formula", "meaning"),
    [
        ("x - y - 1", lambda x, y: x - y - 1),
        ("-x^2", lambda x, _: -(x**2)),
        ("2^3^2 + 0x", lambda x, _: 512 + 0 * x),
        ("2x^2y", lambda x, y: 2 * x**2 * y),
        ("x / y / 2", lambda x, y: x / y / 2),
        ("x * -y", lambda x, y: -x * y),
        ("2 (x + y)(x - y)", lambda x, y: 2 * (x + y) * (x - y)),
        (
            "abs(y)^1.5 + sqrt(x) - log(x)",
            lambda x, y: abs(y) ** 1.5 + x**0.5 - math.log(x),
        ),
        (
            "tanh(x) cos(y) e^(-pi x)",
            lambda x, y: math.tanh(x) * math.cos(y) * math.exp(-math.pi * x),
        ),
        ("x^y", lambda x, y: x**y),
    ],
)
def test_a_formula_has_its_value_and_its_slopes(
    blank: Page, site: str, formula: str, meaning: Callable[[float, float], float]
) -> None:
    x, y, h = 0.7, -1.3, 1e-6
    value, slope_x, slope_y = blank.evaluate(
        "async ([site, f, x, y]) => (await import(site)).parse(f)(x, y)",
        [site + "_static/explorables/formula.mjs", formula, x, y],
    )
    assert math.isclose(value, meaning(x, y), rel_tol=1e-12)
    assert math.isclose(
        slope_x,
        (meaning(x + h, y) - meaning(x - h, y)) / (2 * h),
        rel_tol=1e-6,
        abs_tol=1e-8,
    )
    assert math.isclose(
        slope_y,
        (meaning(x, y + h) - meaning(x, y - h)) / (2 * h),
        rel_tol=1e-6,
        abs_tol=1e-8,
    )


def test_it_weighs_less_than_sixty_kilobytes_with_all_it_loads(
    browser: Browser, site: str
) -> None:
    context = browser.new_context()
    opened = Visit(context, site, "book/index.html", "light", 390)
    opened.page.locator("figure[data-explorable]").first.scroll_into_view_if_needed()
    opened.page.wait_for_selector("figure[data-ready]", timeout=20_000)
    own = {
        url.split("?")[0]
        for url in opened.requests
        if "explorables/" in url or "playground" in url
    }
    context.close()
    weights = {
        url: len(gzip.compress((SITE / url.removeprefix(site)).read_bytes()))
        for url in own
        if not url.endswith(".html")
    }
    assert sum(weights.values()) < 60_000, weights
    assert any(url.endswith("playground.mjs") for url in weights)
