"""The numbers of the explorable ``moments``, and what the page says it shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from adam_tutorial import theory
from adam_tutorial.reference import adam

pytestmark = pytest.mark.browser

STEPS = 60
MAX_BETA1, MAX_BETA2 = 0.99, 0.9999


@pytest.fixture(scope="module")
def page(browser: Browser, site: str) -> Iterator[Page]:
    opened = browser.new_page()
    opened.goto(site + "_static/explorables/load.mjs")
    opened.evaluate(
        "async address => { window.module = await import(address) }",
        site + "_static/explorables/moments.mjs",
    )
    yield opened
    opened.close()


def compute(page: Page, **settings: Any) -> dict[str, Any]:
    found: dict[str, list[float]] = page.evaluate("s => module.compute(s)", settings)
    return {name: np.array(values) for name, values in found.items()}


def presets(page: Page) -> dict[str, list[float]]:
    found: dict[str, list[float]] = page.evaluate(
        "Object.fromEntries(Object.entries(module.PRESETS).map(([key, [, g]]) => [key,"
        " g]))"
    )
    return found


def expected(
    gradients: Any, beta1: float, beta2: float, correct: bool
) -> dict[str, Any]:
    """Follow the reference."""
    state, m, v, steps = None, [], [], []
    with np.errstate(divide="ignore", invalid="ignore"):
        for g in gradients:
            state, update = adam(
                state,
                g,
                lr=1.0,
                beta1=beta1,
                beta2=beta2,
                eps=0.0,
                correct_bias=correct,
            )
            m.append(float(state.m))
            v.append(float(state.v))
            steps.append(-float(update))
    t = range(1, len(m) + 1)
    m_hat = np.divide(m, [theory.bias_correction(beta1, i) for i in t])
    v_hat = np.divide(v, [theory.bias_correction(beta2, i) for i in t])
    return {
        "m": m, "v": v, "mHat": m_hat, "vHat": v_hat,
        "rootV": np.sqrt(v), "rootVHat": np.sqrt(v_hat), "steps": steps,
    }  # fmt: skip


def assert_agree(
    page: Page, gradients: Any, beta1: float, beta2: float, correct: bool
) -> None:
    found = compute(
        page, gradients=list(gradients), beta1=beta1, beta2=beta2, correct=correct
    )
    wanted = expected(gradients, beta1, beta2, correct)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        # What a sum of numbers of both signs leaves is as exact as its largest term.
        scale = np.max(np.abs(gradients)) if name in ("m", "mHat") else 0.0
        np.testing.assert_allclose(
            found[name], values, rtol=1e-9, atol=1e-15 * scale, err_msg=name
        )


@pytest.mark.parametrize("correct", [True, False])
def test_numbers_are_those_of_the_reference_for_random_gradients(
    page: Page, correct: bool
) -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        gradients = (10 ** rng.uniform(-1, 2) * rng.standard_normal(STEPS)).round(2)
        # Equal factors of 1 - beta, as on the sliders.
        beta1 = 1 - (1 - MAX_BETA1) ** rng.uniform()
        beta2 = 1 - (1 - MAX_BETA2) ** rng.uniform()
        assert_agree(page, gradients, beta1, beta2, correct)


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("beta1", [0.0, 0.9, MAX_BETA1])
@pytest.mark.parametrize("beta2", [0.0, 0.999, MAX_BETA2])
def test_numbers_are_those_of_the_reference_at_the_ends_of_the_controls(
    page: Page, beta1: float, beta2: float, correct: bool
) -> None:
    late = [0.0] * 20 + [-1000.0] * 40
    for gradients in [*presets(page).values(), late, [0.01] * STEPS, [0.0] * STEPS]:
        assert_agree(page, gradients, beta1, beta2, correct)


def test_before_the_first_gradient_there_is_no_step(page: Page) -> None:
    found = compute(page, gradients=[0, 0, 5, 0])["steps"]
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()


def test_presets_fit_into_the_address(page: Page) -> None:
    for gradients in presets(page).values():
        assert len(gradients) == STEPS
        assert gradients == np.round(gradients, 2).tolist()


def test_growing_gradients_come_near_the_longest_step(page: Page) -> None:
    """The ratio of the preset is beta2 / beta1, to two decimals."""
    gradients = presets(page)["growing"]
    assert gradients == pytest.approx(1.11 ** np.arange(STEPS), abs=0.0051)
    steps = compute(page, gradients=gradients, correct=False)["steps"]
    assert steps[-1] == pytest.approx(theory.step_supremum(), rel=1e-3)


def test_the_chapter_says_what_is_seen(page: Page) -> None:
    examples = presets(page)
    seen = compute(page)
    assert (
        compute(page, gradients=examples["jump"])["steps"].tolist()
        == seen["steps"].tolist()
    )
    assert seen["steps"][:30] == pytest.approx(1.0)
    # Step 31 is the first after the jump.
    assert seen["steps"][30] == pytest.approx(0.94, abs=0.005)
    assert seen["mHat"][30] == pytest.approx(1.94, abs=0.005)
    assert seen["rootVHat"][30] == pytest.approx(2.06, abs=0.005)
    assert (seen["steps"][31:] > 1).all()
    assert seen["steps"].max() == pytest.approx(1.40, abs=0.005)
    alternating = compute(page, gradients=examples["alternating"])
    assert alternating["rootVHat"] == pytest.approx(1.0)
    assert np.abs(alternating["steps"][-20:]).max() < 0.06
    for gradients in examples.values():
        assert compute(page, gradients=gradients, correct=False)["steps"][
            0
        ] == pytest.approx(3.16 * np.sign(gradients[0]), abs=0.005)


def test_the_same_jump_after_a_long_steady_time_makes_a_longer_step() -> None:
    long = max(theory.jump_step(k, 10.0, 0.9, 0.999) for k in range(1, 200))
    assert long == pytest.approx(5.20, abs=0.005)
    # v-hat takes up a new square faster after 30 steps than after very many.
    share = 0.001 / theory.bias_correction(0.999, 31)
    assert share > 30 * 0.001


def test_a_finger_scrolls_until_it_is_told_to_draw(browser: Browser, site: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True
    )
    page = context.new_page()
    page.goto(site + "_static/explorables/index.html?name=moments")
    page.wait_for_selector("[data-ready]")
    surface = page.locator(".ex-surface > div").first
    surface.scroll_into_view_if_needed()
    for draws in (False, True):
        page.get_by_label("draw with the finger").set_checked(draws)
        action = surface.evaluate("one => getComputedStyle(one).touchAction")
        assert action == ("none" if draws else "auto")
        box = surface.bounding_box()
        assert box is not None
        x = box["x"] + box["width"] * (40.5 if draws else 20.5) / STEPS
        page.touchscreen.tap(x, box["y"] + box["height"] / 2)
        # A tap chooses a step; it sets the gradient only where the finger draws.
        page.wait_for_url(f"**/*t:{41 if draws else 21}")
        assert ("g:jump" in page.url) == (not draws)
    context.close()


def test_it_opens_before_the_jump_and_says_each_step_in_words(
    browser: Browser, site: str
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    for settings, words in (
        (
            "",
            (
                "Step 30: 1 learning rate, against the gradient’s sign. The longest so"
                " far: 1."
            ),
        ),
        ("t:31", "Step 31: 0.94 learning rates, against the gradient’s sign."),
        (
            "g:" + "_".join(["1"] * 30 + ["-1"] * 30) + ",t:31",
            "along the gradient’s sign.",
        ),
        (
            "g:" + "_".join("0" * STEPS) + ",t:5",
            "Step 5: 0/0; with any ε > 0 the step is 0.",
        ),
    ):
        page.goto(
            site + f"_static/explorables/index.html?name=moments&moments={settings}"
        )
        page.wait_for_function(
            "words =>"
            " document.querySelector('[role=status]')?.textContent.includes(words)",
            arg=words,
        )
    page.close()


def test_a_quick_hand_draws_every_step_and_the_address_keeps_it(
    browser: Browser, site: str
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(site + "_static/explorables/index.html?name=moments&moments=g:spike")
    page.wait_for_selector("[data-ready]")
    box = page.locator(".ex-surface > div").first.bounding_box()
    assert box is not None
    # From step 11 to step 50 in one move, at the height of 1 of 2.
    # The axis goes from -0.3 to 2.2.
    height = box["y"] + box["height"] * (1 - 1.3 / 2.5)
    page.mouse.move(box["x"] + box["width"] * 10.5 / STEPS, height)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 49.5 / STEPS, height)
    page.mouse.up()
    page.wait_for_url("**/*t:50")
    drawn = parse_qs(urlsplit(page.url).query)["moments"][0].split(",")[0]
    gradients = np.array(drawn.removeprefix("g:").split("_"), dtype=float)
    np.testing.assert_array_equal(gradients[1:10], 0)
    np.testing.assert_allclose(gradients[10:50], 1, atol=0.04)
    np.testing.assert_array_equal(gradients[50:], 0)
    table = page.get_by_role("table").inner_text()
    page.reload()
    page.wait_for_selector("[data-ready]")
    assert page.get_by_role("table").inner_text() == table
    page.close()
