"""How long a page is: words of prose and lines of cells in view, and minutes.

What is folded, solutions, code, displayed formulas and claims are not words. Minutes
are those of a reader who takes 120 words and 10 lines of code a minute, in fives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORDS_A_MINUTE, LINES_A_MINUTE = 120, 10
# Directives that hold no prose in view.
SILENT = {
    *("bibliography", "code-block", "code-cell", "dropdown", "eval-rst", "explorable"),
    *("figure", "image", "math", "raw", "solution", "toctree"),
}
FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})\s*(\{(?P<name>[\w-]+)\})?(?P<rest>.*)$")
FOLDED = re.compile(r"^:class:.*\b(dropdown|toggle)\b")
OPTION = re.compile(r"^:[\w-]+:")
NO_PROSE = re.compile(
    r"\$\$.*?\$\$|\{(claim|eq|cite:?\w*)\}`[^`]*`|<!--.*?-->|^\([\w-]+\)=$|\A---\n.*?\n---\n",
    re.DOTALL | re.MULTILINE,
)
# A solution with cells in it.
SOLUTION = re.compile(r"^(`{3,}|:{3,})\{solution-(?P<end>start|end)\}", re.MULTILINE)
HIDDEN = {"hide-cell", "hide-input", "remove-cell", "remove-input"}


@dataclass(frozen=True)
class Length:
    """Words of prose and lines of code in view."""

    words: int
    lines: int

    @property
    def minutes(self) -> int:
        """Minutes of reading, a multiple of five."""
        exact = self.words / WORDS_A_MINUTE + self.lines / LINES_A_MINUTE
        return max(5, 5 * round(exact / 5))


def prose(text: str) -> str:
    """Return the lines of a Markdown text that are in view and no code."""
    kept: list[str] = []
    opened: list[tuple[str, bool]] = []  # fence, and whether what it holds is left out
    for line in text.splitlines():
        if found := FENCE.match(line):
            fence, name = found["fence"], found["name"]
            bare = not name and not found["rest"].strip()
            if opened and bare and fence.startswith(opened[-1][0]):
                opened.pop()
                continue
            silent = name in SILENT or (name is None and fence[0] == "`")
            opened.append((fence, silent))
        elif opened and FOLDED.match(line):
            opened[-1] = (opened[-1][0], True)
        elif not any(silent for _, silent in opened) and not (
            opened and OPTION.match(line)
        ):
            kept.append(line)
    return "\n".join(kept)


def words(text: str) -> int:
    """Return the number of words of prose in view in a Markdown text."""
    # A formula reads like a word.
    found = re.sub(r"\$[^$\n]+\$", "x", NO_PROSE.sub(" ", prose(text)))
    found = re.sub(r"\]\([^)]*\)", "]", found)
    return len(re.findall(r"[^\W_][\w'’.-]*", found))


def cells(page: Path) -> Iterator[tuple[str, str]]:
    """Yield kind ("markdown" or "code") and text of what a page has in view."""
    if page.suffix == ".md":
        yield "markdown", page.read_text(encoding="utf-8")
        return
    solved = False
    for cell in json.loads(page.read_text(encoding="utf-8"))["cells"]:
        kind, text = cell["cell_type"], "".join(cell["source"])
        before, after = solved, ""
        if kind == "markdown" and (marks := list(SOLUTION.finditer(text))):
            solved = marks[-1]["end"] == "start"
            # What stands before the solution, and what behind it, is in view.
            after = "" if solved else text[marks[-1].end() :]
            first = marks[0]
            text = ("" if first["end"] == "end" else text[: first.start()]) + after
            before = False
        if not before and not HIDDEN & set(cell["metadata"].get("tags", [])):
            yield kind, text


def length(page: Path, *, first_section: bool = False) -> Length:
    """Return how long a page is.

    Parameters
    ----------
    page : Path
        A notebook or a Markdown file.
    first_section : bool
        Count as far as the second heading below the title.
    """
    count, lines, headings = 0, 0, 0
    for kind, text in cells(page):
        if kind == "code":
            lines += sum(bool(line.strip()) for line in text.splitlines())
            continue
        parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
        for part in parts:
            headings += part.startswith("## ")
            if first_section and headings > 1:
                return Length(count, lines)
            count += words(part)
    return Length(count, lines)
