"""What explorables compute, and whether it agrees with the package.

Both for very many numbers: Playwright hands over each number as an object, and
`pytest.approx` compares one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from playwright.sync_api import Page

REL, ABS = 1e-9, 1e-12


def compute(
    page: Page, site: str, name: str, cases: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what the function ``compute`` of an explorable returns for each case."""
    # JSON has no infinity, and no number that is none; Python reads both.
    text: str = page.evaluate(
        """async ([address, cases]) => {
            const { compute } = await import(address);
            const none = (value) =>
                typeof value === "number" && !Number.isFinite(value);
            return JSON.stringify(cases.map((settings) => compute(settings)),
                (_, value) => (none(value) ? `<${value}>` : value));
        }""",
        [f"{site}_static/explorables/{name}.mjs", list(cases)],
    )
    for number in ("NaN", "Infinity", "-Infinity"):
        text = text.replace(f'"<{number}>"', number)
    found: list[dict[str, Any]] = json.loads(text)
    return found


def are_near(found: ArrayLike, expected: ArrayLike) -> NDArray[np.bool_]:
    """Return, for each number, what ``found == pytest.approx(expected)`` says of it.

    The tolerance is the larger of `REL` of what is expected, and `ABS`.
    """
    ours, theirs = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    assert ours.shape == theirs.shape
    with np.errstate(invalid="ignore"):
        distance = np.abs(theirs - ours)
    allowed = np.maximum(REL * np.abs(ours), ABS)
    near: NDArray[np.bool_] = (theirs == ours) | (
        np.isfinite(ours) & (distance <= allowed)
    )
    return near


def assert_near(found: ArrayLike, expected: ArrayLike, what: object = "") -> None:
    """Assert it of all."""
    near = are_near(found, expected)
    if not near.all():
        first = np.unravel_index(np.argmin(near), near.shape)
        numbers = np.asarray(found)[first], np.asarray(expected)[first]
        raise AssertionError(
            f"{what}: {np.size(near) - np.count_nonzero(near)} of {near.size} differ,"
            f" first at {first}: found {numbers[0]!r}, expected {numbers[1]!r}"
        )
