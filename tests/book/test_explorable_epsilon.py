"""The explorable of eps computes what the reference computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from adam_tutorial import reference
from adam_tutorial._types import Array
from adam_tutorial.reference.adam import AdamState, moments
from adam_tutorial.theory import bias_correction

from .computed import compute

pytestmark = pytest.mark.browser

CURVATURES = np.array([1.0, 0.01])
GONE = 1e3
SIZES = np.geomspace(1e-12, 1e3, 16)
LIMITS = {"eps": (1e-10, 100.0), "g": (1e-10, 10.0), "lr": (1e-3, 1.0)}
SLOWEST = {"beta1": 0.99, "beta2": 0.9999}


def random_settings() -> list[dict[str, Any]]:
    """Thirty anywhere, and both ends of every control."""
    rng = np.random.default_rng(8)

    def anywhere() -> dict[str, Any]:
        logs = {
            key: float(np.exp(rng.uniform(*np.log(ends))))
            for key, ends in LIMITS.items()
        }
        decays = {
            key: float(1 - (1 - end) ** rng.random()) for key, end in SLOWEST.items()
        }
        t = round(10 ** rng.uniform(0, 4))
        return {**logs, **decays, "t": t, "keep": bool(rng.random() < 0.5)}

    usual = {
        "eps": 1e-8,
        "g": 1e-6,
        "lr": 0.05,
        "beta1": 0.9,
        "beta2": 0.999,
        "t": 1,
        "keep": True,
    }
    ends = {
        **LIMITS,
        **{key: (0.0, end) for key, end in SLOWEST.items()},
        "t": (1, 10_000),
    }
    edges = [{**usual, key: end} for key, both in ends.items() for end in both]
    return (
        [usual, {**usual, "eps": 100.0, "keep": False}]
        + edges
        + [anywhere() for _ in range(30)]
    )


def last_update(rule: Any, gradient: Array, t: int, **settings: float) -> Array:
    """The update at step t if every gradient was the same."""
    state, update = None, gradient
    for _ in range(t):
        state, update = rule(state, gradient, **settings)
    return update


def averaged_momentum(
    state: AdamState | None, gradient: Array, *, lr: float, beta1: float
) -> tuple[AdamState, Array]:
    state = moments(state, gradient, beta1, 0.0)
    return state, -lr * state.m / bias_correction(beta1, state.t)


def path_of(rule: Any, **settings: Any) -> NDArray[np.float64]:
    """Both coordinates over 200 steps, NaN after they have gone too far."""
    with np.errstate(all="ignore"):
        path = reference.trajectory(
            rule, lambda x: CURVATURES * x, [1.0, 1.0], 200, **settings
        )
        gone = ~(np.abs(path) <= GONE)
    after = np.roll(np.logical_or.accumulate(gone), 1, axis=0)
    after[0] = False
    return np.where(after, np.nan, path).T


def smallest_root(path: NDArray[np.float64], beta2: float) -> float:
    """The smallest root of v-hat on a path, of both coordinates."""
    state, roots = None, []
    for x in path.T[:-1]:
        state = moments(state, CURVATURES * x, 0.0, beta2)
        roots.append(np.sqrt(state.v / bias_correction(beta2, state.t)))
    return float(np.min(roots))


def expected(setting: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    eps, t, beta1, beta2 = (setting[key] for key in ("eps", "t", "beta1", "beta2"))
    sizes = np.append(SIZES, setting["g"])
    betas = {"beta1": beta1, "beta2": beta2}
    rate = setting["lr"] * max(1.0, eps) if setting["keep"] else setting["lr"]
    path = path_of(reference.adam, lr=rate, eps=eps, **betas)
    return {
        "algorithm": -last_update(reference.adam, sizes, t, lr=1.0, eps=eps, **betas),
        "hat": -last_update(
            reference.adam_efficient, sizes, t, lr=1.0, eps_hat=eps, **betas
        ),
        # Equation (mistakes-eps-inside) of Myths and mistakes.
        "inside": sizes / np.sqrt(sizes**2 + eps),
        "adam": path,
        "root": np.array(smallest_root(path, beta2)),
        "momentum": path_of(averaged_momentum, lr=rate / eps, beta1=beta1),
        "rate": np.array([rate, rate / eps]),
    }


def found(result: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    curves = {
        key: np.append(result["curves"][key], result["at"][key])
        for key in result["curves"]
    }
    paths = {key: np.array(result[key], dtype=float) for key in ("adam", "momentum")}
    return {
        **curves,
        **paths,
        "root": np.array(result["root"], dtype=float),
        "rate": np.array([result["rate"], result["ratio"]]),
    }


def agrees(setting: dict[str, Any], result: dict[str, Any]) -> None:
    ours, theirs = expected(setting), found(result)
    for key, values in ours.items():
        # A path crosses zero: there, 1e-9 is meant of the distance at the start.
        floor = 1e-9 if key in ("adam", "momentum", "root") else 0.0
        np.testing.assert_allclose(
            theirs[key], values, rtol=1e-9, atol=floor, err_msg=f"{key} at {setting}"
        )


@pytest.fixture(scope="module")
def results(blank: Page, site: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    settings = random_settings()
    sizes = SIZES.tolist()
    answers = compute(
        blank, site, "epsilon", [{**setting, "sizes": sizes} for setting in settings]
    )
    return list(zip(settings, answers, strict=True))


def test_the_numbers_are_those_of_the_reference(
    results: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    assert len(results) >= 30
    for setting, result in results:
        agrees(setting, result)


def test_the_regime_and_the_first_steps(
    results: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    for setting, result in results:
        eps = setting["eps"]
        _, first = reference.adam(None, CURVATURES, lr=1.0, eps=eps)
        np.testing.assert_allclose(result["first"], -first, rtol=1e-9)
        regimes = ["far below", "just below", "between", "just above", "far above"]
        assert result["regime"] == regimes[np.searchsorted([1e-4, 0.01, 1, 10], eps)]


def test_momentum_is_drawn_where_it_stays_in_the_plot(
    results: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    for setting, result in results:
        numbers = found(result)
        gap = np.max(np.abs(numbers["adam"] - numbers["momentum"]))
        assert result["comparable"] == bool(gap <= 10), setting
        # What the status says of a large eps is of a run beside which momentum is
        # drawn.
        assert result["comparable"] or setting["eps"] < 1, setting
    assert not results[0][1]["comparable"]


def test_a_tiny_eps_moves_both_alike_and_a_large_one_is_momentum(
    results: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    usual = found(results[0][1])["adam"]
    np.testing.assert_allclose(usual[0, :20], usual[1, :20], rtol=1e-5)
    _, large = next(
        pair
        for pair in results
        if pair[0]["eps"] == 100 and pair[0]["keep"] and pair[0]["t"] == 1
    )
    assert large["gap"] < 0.02
    assert abs(large["adam"][1][-1]) > 0.9
    assert abs(large["adam"][0][-1]) < 1e-3


def test_what_the_chapter_says_of_the_steps() -> None:
    """The first question: the gradients whose steps 1e-8 halves."""
    eps = 1e-8
    halves = np.array([1e-8])
    np.testing.assert_allclose(-reference.adam(None, halves, lr=1.0, eps=eps)[1], 0.5)
    for t, size, digits in ((1, 3e-7, 0.1), (100, 3e-8, 0.1), (10_000, 1e-8, 1e-4)):
        exact = np.array([eps / np.sqrt(bias_correction(0.999, t))])
        step = -last_update(reference.adam_efficient, exact, t, lr=1.0, eps_hat=eps)
        np.testing.assert_allclose(step, 0.5, rtol=1e-9)
        np.testing.assert_allclose(exact, size, rtol=digits)
    inside = np.sqrt(eps / 3)
    np.testing.assert_allclose(inside / np.sqrt(inside**2 + eps), 0.5)
    np.testing.assert_allclose(inside, 6e-5, rtol=0.05)


def test_what_the_chapter_says_of_the_run() -> None:
    """The second question: when the minimum is passed, and a rate too small."""
    for eps, steep, flat in ((1e-8, 24, 24), (1e-3, 25, 29)):
        path = path_of(reference.adam, lr=0.05, eps=eps)
        assert [int(np.argmax(x <= 0)) for x in path] == [steep, flat]
    # The limit of "far below": they still move alike.
    path = path_of(reference.adam, lr=0.05, eps=1e-4)
    assert np.max(np.abs(path[0] - path[1])) < 0.01
    assert np.min(path_of(reference.adam, lr=0.05, eps=100.0)) > 0.9
