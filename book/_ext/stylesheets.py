"""Make one style sheet of many, without the rules that no page uses.

The theme has 400 kB of styles, of which the book uses a tenth. What is for the dark
theme is kept from paper, and what is for the light theme holds there in both.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from posixpath import join, normpath

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
QUOTED = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\''
STRING = re.compile(rf"{QUOTED}|url\((?:{QUOTED}|[^)\"']*)\)")
NAME = re.compile(r"[.#]((?:[\w-]|\\.)+)")
IN_PARENTHESES = re.compile(r"\([^()]*\)")
DARK = re.compile(r"\[data-theme=[\"']?dark[\"']?\]")
LIGHT = re.compile(r"\[data-theme=[\"']?light[\"']?\]")
# Of these the body consists of rules.
GROUPS = ("@media", "@supports", "@layer", "@container")

Rule = tuple[str, str | None]


def rules(css: str) -> Iterator[Rule]:
    """Yield every rule: what stands before its braces, and in them.

    A statement such as ``@charset`` has no braces, and the second is None.
    """
    css = COMMENT.sub("", css)
    strings = {match.start(): match.end() for match in STRING.finditer(css)}
    start = place = depth = 0
    opened = 0
    while place < len(css):
        if place in strings:
            place = strings[place]
            continue
        sign = css[place]
        if sign == "{":
            depth += 1
            if depth == 1:
                opened = place
        elif sign == "}":
            depth -= 1
            if depth == 0:
                yield css[start:opened].strip(), css[opened + 1 : place].strip()
                start = place + 1
        elif sign == ";" and depth == 0:
            yield css[start:place].strip(), None
            start = place + 1
        place += 1


def selectors(prelude: str) -> list[str]:
    """Return what stands between the commas of a list of selectors."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(prelude):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            parts.append(prelude[start:place].strip())
            start = place + 1
    return [*parts, prelude[start:].strip()]


def is_used(selector: str, words: Container[str]) -> bool:
    """Return whether a page may have what a selector asks for: its classes and names.

    What stands in parentheses may be forbidden, or one of several possibilities.
    """
    while (shorter := IN_PARENTHESES.sub("", selector)) != selector:
        selector = shorter
    return all(name.replace("\\", "") in words for name in NAME.findall(selector))


def used(css: str, words: Container[str]) -> str:
    """Return the rules of a style sheet that apply to something."""

    def keep() -> Iterator[str]:
        for prelude, body in rules(css):
            if body is None:
                continue  # @charset and @import: the pages are in UTF-8, and load all
            if prelude.startswith(GROUPS):
                if inside := used(body, words):
                    yield f"{prelude}{{{inside}}}"
            elif prelude.startswith("@"):
                yield f"{prelude}{{{body}}}"
            elif kept := [one for one in selectors(prelude) if is_used(one, words)]:
                yield f"{','.join(kept)}{{{body}}}"

    return "\n".join(keep())


def light_on_paper(css: str) -> str:
    """Return a style sheet in which paper has the light theme, whatever the screen has.

    The order of the rules and how specific they are stay as they were.
    """

    def change() -> Iterator[str]:
        for prelude, body in rules(css):
            if body is None or prelude.startswith("@font-face"):
                yield f"{prelude}{{{body}}}" if body is not None else f"{prelude};"
            elif prelude.startswith(GROUPS):
                yield f"{prelude}{{{light_on_paper(body)}}}"
            elif prelude.startswith("@"):
                yield f"{prelude}{{{body}}}"
            else:
                parts = selectors(prelude)
                dark = [one for one in parts if DARK.search(one)]
                light = [one for one in parts if LIGHT.search(one)]
                if other := [one for one in parts if one not in dark]:
                    yield f"{','.join(other)}{{{body}}}"
                if dark:
                    yield f"@media not print{{{','.join(dark)}{{{body}}}}}"
                if light:
                    everywhere = ",".join(
                        LIGHT.sub("[data-theme]", one) for one in light
                    )
                    yield f"@media print{{{everywhere}{{{body}}}}}"

    return "\n".join(change())


def with_addresses(css: str, folder: str) -> str:
    """Return a style sheet as it reads outside of its folder: with other ``url()``."""

    def one(match: re.Match[str]) -> str:
        address = match[1].strip("\"'")
        if address.startswith(("data:", "#")):
            return match[0]
        return f"url({normpath(join(folder, address))})"

    return re.sub(r"url\(([^)]*)\)", one, css)
