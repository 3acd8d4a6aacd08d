"""SVG documents that matplotlib wrote: make them shorter, and compare two of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import zip_longest

import numpy as np

__all__ = ["difference", "shorten"]

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# In points: another processor may round a coordinate the other way.
TOLERANCE = 0.15


def shorten(svg: str) -> str:
    """Return an SVG document without comments, indentation and needless decimals."""

    def rounded(digits: int) -> Callable[[re.Match[str]], str]:
        def one(number: re.Match[str]) -> str:
            return f"{round(float(number[0]), digits):g}"

        return lambda part: NUMBER.sub(one, " ".join(part[0].split()))

    svg = re.sub(r"\s*<!--.*?-->|\n +", "\n", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<= d=")[^"]*', rounded(1), svg)
    svg = re.sub(r'(?<= [xy]=")[^"]*|(?<=translate\()[^)]*', rounded(2), svg)
    return re.sub(r"\n+", "\n", svg)


def difference(stored: str, drawn: str) -> str | None:
    """Return where two pictures differ first, or None if they show the same.

    They do if they have the same elements, colours and letters, and no coordinate
    differs by more than ``TOLERANCE``. Identifiers depend on coordinates, so what
    counts is which elements share one.
    """
    lines = zip_longest(*(renamed(svg).splitlines() for svg in (stored, drawn)))
    for count, (old, new) in enumerate(lines, start=1):
        if old is None or new is None:
            return f"line {count} is {old!r}, and should be {new!r}"
        same_shape = NUMBER.sub("0", old) == NUMBER.sub("0", new)
        before, after = (np.array(NUMBER.findall(line), float) for line in (old, new))
        if not same_shape or np.any(np.abs(before - after) > TOLERANCE):
            return f"line {count} is {old[:150]!r}, and should be {new[:150]!r}"
    return None


def renamed(svg: str) -> str:
    """Return an SVG document with its identifiers replaced by their number."""
    names: dict[str, str] = {}
    return re.sub(
        r'(?<= id=")[^"]+|(?<=url\(#)[^)]+|(?<=href="#)[^"]+',
        lambda name: names.setdefault(name[0], f"name{len(names)}"),
        svg,
    )
